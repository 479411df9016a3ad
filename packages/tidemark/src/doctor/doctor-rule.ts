// A finding that needs the whole configuration: several servers, a repository, an objective, this machine's disks. What one server shows
// alone is found by the rules of `tidemark check`. Each rule is a pure function in a file of its own in findings/, with a page of the same
// name in docs/findings/.
import type { Judgement, Severity } from "../check/finding.ts";
import type { ConfigurationSurvey } from "./configuration-survey.ts";

export interface DoctorRule {
  /** The file's and its page's name: `two-primaries`. */
  readonly name: string;
  /** Never renamed or used for something else. */
  readonly code: `TM-FINDING-${string}`;
  readonly severity: Severity;
  /** What is wrong, in one sentence. */
  readonly title: string;
  /** One judgement for each subject of which it holds. Empty: for none, or what it needs was not seen; the report says what was not seen. */
  judge(survey: ConfigurationSurvey, thresholds: DoctorThresholds): readonly SubjectJudgement[];
}

export interface SubjectJudgement extends Judgement {
  /** What it is about: `shop`, `shop/db1`, `journal`. */
  readonly subject: string;
}

/** From when on something is a finding. */
export interface DoctorThresholds {
  /** Share of a file system that is free, 0 to 1. */
  readonly freeShare: number;
  /** The same, from which on it is critical. */
  readonly criticalFreeShare: number;
  /** A round trip that every commit waits for, milliseconds. */
  readonly commitWaitMs: number;
}

export const DOCTOR_THRESHOLDS: DoctorThresholds = { freeShare: 0.1, criticalFreeShare: 0.03, commitWaitMs: 30 };
