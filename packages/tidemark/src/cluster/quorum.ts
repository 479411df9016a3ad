// Counting votes. Pure.
//
// Let a set be "k of n": PostgreSQL returns a commit when k of the n members have flushed it. A member that has promised
// (R3) flushes nothing more for the old primary.
//
//   ONE-WRITER. If n−k+1 members have promised, k−1 are left, so no commit finds its k any more: the old primary can
//   acknowledge nothing under this set.
//   NO-LOSS-PROMOTE. A commit that was acknowledged under this set is on k members. Any n−k+1 of them include at least
//   one of those k, because k + (n−k+1) = n+1 > n. So the highest position among n−k+1 votes covers every commit
//   acknowledged under this set. (A member's WAL has no gaps: it holds a commit exactly when its position is beyond it.)
//
// With two sets, during a change (R1), a commit may have been acknowledged under either: both must have their n−k+1, and the
// highest position over both covers everything. `FIRST k` acknowledges a subset of what `ANY k` does, so it needs no less
// counting and no more (R7).
//
// Two kinds of set are outside this arithmetic:
//   closed (k > n): acknowledges nothing, so it needs no vote for ONE-WRITER. But what was acknowledged *before* it was
//   recorded is on the incumbent for sure and on nobody else: votes prove nothing, only the incumbent may go on.
//   asynchronous (k = 0): acknowledges without asking anybody; n−k+1 = n+1 votes do not exist. The incumbent itself must be
//   stopped or its lease be over (R5), and what it alone has may be lost.
import type { ClusterRecord, SynchronousSet } from "./cluster-record.ts";

export type SetKind = "counted" | "closed" | "asynchronous";

export function kindOf(set: SynchronousSet): SetKind {
  if (set.required === 0) return "asynchronous";
  return set.required > set.members.length ? "closed" : "counted";
}

/** The set that a reign begins with: acknowledges nothing until the policy has changed it. */
export const CLOSED_SET: SynchronousSet = { members: [], required: 1 };

/** The set without any member: a commit waits for nobody (R5). */
export const ASYNCHRONOUS_SET: SynchronousSet = { members: [], required: 0 };

/** Votes that a counted set needs: n−k+1. */
export function votesNeeded(set: SynchronousSet): number {
  return set.members.length - set.required + 1;
}

export interface QuorumVerdict {
  /** ONE-WRITER by votes: every counted set has its n−k+1. Says nothing of asynchronous sets. */
  readonly revoked: boolean;
  /** The highest vote covers every commit acknowledged under the recorded sets. */
  readonly covered: boolean;
  /** A set is asynchronous: the incumbent must be stopped, or its lease be over, before anybody is promoted (R5). */
  readonly needsFence: boolean;
  /** A set is closed: only the incumbent is known to hold everything. */
  readonly onlyIncumbent: boolean;
  /** For each recorded set, how many votes are missing. */
  readonly missing: readonly number[];
}

/** Judges the promises of `identities` against all sets of the record. An identity that is no member counts nowhere (R6). */
export function judge(sets: readonly SynchronousSet[], identities: ReadonlySet<string>): QuorumVerdict {
  const missing = sets.map((set) => {
    if (kindOf(set) !== "counted") return 0;
    const given = set.members.filter((member) => identities.has(member.identity)).length;
    return Math.max(0, votesNeeded(set) - given);
  });
  const kinds = new Set(sets.map(kindOf));
  const revoked = missing.every((count) => count === 0);
  const needsFence = kinds.has("asynchronous");
  const onlyIncumbent = kinds.has("closed");
  return { revoked, covered: revoked && !needsFence && !onlyIncumbent, needsFence, onlyIncumbent, missing };
}

/** Whether commits return without waiting for another copy in some recorded set. */
export function isAsynchronous(record: Pick<ClusterRecord, "sets">): boolean {
  return record.sets.some((set) => kindOf(set) === "asynchronous");
}

export function sameSet(a: SynchronousSet, b: SynchronousSet): boolean {
  const names = (set: SynchronousSet): string => [...new Set(set.members.map((member) => member.identity))].sort().join("\n");
  return a.required === b.required && names(a) === names(b);
}
