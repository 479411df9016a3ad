import { median } from "../cell.ts";
import type { Machine } from "../machine.ts";
import { table } from "../report.ts";
import type { Judgement } from "../targets.ts";
import type { HistoryFigures } from "./history-bench.ts";
import type { PairResult } from "./pair-run.ts";
import type { ScaleResult } from "./scale.ts";

export interface ProbesReport {
  readonly at: string;
  readonly machine: Machine;
  readonly pair?: Omit<PairResult, "tape">;
  readonly scale?: ScaleResult;
  readonly history?: HistoryFigures;
}

/** One period of a probe, and what may be added to it, milliseconds. */
const MOST_ERROR_MS = 1_000 + 100;
const MOST_NOTICE_MS = 1_000;
const MOST_DELIVERY_MS = 2_000;
const MOST_BACKEND_SHARE = 0.005;
const SCALE = { stores: 1_000, cpuShare: 1, bytes: 512 * 1_048_576 };
const MOST_QUERY_MS = 200;

export function renderProbesReport(report: ProbesReport): string {
  const { machine, pair, scale, history } = report;
  const parts = [
    [
      `Measured ${report.at.slice(0, 10)}.`,
      `${machine.cores} cores (${machine.processor}), ${machine.memoryGiB} GiB, ${machine.system}, ${machine.disk}, Node.js ${machine.node}${pair === undefined ? "" : `; PostgreSQL ${pair.postgres}`}. Everything shares these cores and this disk.`,
    ].join("\n"),
    ...(pair?.faults === undefined ? [] : [faultsPart(pair.faults)]),
    ...(pair?.breaches === undefined ? [] : [breachesPart(pair.breaches, pair.rpoMs)]),
    ...(pair?.backends === undefined ? [] : [backendsPart(pair.backends)]),
    ...(scale === undefined ? [] : [scalePart(scale)]),
    ...(history === undefined ? [] : [historyPart(history)]),
  ];
  const rows = judgeProbes(report).map(({ target, measured, met }) => [
    target,
    measured,
    met === undefined ? "unknown" : met ? "met" : "**missed**",
  ]);
  parts.push(`### Targets\n\n${table(["target", "measured", "met"], rows)}`);
  return `${parts.join("\n\n")}\n`;
}

/** Judges what measuring is to reach; `met` is undefined where a figure is missing. */
export function judgeProbes({ pair, scale, history }: Omit<ProbesReport, "at" | "machine">): Judgement[] {
  const { faults, breaches, backends } = pair ?? {};
  return [
    most("Exposure against ground truth: error at most 100 ms and one probe period", MOST_ERROR_MS, {
      values: faults?.map(({ mostErrorMs }) => mostErrorMs),
      words: (value) => `${milliseconds(value)} at most`,
    }),
    most("A breach is noticed within 1 s", MOST_NOTICE_MS, {
      values: breaches?.map(({ noticedMs }) => noticedMs),
      words: (value) => `${milliseconds(value)} at most of ${breaches?.length}`,
    }),
    most("… and delivered within 2 s more", MOST_DELIVERY_MS, {
      values: breaches?.flatMap(({ webhookMs, alertmanagerMs }) => [webhookMs, alertmanagerMs ?? webhookMs]),
      words: (value) => `${milliseconds(value)} at most`,
    }),
    most("The probes' backends take at most 0.5 % of a core", MOST_BACKEND_SHARE, {
      values: backends?.map(({ share }) => share),
      words: (value) => `${percent(value, 2)} on one server at most`,
    }),
    judgeScale("One process follows 1,000 stores at 1 s on one core", scale, (result) => ({
      words: `${percent(result.cpuShare, 0)} of a core, turns ${milliseconds(result.late.p99Ms)} late (p99)`,
      met: result.cpuShare <= SCALE.cpuShare && result.late.p99Ms < 1_000 && result.away === 0,
    })),
    judgeScale("… under 512 MB", scale, (result) => ({ words: `${mebi(result.peakBytes)} at most`, met: result.peakBytes < SCALE.bytes })),
    most("A query over 90 days of history answers in under 200 ms", MOST_QUERY_MS, {
      values: history === undefined ? undefined : [history.ninetyDays.slowestMs],
      words: (value) => `${milliseconds(value)} at most, ${milliseconds(history?.ninetyDays.medianMs ?? Number.NaN)} at the median`,
    }),
  ];
}

/** Judges the greatest of some values. One that is not a number is not within anything. */
function most(
  target: string,
  limit: number,
  of: { values: readonly number[] | undefined; words: (greatest: number) => string },
): Judgement {
  if (of.values === undefined || of.values.length === 0) return { target, measured: "not measured", met: undefined };
  const greatest = Math.max(...of.values);
  return Number.isNaN(greatest)
    ? { target, measured: "not measured", met: undefined }
    : { target, measured: of.words(greatest), met: greatest <= limit };
}

function judgeScale(
  target: string,
  scale: ScaleResult | undefined,
  judge: (result: ScaleResult) => { words: string; met: boolean },
): Judgement {
  if (scale === undefined) return { target, measured: "not measured", met: undefined };
  const { words, met } = judge(scale);
  // Fewer stores prove nothing of more.
  return scale.stores < SCALE.stores
    ? { target, measured: `${words}, with ${scale.stores} stores`, met: met ? undefined : false }
    : { target, measured: words, met };
}

function faultsPart(faults: NonNullable<PairResult["faults"]>): string {
  const head = [
    "fault",
    "exposed at most",
    "seconds known",
    "median error",
    "p99 error",
    "most error",
    "unknown",
    "beyond its own bound",
    "looks late by",
  ];
  const rows = faults.map((each) => [
    `${each.fault}: ${each.words}`,
    milliseconds(each.mostTrueMs),
    String(each.known),
    milliseconds(each.medianErrorMs),
    milliseconds(each.p99ErrorMs),
    milliseconds(each.mostErrorMs),
    `${each.unknown} s`,
    `${each.beyondOwnBound} s`,
    milliseconds(each.mostLateMs),
  ]);
  return `### Exposure against ground truth\n\n${table(head, rows)}`;
}

function breachesPart(breaches: NonNullable<PairResult["breaches"]>, rpoMs: number): string {
  const row = (name: string, values: readonly number[]): string[] =>
    values.length === 0
      ? [name, "not measured", "", ""]
      : [name, milliseconds(median(values)), milliseconds(Math.max(...values)), values.map((value) => String(Math.round(value))).join(" ")];
  const rows = [
    row(
      "from the breach to the alert",
      breaches.map(({ noticedMs }) => noticedMs),
    ),
    row(
      "from the alert to a webhook",
      breaches.map(({ webhookMs }) => webhookMs),
    ),
    row(
      "from the alert to what Alertmanager tells",
      breaches.flatMap(({ alertmanagerMs }) => alertmanagerMs ?? []),
    ),
  ];
  return `### From a breach to people, with an objective of ${rpoMs / 1_000} s\n\n${table(["way", "median", "most", "all, ms"], rows)}`;
}

function backendsPart(backends: NonNullable<PairResult["backends"]>): string {
  const rows = backends.map(({ node, backends: count, seconds, share }) => [
    node,
    String(count),
    `${seconds.toFixed(0)} s`,
    percent(share, 2),
    `${(share * 1_000).toFixed(2)} ms`,
  ]);
  return `### The probes' backends\n\n${table(["server", "backends", "over", "of a core", "each second"], rows)}`;
}

function scalePart(scale: ScaleResult): string {
  const rows = [
    ["stores, each a primary, a standby and a canary", String(scale.stores)],
    [
      "measured for",
      `${scale.seconds.toFixed(0)} s, each second the newest look at each server: ${scale.away} of ${scale.looks.toLocaleString("en")} had found none`,
    ],
    ["processor time of the observer", `${percent(scale.cpuShare, 0)} of a core`],
    ["most memory of the observer", mebi(scale.peakBytes)],
    [
      "turns began late by (median, p99, most)",
      [scale.late.medianMs, scale.late.p99Ms, scale.late.mostMs].map((value) => milliseconds(value)).join(", "),
    ],
    [
      "exposure, history and judgement of a second (median, most)",
      `${milliseconds(scale.secondMs.medianMs)}, ${milliseconds(scale.secondMs.mostMs)}`,
    ],
    ["from the start until every server had answered", `${scale.startedAfterSeconds.toFixed(1)} s`],
    ["processor time of the simulated servers, beside it", `${percent(scale.simulationCpuShare, 0)} of a core`],
  ];
  return `### One observer, many stores\n\n${table(["", "measured"], rows)}`;
}

function historyPart({ load, ...history }: HistoryFigures): string {
  const rows = [
    [
      "recording, one record a second",
      `${load.series.toLocaleString("en")} series`,
      `${percent(history.cpuShare, 1)} of a core, ${milliseconds(history.longestRecordMs)} at most`,
    ],
    [
      "90 days of one series",
      `${history.ninetyDays.points.toLocaleString("en")} points`,
      `${milliseconds(history.ninetyDays.medianMs)} at the median, ${milliseconds(history.ninetyDays.slowestMs)} at most`,
    ],
    [
      "the last hour of one series in seconds",
      `${Math.min(3_600, load.seconds).toLocaleString("en")} points`,
      `${milliseconds(history.lastHour.medianMs)} at the median, ${milliseconds(history.lastHour.slowestMs)} at most`,
    ],
  ];
  return `### History\n\n${table(["question", "size", "measured"], rows)}`;
}

function milliseconds(value: number): string {
  return Number.isFinite(value) ? `${Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ms` : "–";
}

function percent(share: number, digits: number): string {
  return `${(share * 100).toFixed(digits)} %`;
}

function mebi(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}
