// What control knows of the stores, for `tidemark status`: figures with their age, words for people, and "unknown" where
// nothing is known (HONEST-NUMBER).
import { parseLsn } from "@tidemark/kernel/lsn";
import type { AgentStatus } from "../cluster/agent-status.ts";
import type { ClusterRecord, PrimaryRoute } from "../cluster/cluster-record.ts";
import type { FailoverState, LossEstimate, Phase } from "../cluster/failover-state.ts";
import { judgeLineage } from "../cluster/lineage.ts";
import { kindOf } from "../cluster/quorum.ts";
import type { StoreConfig } from "../config/config.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { FailoverEvent } from "./failover-history.ts";

export interface NodeReport {
  readonly node: string;
  readonly role: "primary" | "standby";
  /** What its agent last said; absent when it has not since control started. */
  readonly status?: AgentStatus;
  /** Age of `status`, milliseconds. */
  readonly ageMs?: number;
  /** Bytes of WAL that the primary has flushed and this standby has not replayed, by their last reports; absent: unknown. */
  readonly lagBytes?: number;
}

/** A vault, as its heartbeats describe it; `status.vault` has its own words (vault-status.ts). */
export interface VaultReport {
  readonly vault: string;
  /** Whether commits wait for it now: a member of every set of the record. */
  readonly member: boolean;
  readonly status?: AgentStatus;
  /** Age of `status`, milliseconds. */
  readonly ageMs?: number;
  /** Bytes of WAL that the primary has flushed and this vault has not, by their last reports; absent: unknown. */
  readonly lagBytes?: number;
}

export interface StoreReport {
  readonly store: string;
  readonly state: "serving" | "changing" | "blocked" | "unknown";
  readonly record?: ClusterRecord;
  readonly route?: PrimaryRoute;
  /** How many copies a commit waits for, in words. */
  readonly synchronous: string;
  readonly policy: string;
  readonly nodes: readonly NodeReport[];
  readonly vaults: readonly VaultReport[];
  readonly decision: { readonly phase: Phase; readonly obstacle?: string; readonly estimate?: LossEstimate };
  readonly lastFailover?: FailoverEvent;
  /** Newest last. */
  readonly events: readonly FailoverEvent[];
}

export function reportStore(
  storeName: string,
  store: StoreConfig,
  known: {
    state: FailoverState;
    registry: AgentRegistry;
    route: PrimaryRoute | undefined;
    events: readonly FailoverEvent[];
    lastFailover: FailoverEvent | undefined;
  },
): StoreReport {
  const { state, registry, route, lastFailover } = known;
  const { record } = state;
  const primary = record === undefined ? undefined : registry.heard(record.primary);
  const nodes = store.nodes.map(({ name }): NodeReport => {
    const heard = registry.heard(name);
    const role = record?.primary === name ? "primary" : "standby";
    if (heard === undefined) return { node: name, role };
    const lagBytes = role === "standby" && record !== undefined ? lagOf(record, heard.status, primary?.status) : undefined;
    return { node: name, role, status: heard.status, ageMs: Math.round(heard.ageMs), ...(lagBytes === undefined ? {} : { lagBytes }) };
  });
  const vaults = store.vaults.map(({ name }): VaultReport => {
    const heard = registry.heard(name);
    const member = record !== undefined && record.sets.every((set) => set.members.some((one) => one.node === name));
    if (heard === undefined) return { vault: name, member };
    const lagBytes = record === undefined ? undefined : lagOf(record, heard.status, primary?.status);
    return { vault: name, member, status: heard.status, ageMs: Math.round(heard.ageMs), ...(lagBytes === undefined ? {} : { lagBytes }) };
  });
  return {
    store: storeName,
    state: stateWord(state, route),
    synchronous: record === undefined ? "unknown" : synchronousWords(record, store),
    policy: store.policy.kind === "bounded" ? `bounded (${store.policy.mostLossMs} ms)` : store.policy.kind,
    nodes,
    vaults,
    decision: {
      phase: state.phase,
      ...(state.obstacle === undefined ? {} : { obstacle: state.obstacle }),
      ...(state.estimate === undefined ? {} : { estimate: state.estimate }),
    },
    events: known.events,
    ...(record === undefined ? {} : { record }),
    ...(route === undefined ? {} : { route }),
    ...(lastFailover === undefined ? {} : { lastFailover }),
  };
}

function stateWord(state: FailoverState, route: PrimaryRoute | undefined): StoreReport["state"] {
  if (state.record === undefined) return "unknown";
  if (state.phase === "blocked") return "blocked";
  return route?.state === "open" ? "serving" : "changing";
}

/** How many copies besides the primary a commit waits for, for people. */
export function synchronousWords(record: ClusterRecord, store: StoreConfig): string {
  const kinds = new Set(record.sets.map(kindOf));
  if (kinds.has("asynchronous")) {
    return store.required === 0
      ? "asynchronous by configuration: a failover may lose the newest commits"
      : "asynchronous: a failover may lose the newest commits until another copy is back";
  }
  if (kinds.has("closed")) return "no synchronous copy: commits wait until another copy is back";
  const required = Math.min(...record.sets.map((set) => set.required));
  const of = Math.max(...record.sets.map((set) => set.members.length));
  return `${required} synchronous ${required === 1 ? "copy" : "copies"}${of > required ? ` of ${of}` : ""}`;
}

/** Comparable only on one line of timelines (R11). */
function lagOf(record: ClusterRecord, standby: AgentStatus, primary: AgentStatus | undefined): number | undefined {
  if (primary?.lsn === undefined || standby.lsn === undefined || standby.timeline === undefined || primary.timeline !== record.timeline)
    return undefined;
  const end = parseLsn(standby.lsn);
  if (judgeLineage(record, standby.timeline, end) === "diverged") return undefined;
  return Math.max(0, Number(parseLsn(primary.lsn) - end));
}
