// Reads the segments of the past that the index of commits lacks, when there is nothing else to read: newest first, because what
// joins the present makes its counts complete.
import type { Lsn } from "@tidemark/kernel/lsn";
import type { WalFolder } from "../wal-folder.ts";
import type { CommitIndex } from "./commit-index.ts";
import type { Advance, CursorStart } from "./trail-cursor.ts";
import { TrailCursor } from "./trail-cursor.ts";
import type { Slices } from "./slices.ts";
import type { WalTrail } from "./wal-trail.ts";

export interface PastRange {
  readonly from: Lsn;
  readonly to: Lsn;
}

export interface PastOptions {
  readonly trail: WalTrail;
  readonly folder: WalFolder;
  readonly index: CommitIndex;
  /** Of whole segments, newest first. */
  readonly ranges: readonly PastRange[];
  /** The first segment that is here. */
  readonly oldest: Lsn;
  /** How far the newest timeline was received. */
  readonly received: Lsn;
}

export interface UnreadPast extends PastRange {
  readonly why: Advance;
}

export class PastReading {
  readonly #options: PastOptions;
  readonly #ranges: PastRange[];
  readonly unread: UnreadPast[] = [];
  #cursor: TrailCursor | undefined;

  constructor(options: PastOptions) {
    this.#options = options;
    this.#ranges = [...options.ranges];
  }

  get done(): boolean {
    return this.#ranges.length === 0;
  }

  /** The first position that is still to be read. */
  get neededFrom(): Lsn | undefined {
    return this.#ranges.at(-1)?.from;
  }

  /** Reads until the slice is spent or a range is at its end, which it returns. */
  read(slices: Slices): PastRange | undefined {
    const range = this.#ranges[0];
    if (range === undefined) return undefined;
    this.#cursor ??= this.#begin(range);
    for (;;) {
      const advance = this.#cursor.advance(range.to, this.#options.received);
      if (advance === "read" && !slices.spent) continue;
      if (advance === "read") return undefined;
      if (advance !== "done") this.unread.push({ from: this.#cursor.stop?.lsn ?? this.#cursor.position, to: range.to, why: advance });
      this.close();
      this.#ranges.shift();
      return range;
    }
  }

  close(): void {
    this.#cursor?.close();
    this.#cursor = undefined;
  }

  #begin(range: PastRange): TrailCursor {
    const { trail, folder, index } = this.#options;
    return new TrailCursor({ trail, folder, start: this.#start(range), checkCrc: true, onSegment: (facts) => index.put(facts) });
  }

  #start({ from }: PastRange): CursorStart {
    const { trail, folder, index, oldest } = this.#options;
    const before = (from - BigInt(folder.segmentBytes)) as Lsn;
    const row = from === 0n ? undefined : index.get(trail.pieceAt((from - 1n) as Lsn).timeline, before);
    if (row !== undefined && row.boundary >= oldest) return { lsn: row.boundary, atRecord: true, previous: row.previous, countFrom: from };
    return { lsn: before >= oldest ? before : from, atRecord: false, countFrom: from };
  }
}
