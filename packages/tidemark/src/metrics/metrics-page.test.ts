import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { exposureOf } from "../exposure/exposure-of.ts";
import { HOUR_MS, NOW_MS, behind, copy, measured, never, primary, store } from "../exposure/testing/sample-facts.ts";
import { METRICS, type MetricName } from "./metric-catalogue.ts";
import type { MetricSample } from "./metric-samples.ts";
import { exposureSamples, figureSamples, historySamples, ratioSamples, recoverySamples, storeSamples } from "./metric-samples.ts";
import { MetricsPage } from "./metrics-page.ts";

const PROMTOOL = "/usr/bin/promtool";
const noPromtool = !existsSync(PROMTOOL) && process.env["TIDEMARK_REQUIRE_PEERS"] !== "1";

const pg2 = copy({
  name: "pg2",
  domain: { machine: "m2", zone: "b" },
  recoveryPoint: behind(2_500),
  missingBytes: measured(77),
  proof: { atMs: NOW_MS - 9_000, tookMs: 700 },
});
const base = copy({
  name: "base",
  kind: "backup",
  domain: { zone: "b" },
  recoveryPoint: behind(HOUR_MS, { method: "reported" }),
  proof: { atMs: NOW_MS - 5_000, tookMs: 60_000 },
});

function samplesOf(copies: readonly ReturnType<typeof copy>[]): MetricSample[] {
  const facts = store(copies);
  const exposures = exposureOf({
    nowMs: NOW_MS,
    services: {
      orders: {
        stores: ["db"],
        objectives: { "node-loss": { rpoMs: 0, rtoMs: 60_000 } },
        business: { unit: "orders", perHour: 3_600, revenue: { currency: "EUR", perHour: 7_200 } },
      },
    },
    stores: new Map([["db", facts]]),
  });
  return [...exposureSamples(exposures), ...storeSamples([facts], NOW_MS)];
}

const all = [
  ...samplesOf([primary(), pg2, base]),
  ...recoverySamples([
    { service: "orders", scenario: "node-loss", exercise: true, lostTransactions: measured(0), lostMs: measured(0), tookMs: measured(900) },
  ]),
  ...ratioSamples([{ service: "orders", scenario: "node-loss", window: "28d", goodSeconds: 99, totalSeconds: 100 }]),
  ...historySamples({ writing: true, series: 3, droppedSamples: 0, refusedSeries: 0 }),
  ...figureSamples(
    { store: "db", target: "postgresql pg1" },
    Object.fromEntries([
      ...(Object.keys(METRICS) as MetricName[])
        .filter((name) => METRICS[name].labels.includes("target"))
        .map((name) => [name, measured(1)] as const),
      ['tidemark_wal_backlog_bytes{consumer="archiver"}', measured(16)],
    ]),
  ),
];

function line(text: string, start: string): string | undefined {
  return text.split("\n").find((one) => one.startsWith(start));
}

describe("the metrics of exposure", () => {
  it.skipIf(noPromtool)("pass promtool's check, every one of them", async () => {
    expect(new Set(all.map(({ name }) => name))).toEqual(new Set(Object.keys(METRICS)));
    const text = await new MetricsPage(() => all).text();
    expect(execFileSync(PROMTOOL, ["check", "metrics"], { input: text, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] })).toBe("");
  });

  it("are in base units and carry their labels", async () => {
    const text = await new MetricsPage(() => all).text();
    expect(line(text, "tidemark_exposure_seconds{")).toBe('tidemark_exposure_seconds{service="orders",scenario="process-loss"} 2.5');
    expect(line(text, 'tidemark_copy_age_seconds{store="db",copy="base"')).toMatch(/ 3600$/);
    expect(line(text, 'tidemark_copy_proof_age_seconds{store="db",copy="base"')).toMatch(/ 5$/);
    expect(text).toContain('tidemark_wal_backlog_bytes{store="db",target="postgresql pg1",consumer="archiver"} 16');
    expect(text).toContain('tidemark_exposure_business_units{service="orders",scenario="node-loss",unit="orders"} 3');
    expect(text).toContain('tidemark_exposure_revenue{service="orders",scenario="node-loss",currency="EUR"} 5');
  });

  it("have no sample for what is not known, and say that it is not known", async () => {
    const { proof: _, ...unproven } = pg2;
    const dark = copy({ ...unproven, recoveryPoint: never, missingBytes: never, missingTransactions: never, synchronous: never });
    const text = await new MetricsPage(() => samplesOf([primary(), dark])).text();
    expect(line(text, "tidemark_exposure_seconds{")).toBeUndefined();
    expect(line(text, "tidemark_exposure_bytes{")).toBeUndefined();
    expect(line(text, "tidemark_exposure_business_units{")).toBeUndefined();
    expect(line(text, "tidemark_exposure_revenue{")).toBeUndefined();
    expect(line(text, "tidemark_exposure_known{")).toBe('tidemark_exposure_known{service="orders",scenario="process-loss"} 0');
    expect(text.split("\n").filter((one) => one.includes('copy="pg2"'))).toEqual([
      'tidemark_copy_known{store="db",copy="pg2",kind="standby"} 0',
    ]);
    expect(ratioSamples([{ service: "orders", scenario: "node-loss", window: "7d", goodSeconds: 0, totalSeconds: 0 }])).toEqual([]);
  });

  it("leave out figures of probes that the catalogue does not name", () => {
    expect(figureSamples({ store: "db", target: "x" }, { postgresql_settings: measured(1), tidemark_probe_up: never })).toEqual([]);
  });
});
