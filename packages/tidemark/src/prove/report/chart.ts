import { formatDuration } from "@tidemark/kernel/duration";
import type { Marks, Timeline } from "./figures.ts";
import { escapeHtml } from "./html-text.ts";

export interface ChartInput {
  readonly timeline: Timeline;
  readonly marks: Marks;
  /** When writes were committed again, and what to call that. */
  readonly recovered?: { readonly atMs: number; readonly label: string };
  readonly faultLabel: string;
}

export interface ChartSize {
  readonly width: number;
  /** Distinguishes the ids of two drawings on one page. */
  readonly id: string;
}

const LEFT = 52;
const RIGHT = 14;
const LABELS = 58;
const PANEL = 150;
const GAP = 46;
const BOTTOM = 34;
/** About the width of a letter of a label, to see where it would run out of the drawing. */
const GLYPH = 7;

interface Panel {
  readonly top: number;
  readonly title: string;
  readonly ticks: readonly { readonly y: number; readonly label: string }[];
}

/** The run as one SVG: writes a second above, latency (logarithmic) below, on one time axis that is 0 at the fault. */
export function drawChart(input: ChartInput, size: ChartSize): string {
  const { timeline, marks } = input;
  const width = size.width - LEFT - RIGHT;
  const spanMs = timeline.acknowledged.length * timeline.sliceMs;
  const x = (atMs: number): number => LEFT + (Math.min(Math.max(atMs - timeline.startMs, 0), spanMs) / spanMs) * width;
  const middle = (slice: number): number => x(timeline.startMs + (slice + 0.5) * timeline.sliceMs);
  const rates = {
    acknowledged: perSecond(timeline.acknowledged, timeline.sliceMs),
    committed: perSecond(timeline.committed, timeline.sliceMs),
  };
  const mostRate = niceCeiling(Math.max(1, ...rates.acknowledged, ...rates.committed));
  const rateTop = LABELS;
  const rateY = (value: number): number => rateTop + PANEL * (1 - value / mostRate);
  const latencyTop = LABELS + PANEL + GAP;
  const decades = Math.max(2, Math.ceil(Math.log10(Math.max(10, ...timeline.maxMs.map((ms) => ms ?? 0)))));
  const latencyY = (ms: number): number => latencyTop + PANEL * (1 - Math.log10(Math.max(1, ms)) / decades);
  const panels: Panel[] = [
    {
      top: rateTop,
      title: "writes a second",
      ticks: [0, 0.5, 1].map((share) => ({ y: rateY(mostRate * share), label: String(mostRate * share) })),
    },
    {
      top: latencyTop,
      title: "acknowledged after",
      ticks: Array.from({ length: decades + 1 }, (_, power) => ({
        y: latencyY(10 ** power),
        label: formatDuration(10 ** power).replace(/\.0+(?= )/, ""),
      })),
    },
  ];
  const height = latencyTop + PANEL + BOTTOM;
  const parts = [
    `<svg viewBox="0 0 ${size.width} ${height}" role="img" aria-labelledby="${size.id}-t ${size.id}-d">`,
    `<title id="${size.id}-t">Writes a second and latency over the run</title><desc id="${size.id}-d">${escapeHtml(describeChart(input))}</desc>`,
    faultBand(x, marks, { top: LABELS, bottom: latencyTop + PANEL }),
    ...panels.map((panel) => drawPanel(panel, size.width)),
    area(
      rates.acknowledged.map((value, slice) => [middle(slice), rateY(value)]),
      rateTop + PANEL,
    ),
    line("acknowledged", [rates.acknowledged.map((value, slice) => [middle(slice), rateY(value)])]),
    line("committed", [rates.committed.map((value, slice) => [middle(slice), rateY(value)])]),
    line(
      "slowest",
      runs(timeline.maxMs).map((run) => run.map(([slice, ms]) => [middle(slice), latencyY(ms)])),
    ),
    line(
      "median",
      runs(timeline.p50Ms).map((run) => run.map(([slice, ms]) => [middle(slice), latencyY(ms)])),
    ),
    timeAxis(x, { timeline, zeroMs: marks.faultBeganMs, bottom: latencyTop + PANEL, top: LABELS, width }),
    drawMarks(input, x, { top: LABELS, bottom: latencyTop + PANEL, width: size.width }),
    "</svg>",
  ];
  return parts.join("\n");
}

function perSecond(counts: readonly number[], sliceMs: number): number[] {
  // The last slice may be cut short by the end of the load; a moving mean over three slices takes the saw teeth out.
  return counts.map((_, at) => {
    const window = counts.slice(Math.max(0, at - 1), at + 2);
    return (window.reduce((sum, count) => sum + count, 0) / window.length) * (1_000 / sliceMs);
  });
}

/** The smallest of 1, 2, 4, 5, 6, 8 × 10ⁿ that is not below `value`. */
export function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 5, 6, 8, 10].find((step) => step * power >= value) ?? 10) * power;
}

/** Stretches without a gap, as slice and value. */
function runs(values: readonly (number | null)[]): (readonly [number, number])[][] {
  const found: (readonly [number, number])[][] = [[]];
  for (const [slice, value] of values.entries()) {
    if (value === null) found.push([]);
    else found.at(-1)?.push([slice, value]);
  }
  return found.filter((run) => run.length > 0);
}

type Point = readonly [number, number];
const at = ([x, y]: Point): string => `${x.toFixed(1)},${y.toFixed(1)}`;

function line(name: string, stretches: readonly (readonly Point[])[]): string {
  const path = stretches.map((points) => (points.length === 1 ? `M${at(points[0] ?? [0, 0])}h1` : `M${points.map(at).join("L")}`)).join("");
  return `<path class="line ${name}" d="${path}"/>`;
}

function area(points: readonly Point[], bottom: number): string {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return "";
  return `<path class="area" d="M${first[0].toFixed(1)},${bottom}L${points.map(at).join("L")}L${last[0].toFixed(1)},${bottom}Z"/>`;
}

function drawPanel(panel: Panel, width: number): string {
  const grid = panel.ticks.map(
    ({ y, label }) =>
      `<line class="grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/><text class="tick" x="${LEFT - 7}" y="${(y + 4).toFixed(1)}" text-anchor="end">${label}</text>`,
  );
  return `<text class="panel" x="${LEFT}" y="${panel.top - 9}">${panel.title}</text>${grid.join("")}`;
}

function faultBand(x: (atMs: number) => number, marks: Marks, box: { top: number; bottom: number }): string {
  const [from, to] = [x(marks.faultBeganMs), x(marks.healedMs ?? marks.endMs)];
  return `<rect class="band" x="${from.toFixed(1)}" width="${Math.max(1, to - from).toFixed(1)}" y="${box.top}" height="${box.bottom - box.top}"/>`;
}

function timeAxis(
  x: (atMs: number) => number,
  axis: { timeline: Timeline; zeroMs: number; bottom: number; top: number; width: number },
): string {
  const spanS = (axis.timeline.acknowledged.length * axis.timeline.sliceMs) / 1_000;
  const stepS = [1, 2, 5, 10, 20, 30, 60, 120].find((step) => (spanS / step) * 46 <= axis.width) ?? 300;
  const parts: string[] = [];
  const firstS = Math.ceil((axis.timeline.startMs - axis.zeroMs) / 1_000 / stepS) * stepS;
  for (let seconds = firstS; axis.zeroMs + seconds * 1_000 <= axis.timeline.startMs + spanS * 1_000; seconds += stepS) {
    parts.push(
      `<text class="tick" x="${x(axis.zeroMs + seconds * 1_000).toFixed(1)}" y="${axis.bottom + 17}" text-anchor="middle">${seconds === 0 ? "0 s" : `${seconds > 0 ? "+" : "−"}${Math.abs(seconds)}`}</text>`,
    );
  }
  return parts.join("");
}

/** The vertical marks with their labels, on lines of their own where they would touch. */
function drawMarks(input: ChartInput, x: (atMs: number) => number, box: { top: number; bottom: number; width: number }): string {
  const { marks, recovered, faultLabel } = input;
  const all = [
    { name: "fault", atMs: marks.faultBeganMs, label: faultLabel },
    ...(recovered === undefined ? [] : [{ name: "recovered", atMs: recovered.atMs, label: recovered.label }]),
    ...(marks.healedMs === undefined ? [] : [{ name: "healed", atMs: marks.healedMs, label: "healed" }]),
  ];
  return all
    .map(({ name, atMs, label }, index) => {
      const place = x(atMs);
      const nearEnd = place + label.length * GLYPH > box.width;
      const y = 12 + index * 14;
      return (
        `<line class="mark ${name}" x1="${place.toFixed(1)}" x2="${place.toFixed(1)}" y1="${y - 8}" y2="${box.bottom}"/>` +
        `<text class="label ${name}" x="${(place + (nearEnd ? -5 : 5)).toFixed(1)}" y="${y}" text-anchor="${nearEnd ? "end" : "start"}">${escapeHtml(label)}</text>`
      );
    })
    .join("");
}

function describeChart({ timeline, marks, recovered, faultLabel }: ChartInput): string {
  const seconds = ((timeline.acknowledged.length * timeline.sliceMs) / 1_000).toFixed(0);
  const after = (atMs: number): string => formatDuration(Math.round(atMs - marks.faultBeganMs));
  const slowest = Math.max(0, ...timeline.maxMs.map((ms) => ms ?? 0));
  return [
    `A run of ${seconds} seconds. ${faultLabel} after ${formatDuration(marks.faultBeganMs - timeline.startMs)}.`,
    recovered === undefined ? "" : `${recovered.label} ${after(recovered.atMs)} later.`,
    marks.healedMs === undefined ? "Not healed within the run." : `Healed after ${after(marks.healedMs)}.`,
    `The slowest acknowledgement took ${formatDuration(Math.round(slowest))}. The table below the drawing has the figures.`,
  ].join(" ");
}
