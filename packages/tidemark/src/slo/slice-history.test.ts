import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { exposureOfTest } from "../alerts/testing/sample-observation.ts";
import { History } from "../history/history.ts";
import { countSlices } from "./slice-counts.ts";
import { keptSlices, sliceFigure, sliceSeries } from "./slice-history.ts";
import type { SliceQuality } from "./time-slice.ts";

const of = { service: "orders", scenario: "node-loss" };
const HOUR_MS = 3_600_000;
/** Neither the beginning of a minute nor of an hour. */
const START_MS = 1_700_000_000_000 + 17_000;

let history: History;
beforeEach(() => {
  history = new History(":memory:");
});
afterEach(() => history.close());

/** Records a second of each quality. */
function record(all: readonly SliceQuality[], startMs = START_MS): void {
  const series = history.series(sliceSeries(of)) ?? 0;
  for (const [index, quality] of all.entries()) {
    const atMs = startMs + index * 1_000;
    const exposureMs = quality === "good" ? 0 : 9_000;
    const figure = sliceFigure(exposureOfTest({ ...(quality === "unknown" ? {} : { exposureMs }), rpoMs: 1_000 }), atMs);
    if (figure !== undefined) history.record(atMs, [{ series, figure }]);
  }
}

const mixed = Array.from({ length: 2 * 3_600 + 1_234 }, (_, second): SliceQuality =>
  second % 100 === 7 ? "bad" : second % 50 === 9 ? "unknown" : "good",
);

describe("time slices in history", () => {
  it("come out as they went in, in buckets of seconds, minutes and hours alike", () => {
    record(mixed);
    const endMs = START_MS + mixed.length * 1_000;
    for (const points of [10_000, 300, 4]) {
      const kept = keptSlices(history, of, { fromMs: START_MS - HOUR_MS / 2, toMs: endMs, points });
      expect(kept.sinceMs).toBe(START_MS);
      expect(countSlices(kept.buckets, { fromMs: 0, toMs: endMs, sinceMs: START_MS })).toMatchObject({
        goodSeconds: mixed.filter((one) => one === "good").length,
        badSeconds: mixed.filter((one) => one === "bad").length,
        unknownSeconds: mixed.filter((one) => one === "unknown").length,
        errorSeconds: 0,
      });
    }
  });

  it("leave a gap where nobody looked, which counts as unknown", () => {
    record(["good", "good"]);
    record(["good"], START_MS + 60_000);
    const toMs = START_MS + 61_000;
    const { buckets, sinceMs } = keptSlices(history, of, { fromMs: START_MS - 10_000, toMs });
    expect(countSlices(buckets, { fromMs: 0, toMs, sinceMs: sinceMs ?? 0 })).toMatchObject({ goodSeconds: 3, unknownSeconds: 58 });
  });

  it("are none where there is no objective, no series, or an empty stretch", () => {
    expect(sliceFigure(exposureOfTest({ exposureMs: 5 }), 0)).toBeUndefined();
    const nothing = { sinceMs: undefined, buckets: [] };
    expect(keptSlices(history, of, { fromMs: 0, toMs: 5_000 })).toEqual(nothing);
    record(["good"]);
    expect(keptSlices(history, of, { fromMs: 0, toMs: 5_000 })).toEqual(nothing);
    expect(keptSlices(history, of, { fromMs: 5_000, toMs: 5_000 })).toEqual(nothing);
  });

  it("never become longer than the time that passed, also where a clock was set back", () => {
    record(["good", "good", "bad", "bad"]);
    record(["good", "good", "good", "good"]);
    const toMs = START_MS + 4_000;
    const { buckets } = keptSlices(history, of, { fromMs: START_MS - 600_000, toMs, points: 5 });
    for (const bucket of buckets)
      expect(bucket.goodSeconds + bucket.badSeconds + bucket.unknownSeconds).toBeLessThanOrEqual(bucket.durationMs / 1_000 + 1e-6);
    expect(countSlices(buckets, { fromMs: 0, toMs, sinceMs: START_MS }).totalSeconds).toBe(4);
  });
});
