import { describe, expect, test } from "vitest";
import { readOptions } from "./bench-options.ts";
import { cellFigures, median, type Cell, type CellResult, type CellRun } from "./cell.ts";
import { judgeFailover, readRun } from "./failover.ts";
import { Latencies } from "./load/latencies.ts";
import { judgeMemory } from "./memory.ts";
import { renderReport, table } from "./report.ts";
import { judgeTargets } from "./targets.ts";

const run = (acknowledged: number, facts: Partial<CellRun> = {}): CellRun => ({
  acknowledged,
  p50Ms: 1,
  p99Ms: 2,
  refused: 0,
  clientCores: 0.5,
  ...facts,
});
const result = (cell: Cell, ...runs: CellRun[]): CellResult => ({ cell, runs });

describe("figures", () => {
  test("a figure is the median of its runs, and sustained is the lower of acknowledging and draining in each run", () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
    const figures = cellFigures([run(100, { drained: 50 }), run(90, { drained: 95 }), run(80, { drained: 200, refused: 2 })]);
    expect(figures).toMatchObject({ acknowledged: 90, drained: 95, sustained: 80, refused: 2, spread: [80, 100] });
    expect(cellFigures([run(7)]).sustained).toBe(7);
  });

  test("percentiles are by nearest rank, and hold when samples are thinned out", () => {
    const latencies = new Latencies();
    for (let i = 1; i <= 100; i++) latencies.add(i);
    expect(latencies.percentiles(50, 99, 100)).toEqual([50, 99, 100]);
    const many = new Latencies();
    for (let i = 0; i < Latencies.MOST_SAMPLES * 2.5; i++) many.add((i % 1_000) / 10);
    const [p50 = 0, p99 = 0] = many.percentiles(50, 99);
    expect(p50).toBeCloseTo(50, 0);
    expect(p99).toBeCloseTo(99, 0);
  });
});

describe("targets", () => {
  const cells = (sdkSustained: number, insertP50: number): CellResult[] => [
    result({ contender: "insert", writers: 1, mode: "none" }, run(1_000, { p50Ms: insertP50 })),
    result({ contender: "insert", writers: 64, mode: "none" }, run(10_000)),
    result({ contender: "http", writers: 1, mode: "burst" }, run(900, { p50Ms: 1.1 })),
    result({ contender: "sdk", writers: 64, mode: "sustained" }, run(30_000, { drained: sdkSustained })),
  ];

  test("are met or missed by their own bounds", () => {
    const judged = judgeTargets(cells(20_000, 1));
    expect(judged.filter(({ met }) => met !== undefined).map(({ met }) => met)).toEqual([true, true]);
    expect(
      judgeTargets(cells(19_999, 0.9))
        .filter(({ met }) => met !== undefined)
        .map(({ met }) => met),
    ).toEqual([false, false]);
  });

  test("are unknown where a figure is missing, never met", () => {
    expect(judgeTargets([]).every(({ met }) => met === undefined)).toBe(true);
  });

  test("memory is flat when the last tenth is at most a tenth above the first, the settling left out", () => {
    const grow = (bytes: (writes: number) => number) =>
      judgeMemory(Array.from({ length: 101 }, (_, index) => ({ writes: index * 10_000, bytes: bytes(index * 10_000) })));
    expect(grow((writes) => (writes < 100_000 ? 1 : 100))).toMatchObject({ met: true });
    expect(grow((writes) => 100_000 + writes / 10)).toMatchObject({ met: false });
    expect(judgeMemory([])).toMatchObject({ met: undefined });
  });

  test("a failover is judged by the writes that were due between the fault and 10 s after its healing", () => {
    const entry = (n: number, scheduledAtMs: number, latencyMs?: number) => ({
      intent: { n, purpose: "order" as const, order: String(n), customer: "c", amountCents: 1, idempotencyKey: String(n), scheduledAtMs },
      ...(latencyMs === undefined
        ? {}
        : {
            answer: {
              n,
              kind: "acknowledged" as const,
              receipt: { id: "", frozenId: "", journal: "", partition: 0, sequence: "1" },
              atMs: 0,
              latencyMs,
              attempts: 1,
            },
          }),
    });
    const marks = { startMs: 0, faultBeganMs: 1_000, faultEndedMs: 1_001, healedMs: 2_000, endMs: 30_000 };
    const verdict = { counts: { lost: 0 } } as Parameters<typeof readRun>[0]["verdict"];
    const found = readRun({ marks, rto: { ms: 700, targetMs: 1_000, method: "" }, verdict }, [
      entry(1, 500, 1),
      entry(2, 1_500, 40),
      entry(3, 11_999, 45),
      entry(4, 12_001, 999),
      entry(5, 5_000),
    ]);
    expect(found).toEqual({ rtoMs: 700, p99BeforeMs: 1, p99DuringMs: 45, refused: 1, lost: 0 });
    expect(judgeFailover([found]).map(({ met }) => met)).toEqual([true, false, true]);
    expect(judgeFailover([{ ...found, rtoMs: undefined }])[0]?.met).toBe(false);
  });
});

describe("the report", () => {
  const machine = { processor: "P", cores: 2, memoryGiB: 8, system: "S", disk: "ext4 on /dev/x", node: "v24", peers: {} };

  test("shows burst and sustained side by side with their ratios, and what was skipped and why", () => {
    const text = renderReport({
      at: "2026-01-02T03:04:05Z",
      rounds: 3,
      seconds: 4,
      machine,
      suite: {
        raw: {},
        cells: [
          result({ contender: "insert", writers: 64, mode: "none" }, run(10_000)),
          result({ contender: "sdk", writers: 64, mode: "burst" }, run(30_000, { drained: 40_000 })),
          result({ contender: "sdk", writers: 64, mode: "sustained" }, run(25_000, { drained: 20_000 })),
          { cell: { contender: "redis", writers: 1, mode: "none" }, runs: [], skipped: "not there" },
        ],
      },
    });
    const row = text.split("\n").find((line) => line.includes("gateway, SDK") && line.includes("30,000/s")) ?? "";
    expect(row.split("|").map((cell) => cell.trim())).toEqual([
      "",
      "gateway, SDK",
      "64",
      "30,000/s",
      "1.00 / 2.0",
      "20,000/s",
      "25,000/s / 20,000/s",
      "1.00 / 2.0",
      "3.0 / 2.0",
      "",
    ]);
    expect(text).toContain("skipped: not there");
  });

  test("tables are padded, so that they read in a terminal", () => {
    expect(
      table(["a", "long head"], [["x", "y"]])
        .split("\n")
        .map((line) => line.length),
    ).toEqual([17, 17, 17]);
  });
});

test("options that are not known are refused", () => {
  expect(() => readOptions(["--fast"])).toThrow("--fast");
  expect(() => readOptions(["--rounds", "0"])).toThrow("--rounds");
  expect(readOptions(["--quick"])).toMatchObject({ rounds: 1, write: false });
});
