// Error budgets: what a target leaves to spend in a window, and how much of it is spent. Pure.
import type { SliceBucket, SliceCounts } from "./slice-counts.ts";
import { countSlices } from "./slice-counts.ts";

/** The windows that budgets are shown for, days. */
export const BUDGET_DAYS = [7, 28, 30, 90] as const;

const DAY_MS = 86_400_000;

export interface ErrorBudget {
  readonly days: number;
  readonly target: number;
  readonly counts: SliceCounts;
  /** The share of good seconds among those in which the objective was in force; undefined when there were none. */
  readonly indicator: number | undefined;
  /** Seconds that may be other than good in the whole window. */
  readonly allowedSeconds: number;
  /** Bad and unknown. */
  readonly spentSeconds: number;
  /** The part of `spentSeconds` in which nobody knew. */
  readonly spentUnknownSeconds: number;
  /** Share of the budget that is left: 1 untouched, 0 spent, negative overspent; undefined while nothing was measured. */
  readonly left: number | undefined;
  /** The share of the window in which the objective was in force, 0 to 1: a budget of a young objective is a preview. */
  readonly covered: number;
}

/** One budget per window of {@link BUDGET_DAYS} that ends at `nowMs`. `buckets` cover at least the longest; older ones do no harm. */
export function errorBudgets(
  buckets: readonly SliceBucket[],
  at: { readonly nowMs: number; readonly sinceMs: number; readonly target: number },
): ErrorBudget[] {
  return BUDGET_DAYS.map((days) => {
    const counts = countSlices(buckets, { fromMs: at.nowMs - days * DAY_MS, toMs: at.nowMs, sinceMs: at.sinceMs });
    return errorBudget(counts, { days, target: at.target });
  });
}

/** The budget of one window. */
export function errorBudget(counts: SliceCounts, terms: { readonly days: number; readonly target: number }): ErrorBudget {
  const windowSeconds = terms.days * 86_400;
  const allowedSeconds = (1 - terms.target) * windowSeconds;
  const spentSeconds = counts.badSeconds + counts.unknownSeconds;
  const measured = counts.totalSeconds > 0;
  return {
    days: terms.days,
    target: terms.target,
    counts,
    indicator: measured ? counts.goodSeconds / counts.totalSeconds : undefined,
    allowedSeconds,
    spentSeconds,
    spentUnknownSeconds: counts.unknownSeconds,
    left: measured ? 1 - spentSeconds / allowedSeconds : undefined,
    covered: counts.totalSeconds / windowSeconds,
  };
}
