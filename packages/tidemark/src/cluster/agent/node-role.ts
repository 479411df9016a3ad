// What a node has to do next, from the record and its own data. Pure. The agent does one action, looks again, and asks again.
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { ClusterRecord } from "../cluster-record.ts";
import { judgeLineage } from "../lineage.ts";

export interface LocalNode {
  readonly data: "absent" | "present";
  readonly systemIdentifier?: SystemIdentifier;
  /** The first node's data, made but not yet in the record. */
  readonly bootstrapping: boolean;
  readonly promised?: Epoch;
  readonly heldBack: boolean;
  readonly server: "stopped" | "running";
  /** The stopped data directory would start as a standby: a promotion was recorded and never begun. */
  readonly markedStandby: boolean;
  /** Asked of the running server; undefined until it has answered. */
  readonly inRecovery?: boolean;
  readonly timeline?: Timeline;
  readonly replayed?: Lsn;
  /** Milliseconds since a postmaster ended by itself; undefined when none did since the agent started. */
  readonly crashedForMs?: number;
  /** For whom the settings of the running standby were written: `<epoch>/<primary>`, or `nobody`. */
  readonly follows?: string;
}

export type NodeAction =
  | { readonly kind: "wait"; readonly why: string }
  /** An empty lease store and data of before: FAIL-STOP until a person decides (R7). */
  | { readonly kind: "refuse"; readonly why: string }
  | { readonly kind: "bootstrap" }
  | { readonly kind: "discard-half-made" }
  | { readonly kind: "clone" }
  | { readonly kind: "clone-again"; readonly why: string }
  | { readonly kind: "start-primary" }
  | { readonly kind: "finish-promotion" }
  | { readonly kind: "be-primary" }
  | { readonly kind: "demote" }
  | { readonly kind: "start-standby"; readonly follow: boolean }
  | { readonly kind: "follow" }
  | { readonly kind: "follow-nobody" }
  | { readonly kind: "be-standby" };

export interface RoleInput {
  readonly node: string;
  /** Whether this node makes the cluster when there is none: the first in the configuration. */
  readonly isFirst: boolean;
  /** The record; undefined: the lease store answered that there is none. */
  readonly record: ClusterRecord | undefined;
  /** The record was read from the lease store for this very decision, not remembered. */
  readonly confirmed: boolean;
  readonly local: LocalNode;
  /** How long a crashed primary waits for a claim before it starts again, milliseconds. */
  readonly restartAfterMs: number;
}

export function followsKey(record: ClusterRecord): string {
  return `${record.epoch}/${record.primary}`;
}

/** Whether connection settings may be written: the promise is read first (R3). */
export function mayFollow(record: ClusterRecord, promised: Epoch | undefined): boolean {
  return promised === undefined || (record.epoch >= promised && record.claim === undefined);
}

export function decideRole(input: RoleInput): NodeAction {
  const { record, local } = input;
  if (record === undefined) return withoutRecord(input);
  if (local.data === "present" && local.systemIdentifier !== record.systemIdentifier) {
    return {
      kind: "refuse",
      why: `the data is of cluster ${local.systemIdentifier ?? "unknown"}, the record of ${record.systemIdentifier}`,
    };
  }
  return record.primary === input.node ? asPrimary(input, record) : asStandby(input, record);
}

function withoutRecord(input: RoleInput): NodeAction {
  const { local } = input;
  if (!input.confirmed) return { kind: "wait", why: "the lease store has not answered yet" };
  if (local.data === "present" && !local.bootstrapping) {
    return { kind: "refuse", why: "the lease store is empty and this node has data" };
  }
  if (!input.isFirst) return { kind: "wait", why: "the first node has to make the cluster" };
  return local.data === "absent" ? { kind: "bootstrap" } : { kind: "discard-half-made" };
}

function asPrimary(input: RoleInput, record: ClusterRecord): NodeAction {
  const { local } = input;
  if (local.data === "absent")
    return { kind: "wait", why: "this node is the recorded primary and its data is gone; another must be promoted" };
  if (local.server === "running") {
    if (local.inRecovery === undefined) return { kind: "wait", why: "PostgreSQL has not answered yet" };
    if (!local.inRecovery) return { kind: "be-primary" };
    // Recorded, then interrupted before the promotion (R2).
    return record.claim === undefined ? { kind: "finish-promotion" } : { kind: "wait", why: "a claim is open" };
  }
  if (record.claim !== undefined) return { kind: "wait", why: "a claim is open" };
  // A claim of that epoch was made after what is known here: the answer of the lease store was on its way meanwhile.
  if (local.promised !== undefined && local.promised > record.epoch) return { kind: "wait", why: `epoch ${local.promised} is promised` };
  if (local.crashedForMs !== undefined && local.crashedForMs < input.restartAfterMs)
    return { kind: "wait", why: "PostgreSQL ended; another may be promoted" };
  // Recorded, and ended before the promotion: on its new timeline or not at all (R2).
  if (local.markedStandby) return { kind: "start-standby", follow: false };
  if (!input.confirmed) return { kind: "wait", why: "the lease store must confirm the reign before PostgreSQL may write" };
  return { kind: "start-primary" };
}

function asStandby(input: RoleInput, record: ClusterRecord): NodeAction {
  const { local } = input;
  if (local.server === "running" && local.inRecovery === false) return { kind: "demote" };
  if (local.data === "absent") {
    return record.claim === undefined ? { kind: "clone" } : { kind: "wait", why: "a claim is open" };
  }
  const follow = mayFollow(record, local.promised) && !local.heldBack;
  if (local.server === "stopped") return { kind: "start-standby", follow };
  if (local.inRecovery === undefined) return { kind: "wait", why: "PostgreSQL has not answered yet" };
  if (local.timeline !== undefined && local.replayed !== undefined && judgeLineage(record, local.timeline, local.replayed) === "diverged") {
    const why = `timeline ${local.timeline} at ${local.replayed.toString(16)} is not on the recorded line`;
    return record.claim === undefined ? { kind: "clone-again", why } : { kind: "wait", why };
  }
  if (follow) return local.follows === followsKey(record) ? { kind: "be-standby" } : { kind: "follow" };
  if (local.heldBack && local.follows !== "nobody") return { kind: "follow-nobody" };
  return { kind: "be-standby" };
}
