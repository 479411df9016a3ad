// A vault's folder with WAL made by hand, and a tracker on it: what the receiver's thread would do, a test does step by step.
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import { silentLogger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { BUILT_SYSTEM_IDENTIFIER, SMALL_SEGMENT_BYTES } from "@tidemark/postgres/wal/testing/wal-builder";
import type { WalBuilder } from "@tidemark/postgres/wal/testing/wal-builder";
import { SharedFrontier } from "../../receiver/shared-frontier.ts";
import { WalFolder } from "../../wal-folder.ts";
import { CommitTracker } from "../commit-tracker.ts";

export class CommitFolder {
  readonly directory = mkdtempSync(join(tmpdir(), "tidemark-commits-"));
  readonly folder = new WalFolder(this.directory, SMALL_SEGMENT_BYTES);
  frontier = new SharedFrontier();

  constructor() {
    mkdirSync(this.folder.wal);
  }

  /** Puts WAL into the files of a timeline, from the segment that holds `from` up to `to`, and moves the frontier there. */
  receive(wal: WalBuilder, options: { timeline?: number; from?: Lsn; to?: Lsn } = {}): void {
    const timeline = (options.timeline ?? 1) as Timeline;
    const to = options.to ?? wal.position;
    const bytes = Buffer.from(wal.bytes(true));
    bytes.fill(0, Number(to - wal.start));
    const from = options.from ?? (wal.start as Lsn);
    for (let start = from - (from % BigInt(SMALL_SEGMENT_BYTES)); start < to; start += BigInt(SMALL_SEGMENT_BYTES)) {
      const at = Number(start - wal.start);
      const place = { timeline, lsn: start as Lsn };
      const [partial, sealed] = [this.folder.segment(place, false), this.folder.segment(place, true)];
      // The receiver writes into the file that is there; who reads may have it open.
      const file = openSync(partial, existsSync(partial) ? "r+" : "w");
      writeSync(file, bytes, at, SMALL_SEGMENT_BYTES, 0);
      closeSync(file);
      if (start + BigInt(SMALL_SEGMENT_BYTES) <= to) renameSync(partial, sealed);
    }
    this.flushed(timeline, to);
  }

  flushed(timeline: number, lsn: Lsn, serverEnd = lsn): void {
    this.frontier.write({ timeline: timeline as Timeline, flushed: lsn, serverEnd, heardAtMs: 1 });
  }

  history(timeline: number, steps: readonly { timeline: number; lsn: Lsn }[]): void {
    writeFileSync(
      this.folder.history(timeline as Timeline),
      steps.map((step) => `${step.timeline}\t${formatLsn(step.lsn)}\tno reason\n`).join(""),
    );
  }

  tracker(options?: { clock?: Clock; logger?: Logger }): CommitTracker {
    return new CommitTracker({
      frontier: this.frontier,
      folder: this.folder,
      systemIdentifier: String(BUILT_SYSTEM_IDENTIFIER),
      clock: options?.clock ?? systemClock,
      logger: options?.logger ?? silentLogger,
    });
  }

  /** Runs a tracker for the time of `work`. */
  async track<T>(work: (tracker: CommitTracker) => Promise<T>, tracker = this.tracker()): Promise<T> {
    const stop = new AbortController();
    const running = tracker.run(stop.signal);
    // A tracker that fails ends the test at once.
    const failed = running.then(() => new Promise<never>(() => undefined));
    try {
      return await Promise.race([work(tracker), failed]);
    } finally {
      stop.abort();
      await running;
    }
  }

  dispose(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
