import { FAULT_NAMES } from "../faults/fault-name.ts";
import type { Phase } from "./figures.ts";
import { formatCount, formatMeasured } from "./numbers.ts";
import type { ProofReport } from "./report.ts";
import { countLines, findings, headline, measuredLines, type Tone } from "./words.ts";

/** Paints text for a terminal; `plain` for a file. */
export type Paint = (tone: Tone | "soft" | "bold", text: string) => string;
export const plainPaint: Paint = (_, text) => text;

const LABEL = 16;
const COUNT = 9;
/** The longest name of a fault, and a gap. */
const NAME = Math.max(...FAULT_NAMES.map((name) => name.length)) + 1;
/** Narrower terminals get notes on lines of their own. */
const NARROW = 70;

/** The verdict for a terminal of `columns` columns; no line is longer. */
export function renderVerdict(
  report: ProofReport,
  files: readonly { label: string; path: string }[],
  look: { columns: number; paint: Paint },
): string {
  const { columns, paint } = look;
  const { text: title, tone } = headline(report);
  const lines: string[] = [
    "",
    ...wrap(title, columns).map((part) => paint(tone, paint("bold", part))),
    ...findings(report).flatMap((finding) => wrap(finding, columns)),
    "",
  ];
  for (const { label, count, note, tone: countTone } of countLines(report)) {
    lines.push(...noted({ head: `  ${label.padEnd(LABEL)}`, value: formatCount(count).padStart(COUNT), note, tone: countTone }, look));
  }
  lines.push("");
  for (const { label, value, target, met, method } of measuredLines(report)) {
    const word = met === undefined ? "" : met ? ", met" : ", missed";
    lines.push(
      ...noted(
        {
          head: `  ${label.padEnd(LABEL)}`,
          value: (met === undefined ? "–" : value).padStart(COUNT),
          note: met === undefined ? method : `target ${target}${word}; ${method}`,
          tone: met === false ? "bad" : met === undefined ? "warn" : "good",
        },
        look,
      ),
    );
  }
  lines.push("", ...latencyTable(report, look), "");
  for (const { label, path } of files) {
    const line = `  ${label.padEnd(10)}${path}`;
    // A path is never broken: it would not be one any more.
    lines.push(...(line.length <= columns ? [line] : [`  ${label}`, `  ${path}`]));
  }
  return lines.join("\n");
}

function noted(
  line: { head: string; value: string; note: string; tone: Tone },
  { columns, paint }: { columns: number; paint: Paint },
): string[] {
  const start = `${line.head}${paint(line.tone, line.value)}`;
  if (columns < NARROW) return [start, ...wrap(line.note, columns - 4).map((part) => `    ${paint("soft", part)}`)];
  const indent = line.head.length + line.value.length + 3;
  const [first, ...rest] = wrap(line.note, columns - indent);
  return [`${start}   ${paint("soft", first ?? "")}`, ...rest.map((part) => `${" ".repeat(indent)}${paint("soft", part)}`)];
}

function latencyTable(report: ProofReport, { columns, paint }: { columns: number; paint: Paint }): string[] {
  const width = columns < NARROW ? 10 : 12;
  const cell = (value: string): string => value.padStart(width);
  const phases: readonly Phase[] = ["before", "during", "after"];
  const rows = phases.map((phase) => {
    const figures = report.acknowledgements[phase];
    return `  ${phase.padEnd(LABEL - 2)}${[figures.p50Ms, figures.p99Ms, figures.maxMs].map((ms) => cell(ms === undefined ? "–" : formatMeasured(ms))).join("")}`;
  });
  return [paint("soft", `  ${"answer after".padEnd(LABEL - 2)}${["p50", "p99", "slowest"].map(cell).join("")}`), ...rows];
}

/** One line for each proof of `--all`, with a closing sentence. */
export function renderSummary(
  rows: readonly { fault: string; exitCode: number; report?: ProofReport; trouble?: string }[],
  look: { columns: number; paint: Paint },
): string {
  const { columns, paint } = look;
  const lines = [
    "",
    paint(
      "soft",
      fit(
        `  ${"fault".padEnd(NAME)}${"acknowledged".padStart(13)}${"lost".padStart(7)}${"twice".padStart(7)}${"RTO".padStart(10)}  verdict`,
        columns,
      ),
    ),
  ];
  for (const { fault, report, trouble } of rows) {
    if (report === undefined) {
      lines.push(paint("bad", fit(`  ${fault.padEnd(NAME)}could not run: ${trouble ?? "unknown"}`, columns)));
      continue;
    }
    const { counts } = report.verdict;
    const { tone } = headline(report);
    const word = { proven: "proven", "loss-stated": "loss stated", unproven: "not proven", failed: "FAILED" }[report.verdict.outcome];
    const rto = fault === "none" ? "–" : formatMeasured(report.rto.ms);
    const line =
      columns < NARROW
        ? `  ${fault.padEnd(NAME)}${formatCount(counts.lost).padStart(6)} lost  ${word}`
        : `  ${fault.padEnd(NAME)}${formatCount(counts.acknowledged).padStart(13)}${formatCount(counts.lost).padStart(7)}${formatCount(counts.duplicated).padStart(7)}${rto.padStart(10)}  ${word}`;
    lines.push(paint(tone, fit(line, columns)));
  }
  if (columns < NARROW) lines[1] = paint("soft", fit(`  ${"fault".padEnd(NAME)}verdict`, columns));
  return lines.join("\n");
}

function fit(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, columns - 1)}…`;
}

/** Breaks text at spaces into lines of at most `columns`; a longer word stands alone. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}
