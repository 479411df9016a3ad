import type { Epoch, Sequence, Timeline } from "@tidemark/kernel/brands";
import type { PrimaryRoute } from "../cluster/cluster-record.ts";
import type { DatabaseIdentity } from "./database.ts";

/** Where one partition stands, for the rules. */
export interface PartitionProgress {
  readonly partition: number;
  /** Everything of this partition up to here is committed. */
  readonly position: Sequence;
  /** The first record in hand that is not committed. */
  readonly head: Sequence | undefined;
}

/** A reign as it was when a barrier was committed. */
export interface BarrierReign {
  readonly epoch: Epoch;
  readonly timeline: Timeline;
}

/** What to think of a server that the route led to (R17). */
export type IdentityVerdict = "recorded" | "not-yet" | "not-recorded";

/**
 * The decisions of the write protocol that the simulation switches off one by one. Everywhere else {@link APPLY_RULES} is used.
 */
export interface ApplyRules {
  /** R13: may the error of the write at `sequence` be taken as final? `readUpTo`: all records up to here are in hand or committed. */
  mayJudge(sequence: Sequence, others: readonly PartitionProgress[], readUpTo: bigint): boolean;
  /** R13: are verdicts that the journal holds obeyed? */
  obeysVerdicts(): boolean;
  /** R11: is a barrier of `committed` still a proof, now that the database and the route say `now`? */
  barrierHolds(committed: BarrierReign, now: BarrierReign, route: { readonly before: Epoch; readonly now: Epoch }): boolean;
  /** R17. */
  judgeIdentity(identity: DatabaseIdentity, route: PrimaryRoute): IdentityVerdict;
}

export const APPLY_RULES: ApplyRules = {
  mayJudge: (sequence, others, readUpTo) =>
    readUpTo >= sequence && others.every((other) => other.position >= sequence || other.head === undefined || other.head > sequence),
  obeysVerdicts: () => true,
  barrierHolds: (committed, now, route) =>
    committed.epoch === now.epoch && committed.timeline === now.timeline && route.before === route.now,
  judgeIdentity,
};

function judgeIdentity(identity: DatabaseIdentity, route: PrimaryRoute): IdentityVerdict {
  if (identity.systemIdentifier !== route.systemIdentifier) return "not-recorded";
  // A standby on its way to be promoted, or the old primary that came back.
  if (identity.inRecovery) return "not-yet";
  const epoch = identity.newestEpoch ?? 0;
  if (epoch === route.epoch) return identity.timeline === route.timeline ? "recorded" : "not-recorded";
  // A newer reign than the route's: the route is old. An older one on the right timeline: its reign is about to be written.
  if (epoch > route.epoch || identity.timeline === route.timeline) return "not-yet";
  return "not-recorded";
}
