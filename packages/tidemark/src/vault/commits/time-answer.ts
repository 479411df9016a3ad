// Turns a time into a place in WAL (trap 36). The times of commits are not monotonic in WAL: a backend takes the time, and then
// waits for its place, so neighbours swap by microseconds up to milliseconds; and the primary's clock may be set, and a new primary
// has another one. "The last commit at or before a time" therefore has two meanings, and both are answered:
//
//   through             the last commit before the first one in WAL order that is later than the time. Up to it nothing is later,
//                       so this is where to restore to when what was done after the time must not be in it. PostgreSQL's
//                       own recovery_target_time stops at the same place.
//   lastAtOrBefore      the last commit in WAL order that is not later than the time. Up to it everything that was committed at or
//                       before the time is there, and perhaps something later. The two are the same but where times go back.
//
// The recovery target is `through.lsn` with recovery_target_inclusive = true: the beginning of the commit's record, which is
// valid also when nothing follows it in WAL (a time, or the record's end, then is a FATAL error).
import type { Lsn } from "@tidemark/kernel/lsn";
import type { CommitPoint, SegmentCommits } from "./commit-point.ts";

export interface TimeAnswer {
  /** Undefined when the first commit that is known is later already. */
  readonly through: CommitPoint | undefined;
  readonly lastAtOrBefore: CommitPoint | undefined;
  /** The first commit in WAL order that is later. Undefined when none is known: then the answer may move on as WAL arrives. */
  readonly next: CommitPoint | undefined;
  /**
   * False when a segment that would have to be read is neither here nor was given: then `through` and `lastAtOrBefore` are commits
   * at or before the right ones, and `next` is one at or after it.
   */
  readonly exact: boolean;
  /** The WAL whose commits are known: without a hole. Commits before it are not counted in. */
  readonly known: { readonly from: Lsn; readonly to: Lsn };
}

/** What the search needs to know; all of it belongs to one trail, and everything is in the order of WAL. */
export interface TimeWorld {
  readonly known: { readonly from: Lsn; readonly to: Lsn };
  /** The first segment with a later commit. */
  firstLater(timeUs: number): Promise<SegmentCommits | undefined>;
  /** The last segment that begins at or behind `from` and has a commit not later; */
  lastNotLater(timeUs: number, from: Lsn): Promise<SegmentCommits | undefined>;
  /** The last commit in the segments that begin before `start`. */
  lastBefore(start: Lsn): Promise<CommitPoint | undefined>;
  /** Shows the commits of a segment; false when its WAL is not to be had. */
  eachCommit(segment: SegmentCommits, show: (commit: CommitPoint) => void): Promise<boolean>;
}

export async function answerTime(timeUs: number, world: TimeWorld): Promise<TimeAnswer> {
  const { known } = world;
  const later = await world.firstLater(timeUs);
  if (later === undefined) {
    const last = await world.lastBefore(known.to);
    return { through: last, lastAtOrBefore: last, next: undefined, exact: true, known };
  }
  let next: CommitPoint | undefined;
  let through: CommitPoint | undefined;
  let exact = await world.eachCommit(later, (commit) => {
    if (next !== undefined) return;
    if (commit.timeUs > timeUs) next = commit;
    else through = commit;
  });
  // Without the segment's WAL its first and last commit are still known.
  if (!exact) {
    if (later.first !== undefined && later.first.timeUs <= timeUs) through = later.first;
    else next = later.first;
    next ??= later.last;
  }
  through ??= await world.lastBefore(later.start);
  const candidate = await world.lastNotLater(timeUs, later.start);
  let lastAtOrBefore = through;
  if (candidate !== undefined) {
    const seen = await world.eachCommit(candidate, (commit) => {
      if (commit.timeUs <= timeUs) lastAtOrBefore = commit;
    });
    if (!seen && candidate.last !== undefined && candidate.last.timeUs <= timeUs) lastAtOrBefore = candidate.last;
    exact &&= seen;
  }
  return { through, lastAtOrBefore, next, exact, known };
}
