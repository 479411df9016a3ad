/**
 * NO-HOLE, decided: given what an archive covers per timeline and the history files that are known, what is missing between
 * what is there? PostgreSQL replays a chain of timelines: for every segment it takes the file of the newest timeline of the
 * chain that had begun by then, so the segment that holds a fork exists twice, and the new timeline's one repeats the bytes
 * before the fork. An archive may begin anywhere and end early; it may not have a gap (trap 34: recovery would end at one
 * and promote, short, with exit code 0), nor lack a middle history file (trap 8).
 */
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import type { LsnRange, WalRange } from "./wal-range.ts";

export interface Coverage {
  readonly segmentBytes: number;
  /** Per timeline, sorted ranges that do not touch: `RangeSet.ranges`. */
  readonly covered: ReadonlyMap<Timeline, readonly LsnRange[]>;
  /** Per timeline the ancestors that its history file names, oldest first. Timeline 1 has none. */
  readonly histories: ReadonlyMap<Timeline, readonly TimelineSwitch[]>;
}

export interface Hole extends WalRange {
  /** `history`: that timeline's history file is missing; the range is what cannot be read without it. */
  readonly kind: "wal" | "history";
}

/** All holes, by timeline and position. Pure; cost grows with the number of ranges, not of segments. */
export function findHoles(coverage: Coverage): Hole[] {
  const holes = new Map<string, Hole>();
  const note = (hole: Hole): unknown => holes.set(`${hole.timeline} ${hole.start} ${hole.kind}`, hole);
  for (const timeline of [...coverage.covered.keys()].sort((a, b) => a - b)) {
    const ranges = cut(coverage.covered.get(timeline), forkOf(coverage.histories, timeline));
    const first = ranges[0];
    if (first === undefined) continue;
    if (timeline > 1 && !coverage.histories.has(timeline)) {
      note({ kind: "history", timeline, start: first.start, end: ranges.at(-1)?.end ?? first.end });
    }
    for (const hole of junction(coverage, timeline, first.start)) note(hole);
    ranges.slice(1).forEach((range, index) => {
      note({ kind: "wal", timeline, start: ranges[index]?.end ?? range.start, end: range.start });
    });
  }
  return [...holes.values()];
}

/** What is missing between the timeline's first segment and what its nearest ancestor with anything covers. */
function junction(coverage: Coverage, timeline: Timeline, first: Lsn): Hole[] {
  const history = coverage.histories.get(timeline) ?? [];
  const held = (entry: TimelineSwitch): readonly LsnRange[] => cut(coverage.covered.get(entry.timeline), entry.switchLsn);
  const nearest = history.findLastIndex((entry) => held(entry).length > 0);
  const parent = history[nearest];
  if (parent === undefined) return []; // the archive began on this timeline
  const holes: Hole[] = [];
  let reached = held(parent).at(-1)?.end ?? first;
  for (const entry of history.slice(nearest)) {
    // The bytes between the fork's segment start and the fork are repeated by the next timeline's first segment.
    const until = segmentStart(entry.switchLsn, coverage.segmentBytes);
    if (reached < until) holes.push({ kind: "wal", timeline: entry.timeline, start: reached, end: until });
    reached = until;
  }
  if (first > reached) holes.push({ kind: "wal", timeline, start: reached, end: first });
  return holes;
}

/** The part of `ranges` before `end`: what lies beyond a fork is diverged and counts for nothing. */
function cut(ranges: readonly LsnRange[] | undefined, end: Lsn | undefined): readonly LsnRange[] {
  if (ranges === undefined || end === undefined) return ranges ?? [];
  return ranges.flatMap((range) => (range.start >= end ? [] : [range.end <= end ? range : { start: range.start, end }]));
}

/** Where `timeline` ends in the history of the newest timeline that descends from it; undefined while none does. */
export function forkOf(histories: ReadonlyMap<Timeline, readonly TimelineSwitch[]>, timeline: Timeline): Lsn | undefined {
  let newest = 0;
  let fork: Lsn | undefined;
  for (const [descendant, history] of histories) {
    const entry = history.find((step) => step.timeline === timeline);
    if (entry === undefined || descendant < newest) continue;
    newest = descendant;
    fork = entry.switchLsn;
  }
  return fork;
}

export interface Reach {
  readonly timeline: Timeline;
  readonly from: Lsn;
  readonly to: Lsn;
}

/** The newest stretch without a hole: what a base backup or a standby within it can be brought forward to. */
export function newestReach(coverage: Coverage): Reach | undefined {
  const timelines = [...coverage.covered.keys()].sort((a, b) => b - a);
  const last = (timeline: Timeline): LsnRange | undefined =>
    cut(coverage.covered.get(timeline), forkOf(coverage.histories, timeline)).at(-1);
  const newest = timelines.find((timeline) => last(timeline) !== undefined);
  const end = newest === undefined ? undefined : last(newest);
  if (newest === undefined || end === undefined) return undefined;
  const history = coverage.histories.get(newest) ?? [];
  let from = end.start;
  for (let index = history.length - 1; index >= 0; index--) {
    const entry = history[index];
    if (entry === undefined) break;
    const begins = segmentStart(entry.switchLsn, coverage.segmentBytes);
    if (from > begins) break; // the newer timeline itself does not reach back to where it began
    const parent = cut(coverage.covered.get(entry.timeline), entry.switchLsn).findLast((range) => range.end >= from);
    if (parent !== undefined && parent.start < from) from = parent.start;
  }
  return { timeline: newest, from, to: end.end };
}
