// When a target is looked at again. Pure: the runner keeps the time.
import type { Random } from "@tidemark/kernel/random";

export interface ProbePace {
  /** Between the beginnings of two turns of a target that answers, milliseconds. */
  readonly periodMs: number;
  /** A turn that takes longer is given up, milliseconds. */
  readonly timeoutMs: number;
  /** After failures the wait doubles from one period up to this, milliseconds. Short: how fast a return is noticed depends on it. */
  readonly mostBackoffMs: number;
  /** A turn is early or late by up to this part of a period, so that it does not keep step with what the target does once a second. */
  readonly jitter: number;
}

export const DEFAULT_PACE: ProbePace = { periodMs: 1_000, timeoutMs: 2_000, mostBackoffMs: 8_000, jitter: 0.05 };

/** A wait is no shorter than this part of a period: a target that takes a whole one is not asked without pause. */
const LEAST_WAIT = 0.2;

/** When the last turn was due and when it ended, by one clock, milliseconds. */
export interface LastTurn {
  readonly dueMs: number;
  readonly endedMs: number;
  /** How many turns in a row found the target away. */
  readonly failures: number;
}

/**
 * When the next turn is due. Every target has beats of its own, one a period from `beatMs` on, and keeps to them: however long the process or the target was
 * held up, it goes on where it was, so that targets that were held up together do not stay together. Turns that were missed are left out, not made
 * up for.
 *
 * @param beatMs any one of its beats, by the clock of `last`.
 */
export function nextDueMs(pace: ProbePace, { beatMs, last }: { beatMs: number; last: LastTurn }, random: Random): number {
  const { periodMs, mostBackoffMs, jitter } = pace;
  const doublings = Math.min(Math.max(0, last.failures - 1), 30);
  const waitMs = Math.max(periodMs, Math.min(periodMs * 2 ** doublings, mostBackoffMs));
  // The last turn was due beside a beat: half a period less finds the beat that is meant.
  const soonestMs = Math.max(last.dueMs + waitMs - periodMs / 2, last.endedMs + (LEAST_WAIT + jitter) * periodMs);
  const nextBeatMs = beatMs + Math.ceil((soonestMs - beatMs) / periodMs) * periodMs;
  return nextBeatMs + (random.fraction() * 2 - 1) * jitter * periodMs;
}
