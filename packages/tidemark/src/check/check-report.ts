// A check's result: what was found, what would be lost, what is wrong, and what is not known.
import { SEVERITIES, THRESHOLDS, type FindingRule, type Judgement, type Severity, type Thresholds } from "./finding.ts";
import { FINDING_RULES } from "./finding-rules.ts";
import { exposureOfSurvey, notCovered, type SeenExposure } from "./scenario-exposure.ts";
import { seenList, settingOf, type Lag, type ServerSurvey } from "./server-survey.ts";

export interface Finding extends Judgement {
  readonly code: FindingRule["code"];
  readonly name: string;
  readonly severity: Severity;
  readonly title: string;
  /** Path of its page within the project. */
  readonly page: string;
}

/** A copy that the server knows of. */
export interface CopyFound {
  readonly name: string;
  readonly kind: "standby" | "receiver" | "archive" | "logical";
  /** Null: not known, or over a Unix socket. */
  readonly address: string | null;
  readonly state: string;
  /** Whether an acknowledgement waits for it. */
  readonly synchronous: boolean;
  readonly missingBytes: number | null;
  readonly lag: Lag;
}

export interface CheckReport {
  /** Grows when a field changes its meaning. */
  readonly version: 1;
  readonly target: string;
  readonly at: string;
  readonly tookMs: number;
  readonly server: { readonly version: string; readonly role: "primary" | "standby" };
  readonly copies: readonly CopyFound[];
  readonly exposure: readonly SeenExposure[];
  /** Critical ones first. */
  readonly findings: readonly Finding[];
  /** What was asked and not answered: no finding there does not mean that nothing is wrong. */
  readonly unknown: readonly { readonly part: string; readonly why: string }[];
  readonly notCovered: readonly string[];
}

/** Judges a survey. Pure. */
export function reportOf(survey: ServerSurvey, thresholds: Thresholds = THRESHOLDS): CheckReport {
  const { versionNumber, inRecovery } = survey.server;
  return {
    version: 1,
    target: survey.target,
    at: new Date(survey.atMs).toISOString(),
    tookMs: Math.round(survey.tookMs),
    server: { version: `${Math.floor(versionNumber / 10_000)}.${versionNumber % 10_000}`, role: inRecovery ? "standby" : "primary" },
    copies: copiesOf(survey),
    exposure: exposureOfSurvey(survey),
    findings: findingsOf(survey, thresholds),
    unknown: unknownParts(survey),
    notCovered: notCovered(survey),
  };
}

export function findingsOf(survey: ServerSurvey, thresholds: Thresholds = THRESHOLDS): Finding[] {
  return FINDING_RULES.flatMap((rule) => {
    const judgement = rule.judge(survey, thresholds);
    if (judgement === undefined) return [];
    const { name, code, severity, title } = rule;
    return [{ code, name, severity, title, page: `docs/findings/${name}.md`, ...judgement }];
  }).sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
}

/** Whether a finding is at or above the level at which a check fails. */
export function failsAt(findings: readonly Pick<Finding, "severity">[], level: Severity): boolean {
  return findings.some(({ severity }) => SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(level));
}

function copiesOf(survey: ServerSurvey): CopyFound[] {
  const unknown: Lag = { kind: "unknown", why: "it was not watched" };
  const watched = survey.watch.known ? survey.watch.value.replicas : [];
  const replicas = seenList(survey.replicas).map((replica): CopyFound => ({
    name: replica.name || `pid ${replica.pid}`,
    kind: replica.logical ? "logical" : replica.receiverOnly ? "receiver" : "standby",
    address: replica.address,
    state: replica.state,
    synchronous: replica.syncState === "sync" || replica.syncState === "quorum",
    missingBytes: replica.missingBytes,
    lag: watched.find(({ pid }) => pid === replica.pid)?.lag ?? unknown,
  }));
  return [...replicas, ...archiveOf(survey)];
}

function archiveOf(survey: ServerSurvey): CopyFound[] {
  const mode = settingOf(survey, "archive_mode") ?? "off";
  if (!survey.archiver.known || mode === "off") return [];
  // While it follows, a standby archives with `always` alone: that it archived nothing says nothing of its primary's archive.
  if (survey.server.inRecovery && mode !== "always") return [];
  const { archived, lastArchivedAgoMs, missingBytes } = survey.archiver.value;
  const lag: Lag =
    lastArchivedAgoMs === null
      ? { kind: "unknown", why: "nothing was archived yet" }
      : { kind: "at-least", ms: missingBytes === 0 ? 0 : lastArchivedAgoMs };
  return [
    {
      name: "WAL archive",
      kind: "archive",
      address: null,
      state: archived > 0 ? "archived before" : "empty",
      synchronous: false,
      missingBytes,
      lag,
    },
  ];
}

const PARTS = {
  cluster: "which cluster it is",
  settings: "settings",
  overrides: "settings of roles and databases",
  replicas: "replicas",
  slots: "replication slots",
  archiver: "the archiver",
  transactions: "open transactions",
  prepared: "prepared transactions",
  database: "the database's tables and sequences",
  walDirectory: "the WAL directory",
  recovery: "recovery",
  clock: "the clock",
  watch: "positions over time",
} as const;

function unknownParts(survey: ServerSurvey): { part: string; why: string }[] {
  return Object.entries(PARTS).flatMap(([key, part]) => {
    const seen = survey[key as keyof typeof PARTS];
    return seen === undefined || seen.known ? [] : [{ part, why: seen.why }];
  });
}
