// A survey's report for people, readable in 60 columns: the form of a check's report, for a whole configuration.
import { formatDuration, formatGivenDuration } from "@tidemark/kernel/duration";
import { sayBytes } from "../check/seen-words.ts";
import type { DoctorCopy, DoctorFinding, DoctorReport, DoctorServer, ServiceExposure } from "../doctor/doctor-report.ts";
import { FAILURE_DOMAIN_KINDS } from "../objectives/failure-domain.ts";
import { describeExposure, describeFinding, exposureText, tally, type View } from "./check-view.ts";
import { layTable, type Cell } from "./table.ts";
import { wrap } from "./terminal.ts";

/** A report's lines. */
export function describeDoctor(report: DoctorReport, { paint, columns }: View): string[] {
  const view = { paint, columns };
  const heading = (title: string, more = ""): string[] => ["", paint.strong(title) + (more === "" ? "" : paint.dim(`  ${more}`))];
  return [
    paint.strong(wrap(report.target, columns, "  ")),
    paint.dim(`${report.at}, looked for ${formatDuration(report.tookMs)}`),
    ...(report.servers.length === 0 ? [] : [...heading("Servers"), ...servers(report.servers, view)]),
    ...heading("Copies"),
    ...copies(report.copies, view),
    ...heading("What would be lost now", report.exposureFrom === "control" ? "as control says" : "as far as was seen just now"),
    ...exposures(report.exposure, view),
    ...heading("Findings", tally(report.findings)),
    ...together(report.findings).flatMap((entry) => describeFinding(entry, view, entry.subject)),
    ...(report.unknown.length === 0
      ? []
      : [...heading("Not known"), ...report.unknown.map(({ part, why }) => wrap(`  ${part}: ${why}`, columns, "    "))]),
    ...heading("Not covered"),
    ...report.notCovered.map((text) => paint.dim(wrap(`  ${text}`, columns, "    "))),
  ];
}

/** What is the same of several subjects is shown once. */
function together(findings: readonly DoctorFinding[]): DoctorFinding[] {
  const groups = Map.groupBy(findings, ({ code, severity, evidence, fix }) => JSON.stringify([code, severity, evidence, fix]));
  return [...groups.values()].flatMap((same) => {
    const [first] = same;
    return first === undefined ? [] : [{ ...first, subject: same.map(({ subject }) => subject).join(", ") }];
  });
}

function servers(list: readonly DoctorServer[], { paint, columns }: View): string[] {
  return list.map(({ store, name, version, role, why }) =>
    wrap(
      role === null
        ? `  ${store}/${name}  ${paint.warn("unknown")}: ${why ?? "it was not looked at"}`
        : `  ${store}/${name}  PostgreSQL ${version ?? "of an unknown version"}, ${role}`,
      columns,
      "    ",
    ),
  );
}

const TITLES = [
  { title: "copy" },
  { title: "kind" },
  { title: "where" },
  { title: "acks wait" },
  { title: "lacks", right: true },
  { title: "behind", right: true },
];

function copies(list: readonly DoctorCopy[], { paint, columns }: View): string[] {
  if (list.length === 0) return [paint.bad("  none was found")];
  const rows = list.map((copy): Cell[] => [
    { text: `${copy.store}/${copy.name}` },
    { text: copy.proven ? copy.kind : `${copy.kind}, unproven` },
    { text: whereOf(copy) },
    { text: copy.kind === "primary" ? "" : copy.synchronous === null ? "unknown" : copy.synchronous ? "yes" : "no" },
    { text: copy.kind === "primary" ? "" : copy.missingBytes === null ? "unknown" : sayBytes(copy.missingBytes) },
    { text: copy.kind === "primary" ? "" : exposureText(copy.exposure) },
  ]);
  return layTable(TITLES, rows, { columns, dim: paint.dim });
}

function whereOf({ domain }: DoctorCopy): string {
  const parts = FAILURE_DOMAIN_KINDS.filter((kind) => kind !== "process").flatMap((kind) => domain[kind] ?? []);
  return parts.length === 0 ? "nobody said" : parts.join(", ");
}

function exposures(list: readonly ServiceExposure[], { paint, columns }: View): string[] {
  let service: string | undefined;
  let before: string | undefined;
  return list.flatMap((one) => {
    const isNext = one.service !== service;
    service = one.service;
    if (isNext) before = undefined;
    const because = `${judged(one)}; ${one.because}`;
    const { scenario, exposure, bytes, uses } = one;
    const seen = {
      scenario,
      exposure,
      because,
      ...(bytes === undefined ? {} : { bytes }),
      ...(uses.length === 0 ? {} : { uses: uses.join(", ") }),
    };
    const lines = describeExposure(seen, { paint, columns }, before);
    before = because;
    return [...(isNext ? [paint.strong(`  ${one.service}`)] : []), ...lines];
  });
}

function judged({ objective, judgement }: ServiceExposure): string {
  if (objective === null) return "no objective";
  const allowed = objective.rpoMs === 0 ? "nothing" : formatGivenDuration(objective.rpoMs);
  if (judgement === "unknown") return `allowed is ${allowed}, whether it is met is not known`;
  return judgement === "within" ? `within the objective (${allowed})` : `above the objective (${allowed})`;
}
