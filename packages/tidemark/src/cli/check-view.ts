// A check's report for people, readable in 60 columns.
import { formatDuration } from "@tidemark/kernel/duration";
import type { CheckReport, CopyFound, Finding } from "../check/check-report.ts";
import { SEVERITIES, type Severity } from "../check/finding.ts";
import type { Exposure, SeenExposure } from "../check/scenario-exposure.ts";
import { count, sayBytes } from "../check/seen-words.ts";
import { layTable } from "./table.ts";
import { wrap, type Paint, type Terminal } from "./terminal.ts";

/** A report's lines. */
export function describeCheck(report: CheckReport, { paint, columns }: Pick<Terminal, "paint" | "columns">): string[] {
  const line = (text: string, indent: string): string => wrap(text, columns, indent);
  return [
    line(paint.strong(`PostgreSQL ${report.server.version}, ${report.server.role}, at ${report.target}`), "  "),
    paint.dim(`${report.at}, looked for ${formatDuration(report.tookMs)}`),
    "",
    paint.strong("Copies"),
    ...copies(report, { paint, columns }),
    "",
    paint.strong("What would be lost now"),
    ...report.exposure.flatMap((entry, index) => describeExposure(entry, { paint, columns }, report.exposure[index - 1]?.because)),
    "",
    paint.strong("Findings") + paint.dim(`  ${tally(report.findings)}`),
    ...report.findings.flatMap((entry) => describeFinding(entry, { paint, columns })),
    ...(report.unknown.length === 0
      ? []
      : ["", paint.strong("Not known"), ...report.unknown.map(({ part, why }) => line(`  ${part}: ${why}`, "    "))]),
    "",
    paint.strong("Not covered"),
    ...report.notCovered.map((text) => paint.dim(line(`  ${text}`, "    "))),
  ];
}

export type View = Pick<Terminal, "paint" | "columns">;

function copies(report: CheckReport, { paint, columns }: View): string[] {
  if (report.unknown.some(({ part }) => part === "replicas") && report.copies.length === 0) return [paint.warn("  unknown: see below")];
  if (report.copies.length === 0) return [paint.bad("  none was found")];
  const titles = [
    { title: "copy" },
    { title: "kind" },
    { title: "at" },
    { title: "state" },
    { title: "lacks", right: true },
    { title: "behind", right: true },
  ];
  const row = ({ name, kind, address, state, synchronous, missingBytes, lag }: CopyFound): { text: string }[] => [
    { text: name },
    { text: kind },
    { text: address ?? "" },
    { text: synchronous ? `${state}, synchronous` : state },
    { text: missingBytes === null ? "unknown" : sayBytes(missingBytes) },
    { text: exposureText(lag) },
  ];
  return layTable(titles, report.copies.map(row), { columns, dim: paint.dim });
}

/** One scenario's lines; `before` is the reason that was shown last. */
export function describeExposure(entry: SeenExposure, { paint, columns }: View, before: string | undefined): string[] {
  const { kind } = entry.exposure;
  const text = exposureText(entry.exposure);
  const painted =
    kind === "known" && entry.exposure.ms === 0
      ? paint.good(text)
      : kind === "no-copy"
        ? paint.bad(text)
        : kind === "known"
          ? text
          : paint.warn(text);
  const bytes = entry.bytes === undefined || entry.bytes === 0 ? "" : `, ${sayBytes(entry.bytes)}`;
  const uses = entry.uses === undefined ? "" : paint.dim(` from ${entry.uses}`);
  return [
    `  ${entry.scenario.padEnd(12)}  ${painted}${bytes}${uses}`,
    paint.dim(entry.because === before ? "      (the same)" : wrap(`      ${entry.because}`, columns, "      ")),
  ];
}

/** `nothing`, `320 ms ±100 ms`, `more than 3.00 s`, `everything`, `unknown`: a number only where there is one. */
export function exposureText(exposure: Exposure): string {
  switch (exposure.kind) {
    case "known":
      return exposure.ms === 0 ? "nothing" : `${formatDuration(exposure.ms)} ±${formatDuration(exposure.errorMs)}`;
    case "at-least":
      return `${formatDuration(exposure.ms)} or more`;
    case "no-copy":
      return "everything";
    case "unknown":
      return "unknown";
  }
}

/** `2 critical, 1 warning`. */
export function tally(findings: readonly Pick<Finding, "severity">[]): string {
  if (findings.length === 0) return "none";
  return SEVERITIES.flatMap((severity) => {
    const found = findings.filter((entry) => entry.severity === severity).length;
    return found === 0 ? [] : [severity === "critical" ? `${found} critical` : count(found, severity)];
  }).join(", ");
}

/** A finding's lines, the first one empty. `subject` says whom it is about where that is not the report's one server. */
export function describeFinding(
  { code, severity, title, evidence, fix, page }: Finding,
  { paint, columns }: View,
  subject?: string,
): string[] {
  return [
    "",
    wrap(`${PAINTS[severity](paint)(severity)}  ${title}`, columns + (PAINTS[severity](paint)(severity).length - severity.length), "  "),
    ...(subject === undefined ? [] : [paint.strong(wrap(`  ${subject}`, columns, "  "))]),
    ...evidence.map((text) => wrap(`  seen: ${text}`, columns, "        ")),
    ...fix.map((text) => wrap(`  fix:  ${text}`, columns, "        ")),
    ...(code.length + page.length + 4 <= columns ? [`  ${code}  ${page}`] : [`  ${code}`, `  ${page}`]).map(paint.dim),
  ];
}

const PAINTS: Readonly<Record<Severity, (paint: Paint) => (text: string) => string>> = {
  critical: ({ bad }) => bad,
  warning: ({ warn }) => warn,
  notice: ({ dim }) => dim,
};
