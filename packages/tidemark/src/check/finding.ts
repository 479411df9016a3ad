// A finding: something about a server that can cost data, with what was seen, and what to do. Each rule is a pure function in a
// file of its own in findings/, with a page of the same name in docs/findings/.
import type { ServerSurvey } from "./server-survey.ts";

/** From bad to worth knowing. Critical: data will be lost, or is being put at risk now. Warning: an accident would cost more than it has to. */
export const SEVERITIES = ["critical", "warning", "notice"] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface FindingRule {
  /** The file's and its page's name: `archiver-failing`. */
  readonly name: string;
  /** Never renamed or used for something else. */
  readonly code: `TM-FINDING-${string}`;
  readonly severity: Severity;
  /** What is wrong, in one sentence. */
  readonly title: string;
  /** Undefined: nothing of the kind, or what it needs was not seen; the report says what was not seen. */
  judge(survey: ServerSurvey, thresholds: Thresholds): Judgement | undefined;
}

export interface Judgement {
  /** What was seen, with names and numbers; at least one. */
  readonly evidence: readonly string[];
  /** What to do, the exact statements or settings; at least one. */
  readonly fix: readonly string[];
  /** Where the case at hand is worse or better than usual. */
  readonly severity?: Severity;
}

/** From when on something is a finding. */
export interface Thresholds {
  /** Age of an open or prepared transaction, milliseconds. */
  readonly transactionAgeMs: number;
  /** Difference between two clocks beyond its error bound, milliseconds. */
  readonly clockSkewMs: number;
  /** How far a replica may be behind, milliseconds. */
  readonly replicaLagMs: number;
}

export const THRESHOLDS: Thresholds = { transactionAgeMs: 300_000, clockSkewMs: 1_000, replicaLagMs: 10_000 };
