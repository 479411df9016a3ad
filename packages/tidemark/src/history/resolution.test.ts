import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planRange } from "./resolution.ts";

const DAY_MS = 86_400_000;
const nowMs = 1_800_000_000_000;
const kept = { seconds: nowMs - 4 * 3_600_000, minutes: nowMs - 14 * DAY_MS, hours: nowMs - 400 * DAY_MS };

describe("the resolution of an answer", () => {
  it.each([
    ["the last minute in seconds", 60_000, 600, "seconds", 1_000],
    ["the last hour in few points", 3_600_000, 60, "minutes", 60_000],
    ["the last hour in many points", 3_600_000, 1_000, "seconds", 5_000],
    ["six hours, which seconds do not reach back to", 6 * 3_600_000, 10_000, "minutes", 60_000],
    ["a week", 7 * DAY_MS, 1_000, "minutes", 15 * 60_000],
    ["ninety days", 90 * DAY_MS, 2_000, "hours", 2 * 3_600_000],
    ["five years", 5 * 365 * DAY_MS, 100, "hours", 32 * DAY_MS],
  ] as const)("fits %s", (_range, lengthMs, points, tier, stepMs) => {
    expect(planRange({ fromMs: nowMs - lengthMs, toMs: nowMs, points }, kept)).toMatchObject({ tier, stepMs });
  });

  it("has at most as many points as were asked for, and covers the range", () => {
    fc.assert(
      fc.property(fc.nat(8_640_000_000_000_000 - 1), fc.nat(10 ** 12), fc.integer({ min: 1, max: 10_000 }), (fromMs, lengthMs, points) => {
        const toMs = Math.min(fromMs + lengthMs + 1, 8.64e15);
        const plan = planRange({ fromMs, toMs, points }, kept);
        expect(plan.count).toBeLessThanOrEqual(points);
        expect(plan.startMs).toBeLessThanOrEqual(fromMs);
        expect(plan.startMs + plan.count * plan.stepMs).toBeGreaterThanOrEqual(toMs);
        expect(plan.startMs % plan.stepMs).toBe(0);
      }),
    );
  });

  it.each([
    { fromMs: 2, toMs: 1, points: 1 },
    { fromMs: 1, toMs: 1, points: 1 },
    { fromMs: -1, toMs: 1, points: 1 },
    { fromMs: Number.NaN, toMs: 1, points: 1 },
    { fromMs: 0, toMs: Number.POSITIVE_INFINITY, points: 1 },
    { fromMs: 0, toMs: 1, points: 0 },
    { fromMs: 0, toMs: 1, points: 1.5 },
    { fromMs: 0, toMs: 1, points: 10_001 },
  ])("refuses a range that makes no sense: $fromMs to $toMs in $points", (question) => {
    expect(() => planRange(question, kept)).toThrow(expect.objectContaining({ code: "TM-HISTORY-RANGE" }));
  });
});
