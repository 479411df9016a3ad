// How far the WAL here reaches: to the byte, and to the end of the last whole record (R4); and what of it may be served.
import type { Timeline } from "@tidemark/kernel/brands";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import type { WalRange } from "./archive/wal-range.ts";
import { storedHistory } from "./receiver/history-chain.ts";
import type { RestartScan } from "./receiver/restart-scan.ts";
import { scanAfterRestart } from "./receiver/restart-scan.ts";
import type { SharedFrontier } from "./receiver/shared-frontier.ts";
import type { WalPoint } from "./receiver/stream-plan.ts";
import type { RecordReader } from "./vault.ts";
import type { VaultFile } from "./vault-file.ts";
import { unstored } from "./vault-file.ts";
import { WalFolder } from "./wal-folder.ts";

export class WalReach {
  readonly #frontier: SharedFrontier;
  readonly #file: () => VaultFile;
  readonly #directory: string;
  #reader: RecordReader | undefined;
  #doubts: () => readonly WalRange[] | undefined = () => [];
  #history: { readonly timeline: Timeline; readonly steps: readonly TimelineSwitch[] } | undefined;

  constructor(options: { frontier: SharedFrontier; file: () => VaultFile; directory: string }) {
    this.#frontier = options.frontier;
    this.#file = options.file;
    this.#directory = options.directory;
  }

  /** Who reads the records as they come. */
  readBy(reader: RecordReader): void {
    this.#reader = reader;
  }

  /** Who knows of WAL here that is damaged or gone, though the newest file is whole; answers undefined while it does not. */
  doubtBy(doubts: () => readonly WalRange[] | undefined): void {
    this.#doubts = doubts;
  }

  /** WAL of the run that is not what was received, until it is mended; undefined while that is not known. */
  doubts(): WalRange[] | undefined {
    const { run } = this.#file();
    const from = run === undefined ? undefined : unstored(run.from);
    if (from === undefined) return [];
    return this.#doubts()?.filter(({ timeline, end }) => timeline >= from.timeline && end > from.lsn);
  }

  /** Learns the ancestry of the timeline that is received; to be called when that changed. */
  async learn(): Promise<void> {
    const { run, segmentBytes } = this.#file();
    if (run === undefined || segmentBytes === undefined || this.#history?.timeline === run.timeline) return;
    const steps = await storedHistory(new WalFolder(this.#directory, segmentBytes), run.timeline);
    if (steps !== undefined) this.#history = { timeline: run.timeline, steps };
  }

  /** Ancestors of the timeline that is received, oldest first. */
  get history(): readonly TimelineSwitch[] {
    return this.#history?.timeline === this.#file().run?.timeline ? (this.#history?.steps ?? []) : [];
  }

  /** Everything up to here is durable. Undefined before anything is. */
  position(): WalPoint | undefined {
    const { timeline, flushed } = this.#frontier.read();
    if (timeline === 0 || this.#file().run === undefined) return undefined;
    // The new timeline's file is received from its beginning, which is the old one's WAL.
    const began = this.#history?.timeline === timeline ? this.#history.steps.at(-1) : undefined;
    return began !== undefined && flushed <= began.switchLsn
      ? { timeline: began.timeline, lsn: began.switchLsn }
      : { timeline, lsn: flushed };
  }

  /** The end of the last whole record, as far as the reader has come; undefined without one. Never beyond what is durable. */
  recordEnd(): WalPoint | undefined {
    const read = this.#reader?.position();
    const here = this.position();
    if (read === undefined || here === undefined || read.timeline !== here.timeline || read.lsn > here.lsn) return undefined;
    return read;
  }

  /** Reads the newest segment for where the WAL ends, some 20 ms. Undefined before anything was received. */
  async scan(): Promise<RestartScan | undefined> {
    const { run, segmentBytes, systemIdentifier, mark } = this.#file();
    if (run === undefined || segmentBytes === undefined || systemIdentifier === undefined) return undefined;
    return scanAfterRestart({
      folder: new WalFolder(this.#directory, segmentBytes),
      run: { from: unstored(run.from), timeline: run.timeline },
      mark: mark === undefined ? undefined : unstored(mark),
      systemIdentifier,
    });
  }

  /** Ranges that were never received. A gap over a fork is one on either side of it. */
  gaps(): WalRange[] {
    return this.#file().gaps.flatMap((gap) => {
      const [start, end] = [unstored(gap.from), unstored(gap.to)];
      return [...new Set([start.timeline, end.timeline])].map((timeline) => ({ timeline, start: start.lsn, end: end.lsn }));
    });
  }
}
