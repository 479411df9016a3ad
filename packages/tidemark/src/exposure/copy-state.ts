// What one copy alone can give back now: how far behind the newest acknowledged write it is, and how certain that is.
import type { CopyFacts, CopyKind, Figure, Method, RecoveryPoint, StoreFacts } from "../probes/probe-result.ts";
import { known, unknown } from "../probes/probe-result.ts";
import { CLOCK_OFFSET_FRESH_FOR_MS, figureAt } from "./figure-age.ts";

/** Time between two rows of the canary: the newest one is at most so old. */
const CANARY_PERIOD_MS = 1_000;

/** Whose clock the times of a recovery point are of, by how it was come by. */
const CLOCK_OF: Readonly<Record<Method, "primary" | "observer">> = {
  canary: "primary",
  "commit-record": "primary",
  synchronous: "primary",
  "position-history": "observer",
  reported: "observer",
  observed: "observer",
};

/** Copies that follow the primary's timeline, and may have stayed on a branch that was given up. Others hold what they were given. */
const FOLLOWS: ReadonlySet<CopyKind> = new Set(["primary", "standby", "vault"]);

export interface CopyState {
  readonly copy: CopyFacts;
  readonly point: Figure<RecoveryPoint>;
  /** Milliseconds; 0 when and only when nothing acknowledged is missing. */
  readonly exposureMs: Figure<number>;
  readonly bytes: Figure<number>;
  readonly transactions: Figure<number>;
}

/** The copy's newest state. */
export function newestState(copy: CopyFacts, store: StoreFacts, nowMs: number): CopyState {
  const freshFor = copy.freshForMs;
  const point = onNewestTimeline(figureAt(copy.recoveryPoint, nowMs, freshFor), { copy, store, nowMs });
  const exposureMs = exposureOfPoint(point, { copy, store, nowMs });
  const nothing = exposureMs.known && exposureMs.value === 0;
  const cut = point.known && copy.recoveryPoint.known && point.value.commitMs !== copy.recoveryPoint.value.commitMs;
  const missing = (figure: Figure<number>): Figure<number> => {
    if (nothing) return exposureMs;
    if (!exposureMs.known) return exposureMs;
    return cut ? unknown("it is on an older timeline than the primary", nowMs) : checked(figureAt(figure, nowMs, freshFor), nowMs);
  };
  return { copy, point, exposureMs, bytes: missing(copy.missingBytes), transactions: missing(copy.missingTransactions) };
}

/** The newest of the times to which the copy can go back: what a write that is wrong as of now leaves. Undefined: it cannot go back. */
export function pointInTimeState(newest: CopyState, store: StoreFacts, nowMs: number): CopyState | undefined {
  const { copy, point } = newest;
  const range = copy.pointInTime;
  if (range === undefined) return undefined;
  if (!point.known) return newest;
  if (!(range.fromMs <= range.toMs)) return allUnknown(copy, "the times to which it can go back contradict each other", nowMs);
  if (range.toMs >= point.value.commitMs) return newest;
  const earlier: Figure<RecoveryPoint> = { ...point, value: { commitMs: range.toMs, complete: false } };
  const exposureMs = exposureOfPoint(earlier, { copy, store, nowMs });
  const why = "how much was written since the newest time that it can go back to is not known";
  return { copy, point: earlier, exposureMs, bytes: unknown(why, nowMs), transactions: unknown(why, nowMs) };
}

/** Whether `earlier` of one copy is not after `later` of another; undefined where their clocks were not compared. */
export function notAfter(earlier: ClockTime, later: ClockTime, place: { store: StoreFacts; nowMs: number }): boolean | undefined {
  if (CLOCK_OF[earlier.method] === CLOCK_OF[later.method]) return earlier.ms <= later.ms;
  const offset = offsetOf(place.store, place.nowMs);
  if (!offset.known) return undefined;
  const observed = (time: ClockTime): number => (CLOCK_OF[time.method] === "primary" ? time.ms - offset.value : time.ms);
  const errorMs = place.store.clockOffset?.known === true ? place.store.clockOffset.errorMs : offset.errorMs;
  return observed(earlier) + errorMs <= observed(later);
}

export interface ClockTime {
  readonly ms: number;
  /** Says whose clock it is of. */
  readonly method: Method;
}

interface Place {
  readonly copy: CopyFacts;
  readonly store: StoreFacts;
  readonly nowMs: number;
}

function exposureOfPoint(point: Figure<RecoveryPoint>, place: Place): Figure<number> {
  if (!point.known) return point;
  const { nowMs } = place;
  const { method, errorMs } = point;
  if (!Number.isFinite(point.value.commitMs)) return unknown("the time of its newest commit is not a number", nowMs);
  const complete = completeness(point, place);
  if (!complete.known) return complete;
  if (complete.value) return known(0, { atMs: nowMs, method, errorMs });
  const clock = clockAtPrimary(point, place);
  if ("why" in clock) return clock;
  const behindMs = clock.nowMs - point.value.commitMs;
  // A commit that was seen was made before it was seen; by how much it may seem otherwise does not grow with the age of the look.
  const look = place.copy.recoveryPoint.known ? place.copy.recoveryPoint : point;
  if (behindMs - (nowMs - look.atMs) < -(look.errorMs + clock.comparedMs))
    return unknown("its newest commit is of a time that had not come: a clock is wrong", nowMs);
  // Something is missing, so that 0 would say too much.
  return known(Math.max(1, behindMs), { atMs: nowMs, method, errorMs: errorMs + clock.errorMs });
}

/** A clock as it stands now, with the error bound of that, and the one of when it was compared. */
interface ClockNow {
  readonly nowMs: number;
  readonly errorMs: number;
  readonly comparedMs: number;
}

/** What time it is now by the clock that the recovery point's time is of. */
function clockAtPrimary(
  point: Figure<RecoveryPoint> & { known: true },
  { store, nowMs }: Place,
): ClockNow | (Figure<never> & { known: false }) {
  if (CLOCK_OF[point.method] === "observer") return { nowMs, errorMs: 0, comparedMs: 0 };
  const offset = offsetOf(store, nowMs);
  if (offset.known) {
    const comparedMs = store.clockOffset?.known === true ? store.clockOffset.errorMs : offset.errorMs;
    return { nowMs: nowMs + offset.value, errorMs: offset.errorMs, comparedMs };
  }
  // The canary is written every second: the time in its newest row is the primary's time, at most a period ago.
  const newest = figureAt(store.newestCommit, nowMs, store.freshForMs);
  if (newest.known && newest.method === "canary") {
    const errorMs = newest.errorMs + CANARY_PERIOD_MS;
    const ageMs = nowMs - newest.atMs;
    return { nowMs: newest.value.commitMs + ageMs, errorMs, comparedMs: errorMs - Math.abs(ageMs) };
  }
  return {
    known: false,
    why: "its times are by the primary's clock, which could not be compared with the observer's",
    sinceMs: offset.sinceMs,
  };
}

function offsetOf(store: StoreFacts, nowMs: number): Figure<number> {
  const offset = store.clockOffset;
  return offset === undefined
    ? unknown("the clocks were never compared", nowMs)
    : checkedSigned(figureAt(offset, nowMs, CLOCK_OFFSET_FRESH_FOR_MS), nowMs);
}

/**
 * Whether "nothing is missing" holds. That acknowledgements wait for a copy says so only while they do, and not of those that
 * were released when the list of synchronous standbys was emptied (trap 16): these count once the copy is seen to be past them.
 */
function completeness(point: Figure<RecoveryPoint> & { known: true }, { copy, store, nowMs }: Place): Figure<boolean> {
  const says = (value: boolean): Figure<boolean> => ({ ...point, value });
  if (!point.value.complete || point.method !== "synchronous") return says(point.value.complete);
  const synchronous = figureAt(copy.synchronous, nowMs, copy.freshForMs);
  if (!synchronous.known) return synchronous;
  if (!synchronous.value || store.releasedWithoutCopiesAtMs === undefined) return says(synchronous.value);
  const released: ClockTime = { ms: store.releasedWithoutCopiesAtMs, method: "observed" };
  // What it had passed when it was looked at it has passed for good: age is no error of that.
  const errorMs = copy.recoveryPoint.known ? copy.recoveryPoint.errorMs : point.errorMs;
  const past = notAfter(released, { ms: point.value.commitMs - errorMs, method: point.method }, { store, nowMs });
  return past === undefined ? unknown("whether it is past commits that were released without it is not known", nowMs) : says(past);
}

/**
 * A copy that follows an older timeline lacks all that came after the fork, however high its position is: positions of two
 * timelines do not compare (trap 24).
 */
function onNewestTimeline(point: Figure<RecoveryPoint>, { copy, store, nowMs }: Place): Figure<RecoveryPoint> {
  if (!point.known || !FOLLOWS.has(copy.kind)) return point;
  const newest = figureAt(store.newestCommit, nowMs, store.freshForMs);
  const theirs = newest.known ? newest.value.timeline : undefined;
  const own = point.value.timeline;
  if (theirs === undefined || own === undefined || own === theirs) return point;
  // It is ahead: it was promoted, or follows the one that was. What the former primary says is no measure of it any more.
  if (own > theirs) return { ...point, value: { ...point.value, complete: false } };
  if (store.timelineSinceMs === undefined)
    return unknown(`it is on timeline ${own} and the primary on ${theirs}, which began at a time that is not known`, point.atMs);
  // Both times have to be of one clock.
  if (CLOCK_OF[point.method] !== "primary") return unknown(`it is on timeline ${own} and the primary on ${theirs}`, point.atMs);
  return { ...point, value: { commitMs: Math.min(point.value.commitMs, store.timelineSinceMs), complete: false } };
}

function allUnknown(copy: CopyFacts, why: string, sinceMs: number): CopyState {
  const figure = unknown<never>(why, sinceMs);
  return { copy, point: figure, exposureMs: figure, bytes: figure, transactions: figure };
}

/** A count of what is missing; anything else is not known. */
function checked(figure: Figure<number>, nowMs: number): Figure<number> {
  return figure.known && !(Number.isFinite(figure.value) && figure.value >= 0) ? unknown("what was measured is no count", nowMs) : figure;
}

function checkedSigned(figure: Figure<number>, nowMs: number): Figure<number> {
  return figure.known && !Number.isFinite(figure.value) ? unknown("what was measured is no time", nowMs) : figure;
}
