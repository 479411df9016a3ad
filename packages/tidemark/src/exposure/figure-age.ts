// How the age of a figure counts: it widens the error bound, and from some age on the figure is not known any more.
import type { Figure } from "../probes/probe-result.ts";
import { unknown } from "../probes/probe-result.ts";

/** A copy's figures that are older are unknown, unless the copy says otherwise: ten periods of a probe of 1 s. */
export const FRESH_FOR_MS = 10_000;

/** Two clocks drift apart slowly; an estimate of their difference serves longer than a position. */
export const CLOCK_OFFSET_FRESH_FOR_MS = 60_000;

/**
 * The figure as it stands at `nowMs`, its error bound widened by its age: since it was measured anything may have happened that
 * so much time allows. Too old, or of a time that has not come (the observer's clock was set back): unknown.
 */
export function figureAt<T>(figure: Figure<T>, nowMs: number, freshForMs = FRESH_FOR_MS): Figure<T> {
  if (!figure.known) return figure;
  if (![figure.atMs, figure.errorMs, nowMs].every(Number.isFinite)) return unknown("its time is not a number", nowMs);
  const ageMs = Math.abs(nowMs - figure.atMs);
  if (ageMs > freshForMs) {
    if (figure.atMs > nowMs) return unknown("it was measured before the observer's clock was set back", nowMs);
    return unknown(`it was last measured at ${new Date(figure.atMs).toISOString()}`, figure.atMs);
  }
  return { ...figure, errorMs: figure.errorMs + ageMs };
}

/** The same figure of a number derived from its value; unknown where that is none. */
export function mapFigure(figure: Figure<number>, derive: (value: number) => number): Figure<number> {
  if (!figure.known) return figure;
  const value = derive(figure.value);
  return Number.isFinite(value)
    ? { ...figure, value }
    : unknown("it cannot be reckoned: a number in the configuration is none", figure.atMs);
}
