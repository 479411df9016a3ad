// The history under the load of a large control process: a record a second of so many series, and questions over ninety days.
// Time is made up, so that ninety days take minutes. Part of `npm run bench:probes`; alone:
// node --conditions=@tidemark/source benchmarks/probes/history-bench.ts
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { known, unknown } from "../../packages/tidemark/src/probes/probe-result.ts";
import { History } from "../../packages/tidemark/src/history/history.ts";

const START_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;

export interface HistoryLoad {
  /** Series that are recorded every second, for the cost of recording. */
  readonly series: number;
  readonly seconds: number;
  /** Series of which ninety days are made, and asked for. */
  readonly longSeries: number;
}

export interface HistoryFigures {
  readonly load: HistoryLoad;
  /** Share of one core that recording takes at one record a second. */
  readonly cpuShare: number;
  /** The longest a record took, milliseconds. */
  readonly longestRecordMs: number;
  readonly fileMiB: number;
  /** Resident memory of this process while it recorded. */
  readonly residentMiB: number;
  /** A question over ninety days, 1,000 points, milliseconds: the median and the slowest. */
  readonly ninetyDays: { readonly medianMs: number; readonly slowestMs: number; readonly points: number };
  /** The last hour of one series in seconds, 3,600 points. */
  readonly lastHour: { readonly medianMs: number; readonly slowestMs: number };
}

export function benchHistory(load: HistoryLoad): HistoryFigures {
  const folder = mkdtempSync(join(tmpdir(), "tidemark-bench-history-"));
  try {
    const wide = benchRecording(join(folder, "wide.sqlite"), load);
    const ninetyDays = benchNinetyDays(join(folder, "long.sqlite"), load);
    return { load, ...wide, ninetyDays };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function benchRecording(
  path: string,
  load: HistoryLoad,
): Pick<HistoryFigures, "cpuShare" | "longestRecordMs" | "fileMiB" | "residentMiB" | "lastHour"> {
  const history = new History(path);
  const series = registered(history, load.series);
  let longestRecordMs = 0;
  const before = process.cpuUsage();
  for (let second = 0; second < load.seconds; second++) {
    const atMs = START_MS + second * 1_000;
    const begin = performance.now();
    history.record(
      atMs,
      series.map((one) => ({ series: one, figure: figureAt(one, second, atMs) })),
    );
    longestRecordMs = Math.max(longestRecordMs, performance.now() - begin);
  }
  const used = process.cpuUsage(before);
  const toMs = START_MS + load.seconds * 1_000;
  const lastHour = timed(40, (turn) => {
    history.range(nameOf((turn * 97) % load.series), { fromMs: Math.max(START_MS, toMs - 3_600_000), toMs, points: 3_600 });
  });
  history.close();
  return {
    cpuShare: (used.user + used.system) / 1e6 / load.seconds,
    longestRecordMs,
    fileMiB: statSync(path).size / 1_048_576,
    residentMiB: process.memoryUsage().rss / 1_048_576,
    lastHour,
  };
}

function benchNinetyDays(path: string, load: HistoryLoad): HistoryFigures["ninetyDays"] {
  const history = new History(path);
  const series = registered(history, load.longSeries);
  // A record every 20 s makes the same buckets as one a second, at a twentieth of the time.
  for (let second = 0; second < 90 * 86_400; second += 20) {
    const atMs = START_MS + second * 1_000;
    history.record(
      atMs,
      series.map((one) => ({ series: one, figure: figureAt(one, second, atMs) })),
    );
  }
  let points = 0;
  const times = timed(60, (turn) => {
    const toMs = START_MS + 90 * DAY_MS;
    points = history.range(nameOf(turn % load.longSeries), { fromMs: START_MS, toMs, points: 1_000 + turn * 40 }).buckets.length;
  });
  history.close();
  return { ...times, points };
}

function registered(history: History, count: number): number[] {
  return Array.from({ length: count }, (_, index) => history.series(nameOf(index)) ?? 0);
}

function nameOf(index: number): { metric: string; labels: Record<string, string> } {
  return {
    metric: "tidemark_exposure_seconds",
    labels: { service: `service-${Math.floor(index / 6)}`, scenario: `scenario-${index % 6}` },
  };
}

/** Most series stand still at 0; some rise, some are not known. */
function figureAt(series: number, second: number, atMs: number): ReturnType<typeof known<number>> {
  if (series % 50 === 0) return unknown("not seen", atMs);
  const value = series % 10 === 0 ? (second % 600) * 1_000 + series : 0;
  return known(value, { atMs, method: "canary", errorMs: 5 });
}

function timed(turns: number, work: (turn: number) => void): { medianMs: number; slowestMs: number } {
  const times = Array.from({ length: turns }, (_, turn) => {
    const begin = performance.now();
    work(turn);
    return performance.now() - begin;
  }).toSorted((one, other) => one - other);
  return { medianMs: times[Math.floor(turns / 2)] ?? 0, slowestMs: times.at(-1) ?? 0 };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(`${JSON.stringify(benchHistory({ series: 8_000, seconds: 900, longSeries: 6 }), undefined, 2)}\n`);
