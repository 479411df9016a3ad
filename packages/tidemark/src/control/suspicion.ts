// When a primary is suspected: docs/failover-protocol.md, "Suspicion". Pure. A suspicion alone stops nothing.
import type { AgentStatus } from "../cluster/agent-status.ts";
import type { ClusterRecord } from "../cluster/cluster-record.ts";

/** What control last heard of a node. */
export interface Heard {
  readonly status: AgentStatus;
  /** Age of it, milliseconds. */
  readonly ageMs: number;
}

export interface SuspicionInput {
  readonly record: ClusterRecord;
  readonly primary: Heard | undefined;
  /** How long control has been listening; before the first heartbeats nobody is silent. Milliseconds. */
  readonly listeningMs: number;
  /** The direct question to PostgreSQL: for how long it has failed, 0 when the last one was answered; undefined: not asked. */
  readonly unansweredMs: number | undefined;
  readonly leaseMs: number;
  readonly suspectAfterMs: number;
}

export type Suspicion =
  | { readonly kind: "none" }
  /** The agent is silent: ask PostgreSQL itself. */
  | { readonly kind: "ask" }
  | { readonly kind: "suspected"; readonly reason: string };

/** States in which the recorded primary's agent says that it cannot serve. */
const SAYS_NO: Readonly<Partial<Record<AgentStatus["state"], string>>> = {
  down: "PostgreSQL ended",
  unresponsive: "PostgreSQL answers no probe",
};

export function suspect(input: SuspicionInput): Suspicion {
  const { primary, record } = input;
  const silentMs = primary?.ageMs ?? input.listeningMs;
  if (primary !== undefined && silentMs < input.leaseMs) {
    const why = SAYS_NO[primary.status.state];
    if (why !== undefined) return { kind: "suspected", reason: `${why} (its agent says so)` };
    if (hasNoData(primary.status, record)) return { kind: "suspected", reason: "the recorded primary has no data" };
    return { kind: "none" };
  }
  if (silentMs < input.leaseMs) return { kind: "none" };
  if (input.unansweredMs === undefined || input.unansweredMs < input.suspectAfterMs) return { kind: "ask" };
  return { kind: "suspected", reason: `its agent has been silent for ${Math.round(silentMs)} ms and PostgreSQL does not answer either` };
}

/** An agent that knows this very reign, and has nothing to reign over. */
function hasNoData(status: AgentStatus, record: ClusterRecord): boolean {
  return status.identity === undefined && status.state === "waiting" && status.epoch === record.epoch;
}

/** Whether a node could answer a revocation with a vote. */
export function couldVote(heard: Heard | undefined, leaseMs: number): boolean {
  if (heard === undefined || heard.ageMs >= leaseMs) return false;
  const { status } = heard;
  return status.identity !== undefined && status.inRecovery === true && status.state !== "stopping" && status.state !== "cloning";
}
