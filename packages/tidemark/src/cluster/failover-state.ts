// The vocabulary of the failover decision: what it remembers, what it hears, what it asks for. Plain data, so that a
// script, a simulation and a log can show it.
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import type { SynchronousPolicy } from "../config/config.ts";
import type { ClusterRecord, StatedLoss } from "./cluster-record.ts";

/** docs/failover-protocol.md, "A failover", says what happens in each. */
export const PHASES = [
  "unknown",
  "steady",
  "claiming",
  "watching",
  "revoking",
  "fencing",
  "stating",
  "completing",
  "promoting",
  "opening",
  "blocked",
] as const;
export type Phase = (typeof PHASES)[number];

/** A promise with the position that it covers (R3, R4). Stored by the voter before it is answered. */
export interface Vote {
  readonly node: string;
  readonly identity: string;
  /** The epoch promised to: the voter follows no primary of a lower one. */
  readonly epoch: Epoch;
  readonly timeline: Timeline;
  /** End of the last whole record, LSN text. */
  readonly end: string;
}

export interface DecisionSettings {
  /** Unique per incarnation: a coordinator that starts again is another one. */
  readonly coordinator: string;
  /** All nodes of the store and its vaults, in the configuration's order: everybody who is asked for a promise and a vote. */
  readonly nodes: readonly string[];
  /** Those that can become a primary. A vault votes and cannot; it gives its WAL to a candidate that is behind. */
  readonly promotable: readonly string[];
  readonly policy: SynchronousPolicy;
  readonly leaseMs: number;
  /** How long votes are waited for before the incumbent is tried again (R8), milliseconds. */
  readonly voteWaitMs: number;
  /** Time between attempts while blocked, milliseconds. */
  readonly retryMs: number;
  /** How long another coordinator's claim may stand still before it is taken over, milliseconds. */
  readonly takeOverAfterMs: number;
}

export interface Candidate {
  readonly node: string;
  /** The position that it must have replayed, LSN text. */
  readonly target: string;
  /** The primary of the record itself, re-elected (R8): it keeps timeline and sets. */
  readonly incumbent: boolean;
}

/** What a candidate lacks, and who has it. */
export interface Completion {
  /** A vault. */
  readonly from: string;
  /** The end that it voted, LSN text, and its timeline. */
  readonly target: string;
  readonly timeline: Timeline;
}

export interface FailedCompletion {
  readonly node: string;
  readonly from: string;
  readonly why: string;
}

export function completionKey(node: string, from: string): string {
  return `${node} from ${from}`;
}

export interface FailoverState {
  readonly phase: Phase;
  readonly record?: ClusterRecord;
  /** The record's revision; 0 while none is known. */
  readonly revision: number;
  /** The votes of the open claim, by node. */
  readonly votes: Readonly<Record<string, Vote>>;
  /** Nodes that said no or did not answer, with the reason. */
  readonly refusals: Readonly<Record<string, string>>;
  /** Completions that failed since everybody was last asked, by {@link completionKey}. */
  readonly notCompleted: Readonly<Record<string, FailedCompletion>>;
  readonly waitOver: boolean;
  /** The incumbent is stopped, or its lease is over. */
  readonly fenced: boolean;
  readonly candidate?: Candidate;
  /** What the candidate is given while `completing`. */
  readonly completion?: Completion;
  /** What was given to `node`, which had voted `lsn`: for the account of the failover. */
  readonly completed?: Completion & { readonly node: string; readonly lsn: string };
  /** An operator's acceptance of the stated loss, for the open claim. */
  readonly acceptance?: { readonly by: string; readonly reason: string };
  /** Why a claim was made, for its record. */
  readonly reason?: string;
  /** What stands in the way while `blocked`. */
  readonly obstacle?: string;
  /** The loss that would have to be accepted, while `blocked` by it. */
  readonly estimate?: LossEstimate;
}

export type LossEstimate = Pick<StatedLoss, "bytes" | "exposureMs" | "reportAgeMs">;

export type TimerName = "vote-wait" | "lease" | "retry" | "take-over";

export type Input =
  /** The record was read, or changed. */
  | { readonly type: "observed"; readonly record: ClusterRecord | undefined; readonly revision: number }
  /** The primary is suspected; `standbys` are the others that answer and can be promoted: a vault alone is no reason for a claim (R8). Repeated while it is so. */
  | { readonly type: "suspected"; readonly node: string; readonly reason: string; readonly standbys: readonly string[] }
  /** Our compare-and-set found another revision. */
  | { readonly type: "conflict" }
  /** Our compare-and-set has an unknown outcome, or a read failed. */
  | { readonly type: "away" }
  | { readonly type: "vote"; readonly vote: Vote }
  | { readonly type: "refused"; readonly epoch: Epoch; readonly node: string; readonly why: string }
  | { readonly type: "fenced"; readonly epoch: Epoch; readonly node: string }
  | ({ readonly type: "estimated"; readonly epoch: Epoch; readonly atMs: number } & LossEstimate)
  | { readonly type: "completed"; readonly epoch: Epoch; readonly node: string; readonly from: string }
  | { readonly type: "not-completed"; readonly epoch: Epoch; readonly node: string; readonly from: string; readonly why: string }
  | { readonly type: "promote-failed"; readonly epoch: Epoch; readonly node: string; readonly why: string }
  /** The primary of the record's epoch accepts writes. */
  | { readonly type: "opened"; readonly epoch: Epoch; readonly node: string }
  | { readonly type: "timer"; readonly name: TimerName; readonly token: number }
  /** An operator accepts the stated loss. `primaryIsDown`: and vouches that the incumbent acknowledges nothing any more. */
  | { readonly type: "accepted"; readonly by: string; readonly reason: string; readonly primaryIsDown: boolean };

export type InputType = Input["type"];

export type Effect =
  | { readonly type: "read" }
  /** Puts `claim` into the record of revision `expected`, which otherwise stays as it is. */
  | { readonly type: "compare-and-set"; readonly expected: number; readonly record: ClusterRecord }
  | { readonly type: "revoke"; readonly node: string; readonly epoch: Epoch }
  | { readonly type: "fence"; readonly node: string; readonly epoch: Epoch }
  | { readonly type: "estimate"; readonly epoch: Epoch; readonly node: string; readonly end: string }
  /** `node` shall replay up to `target` on `timeline` from the WAL of the vault `from`. Answered by `completed` or `not-completed`. */
  | ({ readonly type: "complete"; readonly epoch: Epoch; readonly node: string } & Completion)
  | { readonly type: "promote"; readonly epoch: Epoch; readonly candidate: Candidate }
  /** Answers `timer` with the same token after the delay; a timer whose token is no longer current is ignored. */
  | { readonly type: "timer"; readonly name: TimerName; readonly token: number; readonly delayMs: number };

export interface Decision {
  readonly state: FailoverState;
  readonly effects: readonly Effect[];
}

export const INITIAL_STATE: FailoverState = {
  phase: "unknown",
  revision: 0,
  votes: {},
  refusals: {},
  notCompleted: {},
  waitOver: false,
  fenced: false,
};
