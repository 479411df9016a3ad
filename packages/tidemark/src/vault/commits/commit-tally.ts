// Counts the commits that end in one segment. Filled record by record without making objects: catching up reads some hundred
// thousand commits a second.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { TransactionRecord } from "@tidemark/postgres/wal/transaction-record";
import type { WalRecord } from "@tidemark/postgres/wal/wal-record";
import type { CommitPoint, SegmentCommits } from "./commit-point.ts";

/** A place between two records, and what was counted in the segment up to there. */
export interface TallyMark {
  readonly boundary: Lsn;
  readonly previous: Lsn;
  readonly count: number;
  readonly last: CommitPoint | undefined;
}

export class CommitTally {
  readonly start: Lsn;
  count = 0;
  earliestUs = Number.POSITIVE_INFINITY;
  latestUs = Number.NEGATIVE_INFINITY;
  /** In order; one for each piece that was read. */
  readonly marks: TallyMark[] = [];
  #first: CommitPoint | undefined;
  /** The last commit, unpacked. */
  #segment = 0n;
  #offset = 0;
  #endSegment = 0n;
  #endOffset = 0;
  #timeUs = 0;
  #xid = 0;

  constructor(start: Lsn) {
    this.start = start;
  }

  add(record: WalRecord, transaction: TransactionRecord): void {
    this.count++;
    this.#segment = record.segment;
    this.#offset = record.offset;
    this.#endSegment = record.endSegment;
    this.#endOffset = record.endOffset;
    this.#timeUs = transaction.timeUs;
    this.#xid = transaction.xid;
    if (this.#timeUs < this.earliestUs) this.earliestUs = this.#timeUs;
    if (this.#timeUs > this.latestUs) this.latestUs = this.#timeUs;
    if (this.count === 1) this.#first = this.last;
  }

  /** Notes that everything before `boundary` was counted. */
  mark(boundary: Lsn, previous: Lsn): void {
    this.marks.push({ boundary, previous, count: this.count, last: this.last });
  }

  get first(): CommitPoint | undefined {
    return this.#first;
  }

  get last(): CommitPoint | undefined {
    if (this.count === 0) return undefined;
    return {
      lsn: (this.#segment + BigInt(this.#offset)) as Lsn,
      end: (this.#endSegment + BigInt(this.#endOffset)) as Lsn,
      timeUs: this.#timeUs,
      xid: this.#xid,
    };
  }

  facts(timeline: Timeline, place: { boundary: Lsn; previous: Lsn }): SegmentCommits {
    const { first, last } = this;
    const known = first === undefined || last === undefined ? {} : { first, last, earliestUs: this.earliestUs, latestUs: this.latestUs };
    return { timeline, start: this.start, count: this.count, ...known, ...place };
  }
}
