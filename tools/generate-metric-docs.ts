// Writes docs/metrics.md from the catalogue of metrics. Run: node tools/run.mjs metric-docs
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { METRICS, type MetricEntry } from "../packages/tidemark/src/metrics/metric-catalogue.ts";
import { WRITE_SPANS } from "../packages/tidemark/src/metrics/write-life.ts";

/** Where the page lies. */
export const METRIC_DOCS_FILE = fileURLToPath(new URL("../docs/metrics.md", import.meta.url));

/** The page, from the catalogue. */
export function renderMetricDocs(catalogue: Readonly<Record<string, MetricEntry>> = METRICS): string {
  const lines = [
    "# Metrics",
    "",
    "What control says of exposure at `/metrics`, under one scheme: `tidemark_<what>_<unit>`, in Prometheus's base units. This page is",
    "generated from the catalogue in `packages/tidemark/src/metrics/metric-catalogue.ts` (`node tools/run.mjs metric-docs`), and a test",
    "proves that both agree. The page of metrics itself passes `promtool check metrics`.",
    "",
    "**What is not known has no sample.** It is never 0. Beside the figures that matter most stands a `_known` of 0 or 1: an alert on",
    "`tidemark_exposure_known == 0` finds what an alert on `tidemark_exposure_seconds > 60` cannot.",
    "",
    "| metric | unit | labels | meaning | source |",
    "|---|---|---|---|---|",
    ...Object.entries(catalogue).map(([name, entry]) => row(name, entry)),
    "",
    "## The life of one write",
    "",
    "For a sample of the writes, and for the slowest ones, the time of each stage is kept. The spans are named as OpenTelemetry names",
    "spans: one of the whole write, and one per stage, which begins where the one before ended.",
    "",
    "| stage | span | ends when |",
    "|---|---|---|",
    ...Object.entries(WRITE_SPANS).map(([stage, { name, ends }]) => `| ${stage} | \`${name}\` | ${ends} |`),
  ];
  return `${lines.join("\n")}\n`;
}

function row(name: string, { type, unit, help, source, labels, alsoCalled }: MetricEntry): string {
  const words = alsoCalled === undefined ? help : `${help} Also called ${alsoCalled}.`;
  const shown = labels.map((label) => `\`${label}\``).join(", ");
  return `| \`${name}\` | ${unit}${type === "counter" ? ", counted" : ""} | ${shown} | ${words} | ${source} |`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(METRIC_DOCS_FILE, renderMetricDocs());
