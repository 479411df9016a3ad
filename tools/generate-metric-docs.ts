// Writes docs/metrics.md from the catalogue of metrics. Run: node tools/run.mjs metric-docs
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { METRICS, type MetricEntry } from "../packages/tidemark/src/metrics/metric-catalogue.ts";
import { WRITE_ATTRIBUTES, WRITE_SPANS } from "../packages/tidemark/src/metrics/write-life.ts";

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
    "For a sample of the writes, and for those that were slowest to be journalled, the time of each stage is kept: of every minute ten",
    "and ten, for an hour. `GET /v1/write-lives` has them, at the gateway (scope `read`) and at control. The spans are named as",
    "OpenTelemetry names spans: one of the whole write, `tidemark.write`, and one per stage, which begins where the one before ended;",
    "what waits for the commit goes on at the same time.",
    "",
    "| stage | span | ends when |",
    "|---|---|---|",
    ...Object.entries(WRITE_SPANS).map(([stage, { name, ends }]) => `| ${stage} | \`${name}\` | ${ends} |`),
    "",
    "| attribute | of | value |",
    "|---|---|---|",
    ...Object.entries(WRITE_ATTRIBUTES).map(([name, { of, value }]) => `| \`${name}\` | ${of} | ${value} |`),
    "",
    "- **Chosen** are about ten requests a second by chance, each having the same, and every one that is slower to be journalled than",
    "  the slowest ten of its minute. Of a request with many writes one is followed. The others cost two looks at a clock and two comparisons.",
    "- **Times** are those at which the gateway knew that a stage was passed: never earlier than it was. The primary is asked what its",
    "  receivers have flushed 2 ms after a commit and then ever more seldom, up to once a second; control is asked every 500 ms what is",
    "  archived. A copy that the commit waited for had it before, and is seen with the first answer.",
    "- **Positions of another timeline do not count.** After a failover the write goes on where it stands then; a commit that was taken back",
    "  is taken back here too.",
    "- **A write that is not through after 60 s** is kept as `given-up`, without the stages that nobody saw. At most 1,000 are followed at",
    "  once; `unfollowed` counts those that should have been and were not. One that is rejected or parked is none of them.",
  ];
  return `${lines.join("\n")}\n`;
}

function row(name: string, { type, unit, help, source, labels, alsoCalled }: MetricEntry): string {
  const words = alsoCalled === undefined ? help : `${help} Also called ${alsoCalled}.`;
  const shown = labels.map((label) => `\`${label}\``).join(", ");
  return `| \`${name}\` | ${unit}${type === "counter" ? ", counted" : ""} | ${shown} | ${words} | ${source} |`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(METRIC_DOCS_FILE, renderMetricDocs());
