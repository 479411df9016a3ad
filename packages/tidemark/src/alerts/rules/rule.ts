// What a rule is: a pure function from what is known to a verdict per subject, with its evidence. Each rule is one file, with one
// page of the same name in docs/runbooks/. rule-table.ts lists them.
import type { Objective } from "../../config/config.ts";
import type { ScenarioExposure } from "../../exposure/exposure.ts";
import type { StoreFacts } from "../../probes/probe-result.ts";
import type { SliceCounts } from "../../slo/slice-counts.ts";
import type { VaultStatus } from "../../vault/vault-status.ts";
import type { Evidence, Severity, Subject } from "../alert.ts";
import type { ExposureTrend } from "../exposure-trend.ts";
import type { ReceiverFacts } from "../observation.ts";

export type Verdict =
  | {
      readonly kind: "holds";
      /** One sentence for somebody who was just woken: what, how much, against what. */
      readonly summary: string;
      readonly evidence: Evidence;
      /** Instead of the rule's own, where it depends on the objective. */
      readonly forMs?: number;
    }
  | { readonly kind: "clear" }
  /** Cannot be judged now: nothing begins and nothing ends. */
  | { readonly kind: "unknown" };

export const CLEAR: Verdict = { kind: "clear" };
export const UNKNOWN: Verdict = { kind: "unknown" };

export interface SubjectVerdict {
  /** Beside the store and the services that use it. */
  readonly subject: Pick<Subject, "copy" | "vault" | "archive">;
  readonly verdict: Verdict;
}

interface RuleText {
  /** Of the file, of the runbook page, and `alertname` at receivers. */
  readonly name: string;
  readonly severity: Severity;
  /** How long it has to hold before it fires. */
  readonly forMs: number;
  /** How long it has to be clear before the alert ends. */
  readonly keepMs: number;
}

/** Judges one service and scenario that has an objective. */
export interface ScenarioRule extends RuleText {
  readonly scope: "scenario";
  judge(input: ScenarioInput): Verdict;
}

/** Judges one store and its copies. A subject that it says nothing of any more is gone. */
export interface StoreRule extends RuleText {
  readonly scope: "store";
  judge(input: StoreInput): readonly SubjectVerdict[];
}

/** Judges one vault that answers. */
export interface VaultRule extends RuleText {
  readonly scope: "vault";
  judge(input: VaultInput): readonly SubjectVerdict[];
}

/** Judges the delivery to one receiver. */
export interface ReceiverRule extends RuleText {
  readonly scope: "receiver";
  judge(facts: ReceiverFacts): Verdict;
}

export type Rule = ScenarioRule | StoreRule | VaultRule | ReceiverRule;

export interface ScenarioInput {
  readonly nowMs: number;
  readonly exposure: ScenarioExposure;
  readonly objective: Objective;
  /** Share of seconds that have to be good. */
  readonly target: number;
  readonly trend: ExposureTrend;
  /** Whether this rule's alert fires now: a threshold may be lower for ending than for beginning. */
  readonly firing: boolean;
  /** Counts of the newest `windowMs`, one of the burn-rate table's windows. */
  counts(windowMs: number): SliceCounts;
}

export interface StoreInput {
  readonly nowMs: number;
  readonly facts: StoreFacts;
  /** Copies whose recovery point has been known once, by name; when last. */
  readonly seen: ReadonlyMap<string, number>;
  /** How old the last proof of a copy may be, the strictest of the services on this store. */
  readonly mostProofAgeMs: number;
}

export interface VaultInput {
  readonly nowMs: number;
  readonly status: VaultStatus;
}
