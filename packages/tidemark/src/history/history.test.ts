import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { known, unknown, type Figure } from "../probes/probe-result.ts";
import type { Bucket } from "./bucket.ts";
import { History } from "./history.ts";

/** The beginning of an hour. */
const START_MS = 1_800_000_000_000;
const HOUR_MS = 3_600_000;
const name = { metric: "exposure", labels: { service: "orders" } };

const is = (value: number, atMs = 0): Figure<number> => known(value, { atMs, method: "observed", errorMs: 0 });
const dark: Figure<number> = unknown("it does not answer", 0);

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-history-"));
  path = join(folder, "history.sqlite");
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Records `figure` for every second from `fromMs` on. */
function fill(history: History, from: { atMs: number; seconds: number; every?: number }, figure: (second: number) => Figure<number>): void {
  const series = history.series(name) ?? 0;
  for (let second = 0; second < from.seconds; second += from.every ?? 1)
    history.record(from.atMs + second * 1_000, [{ series, figure: figure(second) }]);
}

function ask(history: History, lengthMs: number, points: number, fromMs = START_MS): readonly Bucket[] {
  return history.range(name, { fromMs, toMs: fromMs + lengthMs, points }).buckets;
}

function counts(buckets: readonly Bucket[]): { known: number; unknown: number; sum: number } {
  return {
    known: buckets.reduce((sum, one) => sum + one.known, 0),
    unknown: buckets.reduce((sum, one) => sum + one.unknown, 0),
    sum: buckets.reduce((sum, one) => sum + (one.values?.sum ?? 0), 0),
  };
}

describe("history", () => {
  it("tells what was recorded from what was not known and from what nobody looked at", () => {
    const history = new History(":memory:");
    fill(history, { atMs: START_MS, seconds: 3 }, (second) => (second === 1 ? dark : is(second)));
    expect(ask(history, 5_000, 5)).toEqual([
      { known: 1, unknown: 0, values: { min: 0, max: 0, sum: 0 } },
      { known: 0, unknown: 1 },
      { known: 1, unknown: 0, values: { min: 2, max: 2, sum: 2 } },
      { known: 0, unknown: 0 },
      { known: 0, unknown: 0 },
    ]);
    history.close();
  });

  it("makes no number of what is none", () => {
    const history = new History(":memory:");
    fill(history, { atMs: START_MS, seconds: 2 }, (second) => is(second === 0 ? Number.NaN : Number.POSITIVE_INFINITY));
    expect(ask(history, 2_000, 2)).toEqual([
      { known: 0, unknown: 1 },
      { known: 0, unknown: 1 },
    ]);
    history.close();
  });

  it("says the same at every resolution, in memory, written, and after a start", () => {
    let history = new History(path);
    const seconds = 2 * 3_600 + 90;
    const figure = (second: number): Figure<number> => (second % 7 === 0 ? dark : is(second % 100));
    fill(history, { atMs: START_MS, seconds }, figure);
    const all = ask(history, 3 * HOUR_MS, 10_800 - 800);
    const total = counts(all);
    expect(total.known + total.unknown).toBe(seconds);
    for (const points of [10_000, 1_000, 200, 20, 4, 1])
      expect([points, counts(ask(history, 3 * HOUR_MS, points))]).toEqual([points, total]);
    const hours = ask(history, 3 * HOUR_MS, 3);
    expect(hours[0]).toMatchObject({ values: { min: 0, max: 99 } });
    history.close();
    history = new History(path);
    for (const points of [10_000, 200, 4]) expect([points, counts(ask(history, 3 * HOUR_MS, points))]).toEqual([points, total]);
    expect(ask(history, 3 * HOUR_MS, 3)).toEqual(hours);
    history.close();
  });

  it("keeps a gap visible at every resolution", () => {
    const history = new History(":memory:");
    fill(history, { atMs: START_MS, seconds: 120 }, () => is(1));
    fill(history, { atMs: START_MS + 600_000, seconds: 120 }, () => is(1));
    const minutes = ask(history, 720_000, 12);
    expect(minutes.map((one) => one.known)).toEqual([60, 60, 0, 0, 0, 0, 0, 0, 0, 0, 60, 60]);
    expect(minutes[5]?.values).toBeUndefined();
    history.close();
  });

  it("adds to the same seconds when the clock is set back, also when these were written long ago", () => {
    const history = new History(":memory:");
    fill(history, { atMs: START_MS, seconds: 2 * 3_600 }, () => is(1));
    fill(history, { atMs: START_MS + 600_000, seconds: 300 }, () => is(5));
    fill(history, { atMs: START_MS + 2 * HOUR_MS, seconds: 200 }, () => is(1));
    const expected = { known: 7_200 + 300 + 200, unknown: 0, sum: 7_200 + 1_500 + 200 };
    for (const points of [10_000, 200, 3]) expect([points, counts(ask(history, 3 * HOUR_MS, points))]).toEqual([points, expected]);
    expect(ask(history, 60_000, 1, START_MS + 660_000)).toEqual([{ known: 120, unknown: 0, values: { min: 1, max: 5, sum: 360 } }]);
    history.close();
  });

  it("keeps each resolution as long as it says, and answers from the next one for what is older", () => {
    const history = new History(":memory:", { keepSecondsMs: HOUR_MS, keepMinutesMs: 3 * HOUR_MS, keepHoursMs: 100 * HOUR_MS });
    fill(history, { atMs: START_MS, seconds: 6 * 3_600, every: 5 }, () => is(1));
    const range = (fromMs: number): { tier: string } => history.range(name, { fromMs, toMs: fromMs + 600_000, points: 600 });
    expect(range(START_MS + 5.5 * HOUR_MS).tier).toBe("seconds");
    expect(range(START_MS + 4 * HOUR_MS).tier).toBe("minutes");
    expect(range(START_MS + HOUR_MS).tier).toBe("hours");
    // What was kept in hours is whole, from the first second on.
    expect(counts(ask(history, 6 * HOUR_MS, 6)).known).toBe((6 * 3_600) / 5);
    history.close();
  });

  it("removes nothing by the word of a clock that is years ahead for some minutes", () => {
    const history = new History(":memory:", { keepSecondsMs: HOUR_MS });
    fill(history, { atMs: START_MS, seconds: 1_800 }, () => is(1));
    fill(history, { atMs: START_MS + 20_000 * HOUR_MS, seconds: 900 }, () => is(1));
    fill(history, { atMs: START_MS + 1_800_000, seconds: 600 }, () => is(1));
    expect(counts(ask(history, HOUR_MS, 3_600)).known).toBe(2_400);
    expect(counts(ask(history, HOUR_MS, 1)).known).toBe(2_400);
    history.close();
  });

  it("removes nothing either when it is started while the clock is years ahead", () => {
    let history = new History(path, { keepSecondsMs: HOUR_MS });
    fill(history, { atMs: START_MS, seconds: 1_800 }, () => is(1));
    history.close();
    history = new History(path, { keepSecondsMs: HOUR_MS });
    fill(history, { atMs: START_MS + 20_000 * HOUR_MS, seconds: 900 }, () => is(1));
    expect(counts(ask(history, HOUR_MS, 3_600)).known).toBe(1_800);
    history.close();
  });

  it("counts every second once when it ends while a minute is written for some series and not for others", () => {
    let history = new History(path);
    const names = Array.from({ length: 100 }, (_, index) => ({ metric: "many", labels: { number: String(index) } }));
    const record = (from: number, to: number): void => {
      const series = names.map((one) => history.series(one) ?? 0);
      for (let second = from; second < to; second++)
        history.record(
          START_MS + second * 1_000,
          series.map((one) => ({ series: one, figure: is(second) })),
        );
    };
    // One record in each start, so that each leaves the minute before in pieces.
    record(0, 61);
    for (let second = 61; second < 64; second++) {
      history.close();
      history = new History(path);
      record(second, second + 1);
    }
    const seen = names.map((one) => {
      const { buckets } = history.range(one, { fromMs: START_MS, toMs: START_MS + 120_000, points: 2 });
      return buckets.map(({ known: count }) => count).join();
    });
    expect(new Set(seen)).toEqual(new Set(["60,4"]));
    history.close();
  });

  it("stays within its size by keeping less, the seconds first, and goes on recording", () => {
    const history = new History(path, { mostBytes: 1_048_576 });
    const series = Array.from({ length: 60 }, (_, index) => history.series({ metric: "noise", labels: { number: String(index) } }) ?? 0);
    const seconds = 5_400;
    for (let second = 0; second < seconds; second++)
      history.record(
        START_MS + second * 1_000,
        series.map((one) => ({ series: one, figure: is((second * 7_919 + one * 104_729) % 9_973) })),
      );
    expect(history.state()).toMatchObject({ writing: true, droppedSamples: 0 });
    const noise = { metric: "noise", labels: { number: "7" } };
    const hours = history.range(noise, { fromMs: START_MS, toMs: START_MS + 2 * HOUR_MS, points: 2 });
    expect(counts(hours.buckets).known).toBe(seconds);
    // The seconds of the beginning are gone, those of the end are there.
    const tierAt = (fromMs: number): string => history.range(noise, { fromMs, toMs: fromMs + 60_000, points: 60 }).tier;
    expect([tierAt(START_MS), tierAt(START_MS + seconds * 1_000 - 120_000)]).toEqual(["minutes", "seconds"]);
    history.close();
    expect(statSync(path).size).toBeLessThanOrEqual(1.25 * 1_048_576);
  });

  it("refuses series beyond its limit, and counts them", () => {
    const history = new History(":memory:", { mostSeries: 1 });
    expect(history.series(name)).toBe(1);
    expect(history.series({ metric: "exposure", labels: { service: "shop" } })).toBeUndefined();
    expect(history.series({ ...name })).toBe(1);
    expect(history.state().refusedSeries).toBe(1);
    history.close();
  });

  it("forgets a series of which nothing is left, unless somebody still asks for it", () => {
    const limits = { keepSecondsMs: HOUR_MS, keepMinutesMs: HOUR_MS, keepHoursMs: 2 * HOUR_MS };
    let history = new History(path, limits);
    fill(history, { atMs: START_MS, seconds: 120 }, () => is(1));
    history.close();
    history = new History(path, limits);
    const other = history.series({ metric: "other", labels: {} }) ?? 0;
    for (let second = 0; second < 8 * 3_600; second += 4) history.record(START_MS + second * 1_000, [{ series: other, figure: is(1) }]);
    expect(history.list().map(({ metric }) => metric)).toEqual(["other"]);
    history.close();
  });

  it("does not know of a series that was never recorded", () => {
    const history = new History(":memory:");
    expect(() => ask(history, 1_000, 1)).toThrow(expect.objectContaining({ code: "TM-HISTORY-NO-SERIES" }));
    history.close();
  });

  it("puts a damaged file aside, says so, and begins anew", () => {
    writeFileSync(path, "this is no database at all, though it is long enough to be taken for one".repeat(100));
    const faults: string[] = [];
    const history = new History(path, { onFault: (error) => void faults.push(error.code) });
    fill(history, { atMs: START_MS, seconds: 2 }, () => is(1));
    expect(counts(ask(history, 2_000, 2)).known).toBe(2);
    expect(faults).toEqual(["TM-HISTORY-DAMAGED"]);
    expect(readdirSync(folder)).toContain("history.sqlite.damaged");
    history.close();
  });

  it("is opened by one process at a time", () => {
    const history = new History(path);
    expect(() => new History(path)).toThrow(expect.objectContaining({ code: "TM-HISTORY-AWAY" }));
    history.close();
  });
});
