import { describe, expect, it } from "vitest";
import { exposureOf } from "../exposure/exposure-of.ts";
import { behind, copy, never, NOW_MS, primary, store } from "../exposure/testing/sample-facts.ts";
import type { CopyFacts } from "../probes/probe-result.ts";
import { describeExposure, isExposureFine } from "./exposure-view.ts";
import { describeMeasured } from "./measured-view.ts";
import type { Facts } from "./status-facts.ts";
import { makePaint } from "./terminal.ts";

const wide = { columns: 160, paint: makePaint(false) };
const narrow = { columns: 40, paint: makePaint(false) };

function answer(standby: Partial<CopyFacts>, scenarios: readonly string[] = ["node-loss"]): Facts {
  const facts = store([primary(), copy({ name: "pg2", domain: { machine: "m2" }, ...standby })]);
  const exposures = exposureOf({
    nowMs: NOW_MS,
    services: {
      orders: {
        stores: ["db"],
        objectives: { "node-loss": { rpoMs: 5_000, rtoMs: 60_000 } },
        business: { unit: "orders", perHour: 3_600 },
      },
    },
    stores: new Map([["db", facts]]),
  });
  // As it comes over HTTP.
  return JSON.parse(JSON.stringify({ atMs: NOW_MS, exposures: exposures.filter(({ scenario }) => scenarios.includes(scenario)) })) as Facts;
}

describe("tidemark exposure", () => {
  it("says what would be lost, what is allowed, in which units, from which copy, and whether that is so", () => {
    const lines = describeExposure(answer({ recoveryPoint: behind(7_000) }), wide);
    expect(lines[2]).toBe("orders");
    expect(lines[4]).toMatch(/^node-loss +5\.00 s +7\.00 s +above +7 orders$/);
    expect(lines.join("\n")).toContain("From db/pg2; right within 10 ms, by canary.");
    expect(isExposureFine(answer({ recoveryPoint: behind(7_000) }))).toBe(false);
    expect(isExposureFine(answer({ recoveryPoint: behind(0) }))).toBe(true);
  });

  it("shows what is not known as unknown, without any number, and says why and since when", () => {
    const unknown = answer({ recoveryPoint: never });
    const text = describeExposure(unknown, wide).join("\n");
    expect(text).toMatch(/^node-loss +5\.00 s +unknown +unknown +unknown orders$/m);
    expect(text).toContain("Not known since 2027-01-15 07:59:30: no copy of db is known to survive: pg2, it does not answer.");
    expect(isExposureFine(unknown)).toBe(false);
  });

  it("says that everything would be lost where that is certain, and judges nothing that nobody demanded", () => {
    const lines = describeExposure(answer({}, ["region-loss"]), wide);
    expect(lines[4]).toMatch(/^region-loss +none +unknown +not judged +unknown orders$/);
    expect(lines.join("\n")).toMatch(/Not known.*: no copy of db is known to survive/);
    const lost = describeExposure(answer({ domain: primary().domain }), wide);
    expect(lost[4]).toMatch(/^node-loss +5\.00 s +everything +above +unknown orders$/);
  });

  it("does not hide what is judged behind what nobody demanded: one line has the latter, also in 80 columns", () => {
    const all = ["process-loss", "node-loss", "zone-loss", "region-loss", "bad-write", "account-loss"];
    const lines = describeExposure(answer({ recoveryPoint: behind(7_000) }, all), { ...wide, columns: 80 }).flatMap((line) =>
      line.split("\n"),
    );
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    expect(lines.slice(2, 5)).toEqual([
      "orders",
      expect.stringMatching(/^scenario/) as string,
      expect.stringMatching(/^node-loss +5/) as string,
    ]);
    expect(lines.slice(5, 7).join(" ")).toMatch(/^no objective, not judged: process-loss 7\.00 s, .*region-loss +unknown, .*account-loss /);
    expect(lines.filter((line) => /region-loss/.test(line))).toHaveLength(1);
  });

  it("fits a narrow terminal", () => {
    const lines = describeExposure(answer({ recoveryPoint: never }), narrow).flatMap((line) => line.split("\n"));
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(40);
    expect(lines.join("\n")).toContain("unknown");
  });

  it("takes an answer that is none for unknown, and not for fine", () => {
    for (const odd of [{}, { exposures: "none" }, { atMs: "x", exposures: [{ service: 5, exposureMs: 3 }] }]) {
      expect(describeExposure(odd, wide).join("\n")).toContain("unknown");
      expect(isExposureFine(odd)).toBe(false);
    }
  });
});

describe("the exposure in the status", () => {
  const fine = { observer: { running: true }, judgement: { running: true }, history: { writing: true } };

  it("has a line per scenario, with what is allowed", () => {
    const lines = describeMeasured({ ...answer({ recoveryPoint: behind(7_000) }), ...fine }, NOW_MS, wide);
    expect(lines).toEqual(["exposure", expect.stringMatching(/^orders +node-loss would lose 7\.00 s \(5\.00 s allowed\)$/) as string]);
  });

  it("is unknown where it was measured too long ago, whatever it was then", () => {
    const lines = describeMeasured({ ...answer({ recoveryPoint: behind(0) }), ...fine }, NOW_MS + 60_000, wide);
    expect(lines[1]).toMatch(/^orders +unknown: it was not measured lately$/);
  });

  it("says which part of the measuring does not work, and why", () => {
    const broken = {
      atMs: NOW_MS,
      exposures: [],
      observer: { running: false, fault: { what: "a bug" } },
      judgement: { running: false },
      history: { writing: false, fault: { what: "the disk is full" } },
    };
    const text = describeMeasured(broken, NOW_MS, wide).join("\n");
    expect(text).toContain("nothing is measured: a bug");
    expect(text).toContain("nothing is judged, and no alert begins: it does not run");
    expect(text).toContain("the history is not written: the disk is full");
  });
});
