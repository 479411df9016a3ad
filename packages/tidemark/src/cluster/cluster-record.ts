import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";

/**
 * The one key per store that says who reigns (R1): epoch, primary and synchronous sets change together, by
 * compare-and-set. Key: `cluster/<store>`.
 */
export interface ClusterRecord {
  readonly formatVersion: 1;
  readonly store: string;
  readonly systemIdentifier: SystemIdentifier;
  readonly epoch: Epoch;
  /** Name of the node that reigns in `epoch`, as in the configuration. */
  readonly primary: string;
  /** The timeline of this reign and the LSN (text) at which it forked off; `0/0` for the first. */
  readonly timeline: Timeline;
  readonly forkLsn: string;
  /** The timeline that it forked off from; absent for the first. */
  readonly forkedFrom?: Timeline;
  /** One set, or old and new during a change (R1). A revocation must satisfy all of them. */
  readonly sets: readonly SynchronousSet[];
  /** The next timeline to be handed out; reserved numbers are never reused (R2). */
  readonly nextTimeline: number;
  /** Earlier reigns, newest first, at most {@link REIGNS_KEPT}. */
  readonly reigns: readonly Reign[];
  /** An open claim: a failover under way. */
  readonly claim?: Claim;
  /** Wall time at which this reign began, and what was given up for it. */
  readonly beganAtMs: number;
  readonly loss?: StatedLoss;
}

/** The lease store's key of a store's record. */
export function recordKey(store: string): string {
  return `cluster/${store}`;
}

/** How many earlier reigns the record keeps; older ones stand in the audit log. */
export const REIGNS_KEPT = 64;

/** `required` of `members` must have flushed before a commit returns. Required 0 means asynchronous (R5). */
export interface SynchronousSet {
  readonly members: readonly Member[];
  readonly required: number;
}

/** A member of a synchronous set: the node and the identity stored with its data (R6); `identity` is its application_name. */
export interface Member {
  readonly node: string;
  readonly identity: string;
}

export interface Reign {
  readonly epoch: Epoch;
  readonly primary: string;
  readonly timeline: Timeline;
  readonly forkLsn: string;
  readonly forkedFrom?: Timeline;
  readonly beganAtMs: number;
  /** What was given up when this reign began, stated before (NO-LOSS-PROMOTE). Absent when nothing was. */
  readonly loss?: StatedLoss;
}

export interface Claim {
  /** The epoch that will begin. */
  readonly epoch: Epoch;
  readonly coordinator: string;
  readonly reason: string;
  /** Wall time, for people; nothing is decided by it. */
  readonly claimedAtMs: number;
  /** The loss that was stated and accepted for this claim, written before the promotion. */
  readonly loss?: StatedLoss;
}

/** A loss in numbers, stated before it happens and accepted by somebody with a name. */
export interface StatedLoss {
  /** WAL bytes between the candidate and the newest known position of the old primary; undefined: unknown, never zero. */
  readonly bytes?: number;
  /** How long before its end the old primary had written what the candidate lacks, at most; undefined: unknown. */
  readonly exposureMs?: number;
  /** Age of the old primary's last report when the loss was stated: commits of that time are not in `bytes`. */
  readonly reportAgeMs?: number;
  readonly candidate: string;
  /** `policy bounded`, `policy available`, or an operator's name. */
  readonly acceptedBy: string;
  readonly reason: string;
  readonly statedAtMs: number;
}

/**
 * Where the primary is, for those who connect: what `GET /v1/stores/<store>/route` of control answers (with
 * `?after=<revision>&waitMs=<n>` it waits for a change), also cached and served by each agent at `/route`.
 */
export interface PrimaryRoute {
  readonly store: string;
  readonly revision: number;
  readonly epoch: Epoch;
  readonly node: string;
  readonly host: string;
  readonly port: number;
  readonly timeline: Timeline;
  readonly systemIdentifier: SystemIdentifier;
  /** `open`: connect. `changing`: a claim is open or the new primary is not ready; wait for the next revision. */
  readonly state: "open" | "changing";
  /** Whether a commit waits for another copy. */
  readonly guarantee: "synchronous" | "asynchronous";
  /** application_names that must have flushed for TRIM-SAFE (R11). Empty when no copy is demanded or known. */
  readonly demanded: readonly string[];
}
