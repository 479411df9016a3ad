// A survey's result: what was found, what would be lost, what is wrong, and what is not known.
import { reportOf, type Finding } from "../check/check-report.ts";
import { SEVERITIES, THRESHOLDS, type Thresholds } from "../check/finding.ts";
import type { Exposure } from "../check/scenario-exposure.ts";
import { storeState } from "../exposure/store-exposure.ts";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { FailureDomain, Scenario } from "../objectives/failure-domain.ts";
import type { CopyKind, Figure } from "../probes/probe-result.ts";
import type { ConfigurationSurvey, SurveyedServer } from "./configuration-survey.ts";
import { DOCTOR_THRESHOLDS, type DoctorThresholds } from "./doctor-rule.ts";
import { DOCTOR_RULES } from "./doctor-rules.ts";

/** Findings of a single server that the configuration knows better: it says where copies are. */
const JUDGED_AS_A_WHOLE: ReadonlySet<string> = new Set(["no-copy", "one-failure-domain"]);

export interface DoctorFinding extends Finding {
  /** What it is about: `shop`, `shop/db1`, `orders node-loss`. */
  readonly subject: string;
}

export interface ServiceExposure {
  readonly service: string;
  readonly scenario: Scenario;
  /** Null: nobody said how much may be lost. */
  readonly objective: { readonly rpoMs: number; readonly rtoMs: number } | null;
  readonly judgement: ScenarioExposure["judgement"];
  readonly exposure: Exposure;
  /** Absent: unknown. */
  readonly bytes?: number;
  /** The copies that would be used, one per store. */
  readonly uses: readonly string[];
  readonly because: string;
}

export interface DoctorServer {
  readonly store: string;
  readonly name: string;
  /** Null: it could not be looked at. */
  readonly version: string | null;
  readonly role: "primary" | "standby" | null;
  readonly why: string | null;
}

export interface DoctorCopy {
  readonly store: string;
  readonly name: string;
  readonly kind: CopyKind;
  readonly domain: FailureDomain;
  /** Null: not known. */
  readonly synchronous: boolean | null;
  readonly missingBytes: number | null;
  readonly exposure: Exposure;
  /** Whether something is known to have been recovered from it; of those that can be read as they stand, true. */
  readonly proven: boolean;
}

export interface DoctorReport {
  /** Grows when a field changes its meaning. */
  readonly version: 1;
  /** The configuration's file and name. */
  readonly target: string;
  readonly at: string;
  readonly tookMs: number;
  readonly servers: readonly DoctorServer[];
  readonly copies: readonly DoctorCopy[];
  /** `control`: of the running control; `own`: reckoned from this survey's own looks. */
  readonly exposureFrom: "control" | "own";
  readonly exposure: readonly ServiceExposure[];
  /** Critical ones first. */
  readonly findings: readonly DoctorFinding[];
  /** What was asked and not answered: no finding there does not mean that nothing is wrong. */
  readonly unknown: readonly { readonly part: string; readonly why: string }[];
  readonly notCovered: readonly string[];
}

export interface ReportThresholds {
  readonly server: Thresholds;
  readonly whole: DoctorThresholds;
}

/** Judges a survey. Pure. */
export function doctorReportOf(
  survey: ConfigurationSurvey,
  thresholds: ReportThresholds = { server: THRESHOLDS, whole: DOCTOR_THRESHOLDS },
): DoctorReport {
  const { config, servers, folders, exposure } = survey;
  const checked = servers.flatMap(({ store, name, survey: seen }) =>
    seen.known ? [{ subject: `${store}/${name}`, report: reportOf(seen.value, thresholds.server) }] : [],
  );
  return {
    version: 1,
    target: `${config.name} (${config.file})`,
    at: new Date(survey.atMs).toISOString(),
    tookMs: Math.round(survey.tookMs),
    servers: servers.map(serverOf),
    copies: copiesOf(survey),
    exposureFrom: exposure.source,
    exposure: exposure.exposures.map(exposureOfService),
    findings: sorted([
      ...wholeFindings(survey, thresholds.whole),
      ...checked.flatMap(({ subject, report }) =>
        report.findings.filter(({ name }) => !JUDGED_AS_A_WHOLE.has(name)).map((finding) => ({ ...finding, subject })),
      ),
    ]),
    unknown: [
      ...servers.flatMap(({ store, name, survey: seen }) => (seen.known ? [] : [{ part: `${store}/${name}`, why: seen.why }])),
      ...checked.flatMap(({ subject, report }) => report.unknown.map(({ part, why }) => ({ part: `${subject}: ${part}`, why }))),
      ...folders.flatMap(({ what, space }) => (space.known ? [] : [{ part: `free space of the ${what}`, why: space.why }])),
    ],
    notCovered: notCovered(survey),
  };
}

function wholeFindings(survey: ConfigurationSurvey, thresholds: DoctorThresholds): DoctorFinding[] {
  return DOCTOR_RULES.flatMap((rule) => {
    const { name, code, severity, title } = rule;
    return rule
      .judge(survey, thresholds)
      .map((judgement) => ({ name, code, severity, title, page: `docs/findings/${name}.md`, ...judgement }));
  });
}

function sorted(findings: readonly DoctorFinding[]): DoctorFinding[] {
  return findings.toSorted((one, other) => SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity));
}

function serverOf({ store, name, survey }: SurveyedServer): DoctorServer {
  if (!survey.known) return { store, name, version: null, role: null, why: survey.why };
  const { versionNumber, inRecovery } = survey.value.server;
  const version = `${Math.floor(versionNumber / 10_000)}.${versionNumber % 10_000}`;
  return { store, name, version, role: inRecovery ? "standby" : "primary", why: null };
}

function copiesOf({ stores, exposure }: ConfigurationSurvey): DoctorCopy[] {
  return stores.flatMap((facts) =>
    storeState(facts, exposure.atMs).newest.map(({ copy, exposureMs, bytes }): DoctorCopy => ({
      store: facts.store,
      name: copy.name,
      kind: copy.kind,
      domain: copy.domain,
      synchronous: copy.synchronous.known ? copy.synchronous.value : null,
      missingBytes: bytes.known ? bytes.value : null,
      exposure: fromFigure(exposureMs),
      proven: copy.proof !== undefined || copy.kind === "primary" || copy.kind === "standby" || copy.kind === "queue",
    })),
  );
}

function exposureOfService(one: ScenarioExposure): ServiceExposure {
  const { service, scenario, objective, judgement, exposureMs, bytes, uses, lost, notCovered: left } = one;
  const [first] = left;
  return {
    service,
    scenario,
    objective: objective ?? null,
    judgement,
    exposure:
      lost !== undefined && lost.length > 0
        ? { kind: "no-copy", why: exposureMs.known ? `nothing would be left of ${lost.join(", ")}` : exposureMs.why }
        : fromFigure(exposureMs),
    ...(bytes.known ? { bytes: bytes.value } : {}),
    uses: uses.map(({ store, copy, onto }) => `${store}/${copy}${onto === undefined ? "" : ` on ${onto}`}`),
    because: exposureMs.known ? (first ?? "nothing was left out") : exposureMs.why,
  };
}

function fromFigure(figure: Figure<number>): Exposure {
  return figure.known ? { kind: "known", ms: figure.value, errorMs: figure.errorMs } : { kind: "unknown", why: figure.why };
}

function notCovered({ config, servers, exposure }: ConfigurationSurvey): string[] {
  const databases = servers.reduce(
    (sum, { survey }) => sum + (survey.known && survey.value.database.known ? survey.value.database.value.others : 0),
    0,
  );
  const names = servers.flatMap(({ survey }) => (survey.known ? [survey.value.settings] : []));
  const hasNames = names.some((settings) => settings.known && (settings.value["synchronous_standby_names"]?.value ?? "") !== "");
  return [
    "What the configuration does not name: other stores, other copies, other servers.",
    "Whether a backup can be restored: nothing was restored. A backup counts once a proof says so.",
    ...(exposure.source === "own"
      ? ["What was before: control did not answer, and exposure was reckoned from a few seconds of looking."]
      : []),
    ...(databases > 0 ? [`Unlogged tables, sequences and publications of ${databases} databases that were not connected to.`] : []),
    ...(Object.keys(config.stores).length > 0 || servers.length === 0
      ? []
      : ["Free disk space: of servers that somebody else runs nobody says it."]),
    "synchronous_commit as clients set it in their own sessions.",
    ...(hasNames
      ? ["Commits that were released while synchronous_standby_names was empty or shorter: they were acknowledged without a second copy."]
      : []),
  ];
}
