// Reads along a trail and counts commits segment by segment: the part that the tracker's live reading, its reading of what is
// missing in the index, and the search for a time have in common.
import type { Lsn } from "@tidemark/kernel/lsn";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import { TransactionRecord } from "@tidemark/postgres/wal/transaction-record";
import type { WalStop } from "@tidemark/postgres/wal/wal-reader";
import { WalReader } from "@tidemark/postgres/wal/wal-reader";
import type { WalFolder } from "../wal-folder.ts";
import type { CommitPoint, SegmentCommits } from "./commit-point.ts";
import { CommitTally } from "./commit-tally.ts";
import { TrailFiles } from "./trail-files.ts";
import type { WalTrail } from "./wal-trail.ts";

/** What is read at a time, bytes: a tenth of a millisecond with the CRCs, a few before the code is compiled. */
export const PIECE_BYTES = 65_536;

export interface CursorStart {
  readonly lsn: Lsn;
  /** Whether a record begins at `lsn`; otherwise reading begins with the first that begins behind it. */
  readonly atRecord: boolean;
  /** Where the record before begins, when that is known. */
  readonly previous?: Lsn;
  /** The first segment that is counted; what is before it was counted, and is read only for a record that goes over. */
  readonly countFrom: Lsn;
}

export interface CursorOptions {
  readonly trail: WalTrail;
  readonly folder: WalFolder;
  readonly start: CursorStart;
  readonly checkCrc: boolean;
  /** Everything in a segment was read. */
  readonly onSegment?: (facts: SegmentCommits) => void;
  /** Each commit; costs an object. */
  readonly onCommit?: (commit: CommitPoint) => void;
}

/** `read`: some; `done`: `to` is reached; `missing`: no file holds the place; `stopped`: it cannot be read. */
export type Advance = "read" | "done" | "missing" | "stopped";

export class TrailCursor {
  trail: WalTrail;
  readonly #options: CursorOptions;
  readonly #files: TrailFiles;
  readonly #reader: WalReader;
  readonly #buffer = new Uint8Array(PIECE_BYTES);
  readonly #transaction = new TransactionRecord();
  readonly #segmentBytes: number;
  #position: Lsn;
  #tally: CommitTally;

  constructor(options: CursorOptions) {
    this.#options = options;
    const { folder, start, trail } = options;
    this.trail = trail;
    this.#segmentBytes = folder.segmentBytes;
    this.#files = new TrailFiles(folder);
    this.#position = start.lsn;
    this.#tally = new CommitTally(segmentStart(start.lsn, this.#segmentBytes));
    const { lsn, atRecord, previous } = start;
    this.#reader = new WalReader(
      {
        segmentBytes: this.#segmentBytes,
        start: lsn,
        atRecord,
        checkCrc: options.checkCrc,
        ...(previous === undefined || previous === 0n ? {} : { previous }),
      },
      (record) => {
        if (!this.#transaction.read(record) || !this.#transaction.isCommit) return;
        this.#tally.add(record, this.#transaction);
        options.onCommit?.(this.#tally.last as CommitPoint);
      },
    );
  }

  /** Everything before it was read. */
  get position(): Lsn {
    return this.#position;
  }

  /** The end of the last whole record; undefined before a place between two records was found. Behind a switch it may be ahead. */
  get boundary(): Lsn | undefined {
    return this.#reader.boundary;
  }

  /** Of the segment that is being read. */
  get tally(): CommitTally {
    return this.#tally;
  }

  get stop(): WalStop | undefined {
    return this.#reader.stop;
  }

  /** Reads at most {@link PIECE_BYTES}, up to `to`; of the newest timeline's file no more than `received`. */
  advance(to: Lsn, received: Lsn): Advance {
    if (this.#reader.stop !== undefined) return "stopped";
    if (this.#position >= to) return "done";
    const bytes = this.#files.read(this.trail, { lsn: this.#position, to, received }, this.#buffer);
    if (bytes === 0) return "missing";
    const stop = this.#reader.push(this.#buffer, 0, bytes);
    if (stop !== undefined) return "stopped";
    this.#position = (this.#position + BigInt(bytes)) as Lsn;
    if (this.#reader.boundary !== undefined) this.#tally.mark(this.#reader.boundary, this.#reader.previous ?? (0n as Lsn));
    if (this.#position % BigInt(this.#segmentBytes) === 0n) this.#endSegment();
    return "read";
  }

  close(): void {
    this.#files.close();
  }

  #endSegment(): void {
    const end = this.#position;
    const { boundary } = this.#reader;
    const tally = this.#tally;
    if (boundary !== undefined && tally.start >= this.#options.start.countFrom) {
      const { timeline } = this.trail.pieceAt((end - 1n) as Lsn);
      this.#options.onSegment?.(tally.facts(timeline, { boundary, previous: this.#reader.previous ?? (0n as Lsn) }));
    }
    this.#tally = new CommitTally(end);
  }
}
