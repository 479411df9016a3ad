// When a target is looked at again. Pure: the runner keeps the time.
import type { Random } from "@tidemark/kernel/random";

export interface ProbePace {
  /** Between the beginnings of two turns of a target that answers, milliseconds. */
  readonly periodMs: number;
  /** A turn that takes longer is given up, milliseconds. */
  readonly timeoutMs: number;
  /** After failures the wait doubles from one period up to this, milliseconds. Short: how fast a return is noticed depends on it. */
  readonly mostBackoffMs: number;
  /** A turn is early or late by up to this part of its wait, so that targets that fell into step drift apart. */
  readonly jitter: number;
}

export const DEFAULT_PACE: ProbePace = { periodMs: 1_000, timeoutMs: 2_000, mostBackoffMs: 8_000, jitter: 0.05 };

/** Milliseconds until the first turn: the targets are spread over a period. */
export function firstWaitMs(pace: ProbePace, random: Random): number {
  return random.fraction() * pace.periodMs;
}

/**
 * When the next turn is due, by the clock of `dueMs` (when the last one was due) and `nowMs`. Turns that were missed are left
 * out, not made up for.
 *
 * @param failures how many turns in a row found the target away.
 */
export function nextDueMs(pace: ProbePace, turn: { dueMs: number; nowMs: number; failures: number }, random: Random): number {
  const doublings = Math.min(Math.max(0, turn.failures - 1), 30);
  const waitMs = Math.max(pace.periodMs, Math.min(pace.periodMs * 2 ** doublings, pace.mostBackoffMs));
  const jitterMs = (random.fraction() * 2 - 1) * pace.jitter * waitMs;
  const planned = turn.dueMs + waitMs + jitterMs;
  if (planned > turn.nowMs) return planned;
  // At least a fifth of the period lies between the end of a turn and the next: a target that takes a whole period is not asked without pause.
  return turn.nowMs + pace.periodMs * (0.2 + random.fraction() * pace.jitter);
}
