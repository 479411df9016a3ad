// Budgets and burn rates against a naive model that keeps every second on its own.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { known, unknown } from "../probes/probe-result.ts";
import { BURN_RATE_PERIOD_MS, BURN_RATE_RULES, burnRate, unreachableRules } from "./burn-rate.ts";
import { BUDGET_DAYS, errorBudget, errorBudgets } from "./error-budget.ts";
import { recoveryIndicator, recoveryQuality, type RecoveryEvent } from "./recovery-event.ts";
import { countSlices, type SliceBucket } from "./slice-counts.ts";
import { SliceSeries } from "./slice-series.ts";
import { checkSloTarget } from "./slo-target.ts";
import { sliceQuality, worseSlice, type SliceQuality } from "./time-slice.ts";
import { exposureOfTest } from "../alerts/testing/sample-observation.ts";

const quality = fc.constantFrom<SliceQuality>("good", "good", "good", "bad", "unknown");
/** Runs of seconds, as they come in reality. */
const seconds = (most: number): fc.Arbitrary<SliceQuality[]> =>
  fc
    .array(fc.tuple(quality, fc.integer({ min: 1, max: 200 })), { minLength: 1, maxLength: 30 })
    .map((runs) => runs.flatMap(([of, length]) => Array.from({ length }, () => of)).slice(0, most));

function bucketsOf(all: readonly SliceQuality[], startMs: number, width: number): SliceBucket[] {
  const buckets: SliceBucket[] = [];
  for (let from = 0; from < all.length; from += width) {
    const part = all.slice(from, from + width);
    const count = (of: SliceQuality): number => part.filter((one) => one === of).length;
    buckets.push({
      startMs: startMs + from * 1_000,
      durationMs: width * 1_000,
      goodSeconds: count("good"),
      badSeconds: count("bad"),
      unknownSeconds: count("unknown"),
    });
  }
  return buckets;
}

describe("a time slice", () => {
  it("is good at the objective, bad above it, unknown when the exposure is not known, and nothing without an objective", () => {
    expect(sliceQuality(exposureOfTest({ exposureMs: 60_000, rpoMs: 60_000 }))).toBe("good");
    expect(sliceQuality(exposureOfTest({ exposureMs: 60_001, rpoMs: 60_000 }))).toBe("bad");
    expect(sliceQuality(exposureOfTest({ rpoMs: 60_000 }))).toBe("unknown");
    expect(sliceQuality(exposureOfTest({ exposureMs: 5 }))).toBeUndefined();
  });

  it("is bad without a figure where it is certain that nothing survives", () => {
    expect(sliceQuality({ ...exposureOfTest({ rpoMs: 60_000 }), judgement: "above", lost: ["orders-db"] })).toBe("bad");
  });

  it("takes the worse of two looks, and what is surely bad before what is not known", () => {
    expect(worseSlice("good", "unknown")).toBe("unknown");
    expect(worseSlice("unknown", "bad")).toBe("bad");
    expect(worseSlice("good", "good")).toBe("good");
  });
});

describe("counting slices", () => {
  it("agrees with counting every second, within its stated error, whatever the width of the buckets and the window", () => {
    fc.assert(
      fc.property(
        seconds(3_000),
        fc.constantFrom(1, 60, 900),
        fc.nat(3_000),
        fc.nat(3_000),
        fc.nat(3_000),
        (all, width, from, length, since) => {
          const window = { fromMs: from * 1_000, toMs: (from + length) * 1_000, sinceMs: since * 1_000 };
          const counts = countSlices(bucketsOf(all, 0, width), window);
          const naive = { good: 0, bad: 0, unknown: 0 };
          for (let second = Math.max(from, since); second < from + length; second++) naive[all[second] ?? "unknown"]++;
          expect(Math.abs(counts.goodSeconds - naive.good)).toBeLessThanOrEqual(counts.errorSeconds + 1e-6);
          expect(Math.abs(counts.badSeconds - naive.bad)).toBeLessThanOrEqual(counts.errorSeconds + 1e-6);
          expect(counts.totalSeconds).toBe(naive.good + naive.bad + naive.unknown);
          expect(counts.goodSeconds + counts.badSeconds + counts.unknownSeconds).toBeCloseTo(counts.totalSeconds, 6);
          if (width === 1) {
            expect(counts.errorSeconds).toBe(0);
            let unseen = 0;
            for (let second = Math.max(from, since); second < from + length; second++) if (all[second] === undefined) unseen++;
            expect(counts.unseenSeconds).toBeCloseTo(unseen, 6);
          }
        },
      ),
    );
  });

  it("counts what nobody looked at as unknown, and nothing from before the objective", () => {
    const counts = countSlices([], { fromMs: 0, toMs: 100_000, sinceMs: 40_000 });
    expect(counts).toEqual({ goodSeconds: 0, badSeconds: 0, unknownSeconds: 60, unseenSeconds: 60, totalSeconds: 60, errorSeconds: 0 });
  });

  it("refuses buckets that overlap: a second would count twice", () => {
    const bucket = { startMs: 0, durationMs: 60_000, goodSeconds: 60, badSeconds: 0, unknownSeconds: 0 };
    expect(() => countSlices([bucket, bucket], { fromMs: 0, toMs: 60_000, sinceMs: 0 })).toThrow("overlap");
  });
});

describe("an error budget", () => {
  it("agrees with the naive model for every window", () => {
    fc.assert(
      fc.property(seconds(2_000), fc.constantFrom(0.9, 0.99, 0.999), (all, target) => {
        const nowMs = 200 * 86_400_000;
        const sinceMs = nowMs - all.length * 1_000;
        for (const budget of errorBudgets(bucketsOf(all, sinceMs, 1), { nowMs, sinceMs, target })) {
          const spent = all.filter((one) => one !== "good").length;
          const allowed = budget.days * 86_400 * (1 - target);
          expect(budget.spentSeconds).toBeCloseTo(spent, 6);
          expect(budget.spentUnknownSeconds).toBeCloseTo(all.filter((one) => one === "unknown").length, 6);
          expect(budget.left).toBeCloseTo(1 - spent / allowed, 9);
          expect(budget.indicator).toBeCloseTo((all.length - spent) / all.length, 9);
          expect(budget.covered).toBeCloseTo(all.length / (budget.days * 86_400), 12);
        }
      }),
    );
  });

  it("knows nothing where nothing was measured: no 100 %, no 0", () => {
    const counts = countSlices([], { fromMs: 0, toMs: 0, sinceMs: 0 });
    expect(errorBudget(counts, { days: 7, target: 0.999 })).toMatchObject({ indicator: undefined, left: undefined, covered: 0 });
  });

  it("is a quarter spent after 10.8 minutes of breach in 30 days at 99.9 %", () => {
    const nowMs = 90 * 86_400_000;
    const bad = { startMs: nowMs - 3_600_000, durationMs: 3_600_000, goodSeconds: 2_952, badSeconds: 600, unknownSeconds: 48 };
    const good = Array.from({ length: 24 * 30 - 1 }, (_, hour) => ({
      startMs: nowMs - (hour + 2) * 3_600_000,
      durationMs: 3_600_000,
      goodSeconds: 3_600,
      badSeconds: 0,
      unknownSeconds: 0,
    }));
    const month = errorBudgets([bad, ...good], { nowMs, sinceMs: 0, target: 0.999 }).find(({ days }) => days === 30);
    expect(month?.left).toBeCloseTo(0.75, 9);
    expect(month?.spentUnknownSeconds).toBeCloseTo(48, 6);
    expect(BUDGET_DAYS).toEqual([7, 28, 30, 90]);
  });

  it("refuses a target without a budget", () => {
    for (const target of [0, 1, 1.5, Number.NaN]) expect(() => checkSloTarget(target)).toThrow("share above 0 and below 1");
    expect(checkSloTarget(0.95)).toBe(0.95);
  });
});

describe("burn rates", () => {
  it("have factors that follow from the share of a 30-day budget that is worth an alert", () => {
    for (const rule of BURN_RATE_RULES) {
      expect((rule.factor * rule.longMs) / BURN_RATE_PERIOD_MS).toBeCloseTo(rule.budgetShare, 9);
      expect(rule.longMs / rule.shortMs).toBe(12);
    }
  });

  it("are 1 when the budget is spent exactly at the end of the window", () => {
    const counts = countSlices(bucketsOf([...Array.from({ length: 999 }, () => "good" as const), "bad"], 0, 1), {
      fromMs: 0,
      toMs: 1_000_000,
      sinceMs: 0,
    });
    expect(burnRate(counts, { windowMs: 1_000_000, target: 0.999 })).toBeCloseTo(1, 9);
    expect(burnRate({ ...counts, totalSeconds: 0 }, { windowMs: 1_000_000, target: 0.999 })).toBeUndefined();
  });

  it("cannot reach 14.4 where the target allows every fourteenth second to be bad", () => {
    expect(unreachableRules(0.999)).toEqual([]);
    expect(unreachableRules(0.93).map(({ name }) => name)).toEqual(["burn-rate-1h"]);
  });
});

describe("the series of the newest three days", () => {
  const windows = [...new Set(BURN_RATE_RULES.flatMap(({ longMs, shortMs }) => [longMs, shortMs]))];

  it("says what counting buckets of a minute says, over runs and gaps of any length", () => {
    const step = fc.tuple(quality, fc.integer({ min: 1, max: 400 }), fc.oneof(fc.constant(0), fc.integer({ min: 3, max: 90_000 })));
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), fc.nat(100_000), (steps, start) => {
        const begin = 1_000_000 + start;
        const series = new SliceSeries(begin * 1_000);
        const minutes = new Map<number, { good: number; bad: number; unknown: number }>();
        let second = begin;
        for (const [of, length, gap] of steps) {
          for (let index = 0; index < length; index++, second++) {
            series.record(second * 1_000 + (index % 900), of);
            const minute = Math.floor(second / 60);
            const entry = minutes.get(minute) ?? { good: 0, bad: 0, unknown: 0 };
            entry[of]++;
            minutes.set(minute, entry);
          }
          second += gap;
        }
        const nowMs = (second - 1) * 1_000;
        const buckets = [...minutes].map(([minute, { good, bad, unknown }]) => ({
          startMs: minute * 60_000,
          // The running minute is as long as it has lasted.
          durationMs: Math.min(60_000, second * 1_000 - minute * 60_000),
          goodSeconds: good,
          badSeconds: bad,
          unknownSeconds: unknown,
        }));
        for (const windowMs of windows) {
          const got = series.counts(windowMs, nowMs);
          // The series begins within a minute: its first bucket is not cut there, what lies in it is all after the beginning.
          const toMs = second * 1_000;
          const whole = countSlices(buckets, { fromMs: toMs - windowMs, toMs, sinceMs: 0 });
          expect(got.goodSeconds).toBeCloseTo(whole.goodSeconds, 6);
          expect(got.badSeconds).toBeCloseTo(whole.badSeconds, 6);
          // In both: what was looked at in vain. The whole window's beginning is not cut at the series' one, so that unseen ones differ there.
          expect(got.unknownSeconds - got.unseenSeconds).toBeCloseTo(whole.unknownSeconds - whole.unseenSeconds, 6);
          expect(got.totalSeconds).toBe(Math.min(windowMs / 1_000, second - begin));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("bridges a second that a timer's jitter skipped, and not an absence", () => {
    const series = new SliceSeries(0);
    for (const second of [0, 1, 3, 4]) series.record(second * 1_000, "good");
    expect(series.counts(300_000, 4_000)).toMatchObject({ goodSeconds: 5, unknownSeconds: 0 });
    series.record(6_000, "bad");
    expect(series.counts(300_000, 6_000)).toMatchObject({ goodSeconds: 5, badSeconds: 2 });
    series.record(20_000, "good");
    expect(series.counts(300_000, 20_000)).toMatchObject({ goodSeconds: 6, badSeconds: 2, unknownSeconds: 13, unseenSeconds: 13 });
    series.record(21_000, "unknown");
    expect(series.counts(300_000, 21_000)).toMatchObject({ unknownSeconds: 14, unseenSeconds: 13 });
  });

  it("takes the worse of two looks in one second", () => {
    const series = new SliceSeries(0);
    series.record(100, "good");
    series.record(500, "bad");
    series.record(900, "good");
    expect(series.counts(300_000, 900)).toMatchObject({ goodSeconds: 0, badSeconds: 1, totalSeconds: 1 });
  });

  it("goes on over a restart with what history kept, the absence being unknown", () => {
    const before = bucketsOf(
      Array.from({ length: 1_200 }, (_, second) => (second < 600 ? "good" : "bad")),
      600_000,
      60,
    );
    const series = new SliceSeries(2_000_000);
    series.restore(600_000, before);
    series.record(2_000_000, "good");
    expect(series.counts(3_600_000, 2_000_000)).toMatchObject({
      goodSeconds: 601,
      badSeconds: 600,
      unknownSeconds: 200,
      unseenSeconds: 200,
      totalSeconds: 1_401,
    });
    expect(series.sinceMs).toBe(600_000);
  });

  it("begins anew where the clock was set back", () => {
    const series = new SliceSeries(10_000_000);
    for (let second = 10_000; second < 10_100; second++) series.record(second * 1_000, "bad");
    series.record(6_400_000, "good");
    expect(series.counts(3_600_000, 6_400_000)).toMatchObject({ goodSeconds: 1, badSeconds: 0, totalSeconds: 1 });
  });
});

describe("recoveries", () => {
  const at = { atMs: 1, method: "observed" as const, errorMs: 0 };
  const event = (over: Partial<RecoveryEvent>): RecoveryEvent => ({
    service: "orders",
    scenario: "node-loss",
    atMs: 5,
    exercise: false,
    lostMs: known(0, at),
    tookMs: known(8_000, at),
    objective: { rpoMs: 0, rtoMs: 10_000 },
    ...over,
  });

  it("are good within both objectives; surely bad counts before unknown", () => {
    expect(recoveryQuality(event({}))).toBe("good");
    expect(recoveryQuality(event({ lostMs: known(1, at), tookMs: unknown("nobody saw it", 1) }))).toBe("lost-too-much");
    expect(recoveryQuality(event({ tookMs: known(10_001, at) }))).toBe("took-too-long");
    expect(recoveryQuality(event({ lostMs: unknown("no ledger", 1) }))).toBe("unknown");
  });

  it("have no indicator where none happened", () => {
    expect(recoveryIndicator([], { fromMs: 0, toMs: 10 }).indicator).toBeUndefined();
    expect(recoveryIndicator([event({}), event({ lostMs: unknown("", 1) }), event({ atMs: 10 })], { fromMs: 0, toMs: 10 })).toMatchObject({
      events: 2,
      good: 1,
      unknown: 1,
      indicator: 0.5,
    });
  });
});
