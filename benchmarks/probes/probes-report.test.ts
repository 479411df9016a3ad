import { describe, expect, it } from "vitest";
import { readProbesOptions } from "./probes-options.ts";
import { judgeProbes, renderProbesReport, type ProbesReport } from "./probes-report.ts";

const MIB = 1_048_576;

const fault = (mostErrorMs: number) => ({
  fault: "stall" as const,
  words: "the receiver is stopped",
  mostTrueMs: 20_000,
  known: 30,
  medianErrorMs: 40,
  p99ErrorMs: 900,
  mostErrorMs,
  unknown: 2,
  beyondOwnBound: 0,
  mostLateMs: 30,
});

const MEASURED: Omit<ProbesReport, "at" | "machine"> = {
  pair: {
    postgres: "18.4",
    rpoMs: 3_000,
    faults: [fault(900), fault(1_100)],
    breaches: [
      { noticedMs: -200, webhookMs: 30 },
      { noticedMs: 1_000, webhookMs: 40, alertmanagerMs: 2_000 },
    ],
    backends: [
      { node: "primary", backends: 2, seconds: 60, share: 0.004 },
      { node: "standby", backends: 1, seconds: 60, share: 0.001 },
    ],
  },
  scale: {
    stores: 1_000,
    seconds: 60,
    startedAfterSeconds: 5,
    cpuShare: 0.7,
    simulationCpuShare: 0.2,
    peakBytes: 400 * MIB,
    late: { medianMs: 1, p99Ms: 90, mostMs: 200 },
    secondMs: { medianMs: 40, mostMs: 90 },
    away: 0,
    looks: 180_000,
  },
  history: {
    load: { series: 8_000, seconds: 900, longSeries: 6 },
    cpuShare: 0.05,
    longestRecordMs: 40,
    fileMiB: 100,
    residentMiB: 200,
    ninetyDays: { medianMs: 10, slowestMs: 199, points: 2_160 },
    lastHour: { medianMs: 3, slowestMs: 6 },
  },
};

const met = (report: Omit<ProbesReport, "at" | "machine">) => judgeProbes(report).map((judgement) => judgement.met);
const { pair, scale, history } = MEASURED as Required<typeof MEASURED>;

describe("the figures of bench:probes", () => {
  it("meet every target at its very bound", () => {
    expect(met(MEASURED)).toEqual([true, true, true, true, true, true, true]);
  });

  it("miss a target by the worst value of all", () => {
    const worse: typeof MEASURED = {
      pair: {
        ...pair,
        faults: [fault(5), fault(1_101)],
        breaches: [
          { noticedMs: 1_001, webhookMs: 2_001 },
          { noticedMs: 0, webhookMs: 0 },
        ],
        backends: [{ node: "standby", backends: 1, seconds: 60, share: 0.006 }],
      },
      scale: { ...scale, cpuShare: 1.01, peakBytes: 512 * MIB },
      history: { ...history, ninetyDays: { ...history.ninetyDays, slowestMs: 201 } },
    };
    expect(met(worse)).toEqual([false, false, false, false, false, false, false]);
  });

  it("are unknown where nothing was measured, and where fewer stores than the target's were followed", () => {
    expect(met({})).toEqual(Array.from({ length: 7 }, () => undefined));
    expect(met({ scale: { ...scale, stores: 200 } }).slice(4, 6)).toEqual([undefined, undefined]);
    expect(met({ scale: { ...scale, stores: 200, cpuShare: 2 } })[4]).toBe(false);
    expect(met({ pair: { ...pair, faults: [fault(Number.NaN)] } })[0]).toBeUndefined();
  });

  it("count one process with turns that find nothing, or that begin a second late, as one that does not follow", () => {
    expect(met({ scale: { ...scale, away: 1 } })[4]).toBe(false);
    expect(met({ scale: { ...scale, late: { ...scale.late, p99Ms: 1_000 } } })[4]).toBe(false);
  });

  it("are shown with every repetition", () => {
    const machine = { processor: "p", cores: 2, memoryGiB: 1, system: "s", disk: "d", node: "n", peers: {} };
    const text = renderProbesReport({ at: "2026-01-01T00:00:00Z", machine, ...MEASURED });
    expect(text).toMatch(/\| stall: the receiver is stopped +\| 20,000 ms +\| 30 /);
    expect(text).toMatch(/\| from the breach to the alert +\| 400 ms +\| 1,000 ms +\| -200 1000/);
    expect(text).toMatch(/\| from the alert to what Alertmanager tells +\| 2,000 ms +\| 2,000 ms +\| 2000/);
    expect(text).not.toContain("**missed**");
  });

  it("come from options that are all known", () => {
    expect(readProbesOptions(["--quick", "--only", "truth,history"])).toMatchObject({ stores: 200, parts: new Set(["truth", "history"]) });
    for (const args of [["--stores", "0"], ["--only", "nothing"], ["--breaches", "x"], ["--fast"]])
      expect(() => readProbesOptions(args)).toThrow(TypeError);
  });
});
