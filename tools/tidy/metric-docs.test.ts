import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { METRICS } from "../../packages/tidemark/src/metrics/metric-catalogue.ts";
import { METRIC_DOCS_FILE, renderMetricDocs } from "../generate-metric-docs.ts";

describe("the catalogue of metrics", () => {
  it("agrees with docs/metrics.md (node tools/run.mjs metric-docs)", () => {
    expect(readFileSync(METRIC_DOCS_FILE, "utf8")).toBe(renderMetricDocs());
  });

  it("names every metric by one scheme, and says what it means in a sentence", () => {
    const wrong = Object.entries(METRICS).filter(
      ([name, { type, unit, help, source }]) =>
        !/^tidemark(_[a-z]+)+$/.test(name) ||
        (type === "counter") !== name.endsWith("_total") ||
        (["seconds", "bytes", "ratio"].includes(unit) && !name.endsWith(`_${unit}`)) ||
        !/\S+ \S+.*\.$/.test(help) ||
        source === "",
    );
    expect(wrong.map(([name]) => name)).toEqual([]);
  });
});
