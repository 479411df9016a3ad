// What is known of commits, as plain data.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";

/** One commit, as its record says it. */
export interface CommitPoint {
  /** Where the record begins: recovery_target_lsn with inclusive recovery ends right behind it. */
  readonly lsn: Lsn;
  /** Where the next record may begin: WAL up to here holds the commit. */
  readonly end: Lsn;
  /** The primary's wall clock at the commit, microseconds since 1970. */
  readonly timeUs: number;
  /** 0 for a transaction that had none. */
  readonly xid: number;
}

/** The commits whose records end in one segment: those that WAL up to its end adds. */
export interface SegmentCommits {
  readonly timeline: Timeline;
  /** The segment's first byte. */
  readonly start: Lsn;
  readonly count: number;
  /** First and last in the order of WAL; undefined when there is none. */
  readonly first?: CommitPoint;
  readonly last?: CommitPoint;
  /** The least and the greatest of their times, which need not be those of the first and the last; undefined without commits. */
  readonly earliestUs?: number;
  readonly latestUs?: number;
  /** The end of the last whole record in the segment or before it: a record that begins there goes over into the next one. */
  readonly boundary: Lsn;
  /** Where the record before the boundary begins; 0 when it was not seen. */
  readonly previous: Lsn;
}

export function timeMs(commit: CommitPoint): number {
  return commit.timeUs / 1000;
}
