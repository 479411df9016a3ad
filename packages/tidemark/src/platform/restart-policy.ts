// When a role that died is started again. The first time at once, because starting again is part of the recovery time;
// then with growing pauses, so that a role that cannot start does not keep a core busy.

/** A role that ran for so long was healthy: its next death is a first one again. */
const HEALTHY_MS = 10_000;

/** Pauses before the second, third, … start in a row, milliseconds; the last one stays. */
const PAUSES_MS = [0, 100, 250, 500, 1_000, 2_000, 5_000] as const;

/** How many deaths in a row, and what to do about the latest. */
export interface RestartDecision {
  readonly deathsInRow: number;
  readonly pauseMs: number;
}

/** Decides on the death of a role that ran for `ranMs` and had died `deathsInRow` times in a row before. */
export function decideRestart(deathsInRow: number, ranMs: number): RestartDecision {
  const deaths = ranMs >= HEALTHY_MS ? 1 : deathsInRow + 1;
  return { deathsInRow: deaths, pauseMs: PAUSES_MS[Math.min(deaths, PAUSES_MS.length) - 1] ?? 0 };
}
