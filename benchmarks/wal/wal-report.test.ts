import { describe, expect, it } from "vitest";
import { readWalOptions } from "./wal-options.ts";
import { judgeWal, renderWalReport } from "./wal-report.ts";
import type { WalRun } from "./wal-suite.ts";

const MIB = 1_048_576;

function runs(rates: Readonly<Record<string, readonly number[]>>): WalRun[] {
  return Object.entries(rates).flatMap(([name, values]) => {
    const [part, receiver, connections] = name.split("|") as [WalRun["part"], WalRun["receiver"], string?];
    return values.map((rate) => ({
      part,
      receiver,
      rate,
      peakMemory: 100 * MIB,
      ...(connections === undefined ? {} : { connections: Number(connections) }),
    }));
  });
}

const MEASURED = runs({
  "catch-up|pg_receivewal": [90, 100, 500],
  "catch-up|vault": [99, 99, 99],
  "archive|vault, archiving": [35],
  "commits|pg_receivewal --synchronous|16": [1_000],
  "commits|vault|16": [850],
  "commits|pg_receivewal --synchronous|1": [1_000],
});

describe("the figures of bench:wal", () => {
  it("judges medians against pg_receivewal, and says unknown where a figure is missing", () => {
    expect(judgeWal({ runs: MEASURED }).map(({ met }) => met)).toEqual([false, true, true, undefined, true]);
  });

  it("says unknown of a run in which nothing was counted, in the table and of the target", () => {
    const cell = { part: "commits", receiver: "vault", connections: 64, rate: undefined, peakMemory: MIB } as const;
    const none: WalRun[] = [cell, { ...cell, receiver: "pg_receivewal --synchronous" }];
    expect(judgeWal({ runs: none }).find(({ target }) => target.includes("64"))).toMatchObject({
      met: undefined,
      measured: "not measured",
    });
    const machine = { processor: "p", cores: 2, memoryGiB: 1, system: "s", disk: "d", node: "n", peers: {} };
    const report = { at: "2026-01-01T00:00:00Z", rounds: 1, seconds: 2, machine, postgres: "15", backlogBytes: 0, runs: none };
    expect(renderWalReport(report)).toMatch(/\| 64 +\| vault +\| unknown +\| – /);
    expect(renderWalReport(report)).not.toContain("NaN");
  });

  it("misses the target of memory by the worst round", () => {
    const worse = [...MEASURED, { part: "catch-up", receiver: "vault", rate: 99, peakMemory: 256 * MIB } as const];
    expect(judgeWal({ runs: worse }).at(-1)).toMatchObject({ met: false, measured: "256 MiB at most" });
  });

  it("shows every round beside the median", () => {
    const machine = { processor: "p", cores: 2, memoryGiB: 1, system: "s", disk: "d", node: "n", peers: {} };
    const text = renderWalReport({
      at: "2026-01-01T00:00:00Z",
      rounds: 3,
      seconds: 5,
      machine,
      postgres: "15",
      backlogBytes: 1e9,
      runs: MEASURED,
    });
    expect(text).toMatch(/\| pg_receivewal +\| 100 +\| 1\.00 +\| 90 100 500/);
    expect(text).toMatch(/\| 16 +\| vault +\| 850 +\| 0\.85/);
  });

  it("refuses options that it does not know", () => {
    expect(readWalOptions(["--quick"])).toMatchObject({ rounds: 1, connections: [1, 16, 64] });
    for (const args of [["--rounds", "0"], ["--only", "nothing"], ["--connections", "1,x"], ["--fast"]])
      expect(() => readWalOptions(args)).toThrow(TypeError);
  });
});
