// Burn rates: how many times faster than allowed the budget is being spent. At 1 the budget of a window is spent exactly at its
// end. Pure.
import type { SliceCounts } from "./slice-counts.ts";

/**
 * One rule of the table: it holds while the burn rate of both windows is above the factor. The long one says that a share of
 * the budget worth an alert is gone, the short one that it is still being spent, so that the alert ends soon after the cause.
 */
export interface BurnRateRule {
  readonly name: "burn-rate-1h" | "burn-rate-6h" | "burn-rate-1d" | "burn-rate-3d";
  readonly factor: number;
  readonly longMs: number;
  readonly shortMs: number;
  readonly severity: "page" | "ticket";
  /** The share of a 30-day budget that is spent when the long window has burnt at the factor: factor × long / 30 days. */
  readonly budgetShare: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/**
 * The multi-window, multi-burn-rate table of The Site Reliability Workbook (Beyer et al., O'Reilly 2018), chapter 5, "Alerting on
 * SLOs", https://sre.google/workbook/alerting-on-slos/: 2 % of the budget in an hour and 5 % in six are worth a page, 10 % in a
 * day and in three days a ticket. Short windows are a twelfth of the long ones.
 */
export const BURN_RATE_RULES: readonly BurnRateRule[] = [
  { name: "burn-rate-1h", factor: 14.4, longMs: HOUR_MS, shortMs: 5 * MINUTE_MS, severity: "page", budgetShare: 0.02 },
  { name: "burn-rate-6h", factor: 6, longMs: 6 * HOUR_MS, shortMs: 30 * MINUTE_MS, severity: "page", budgetShare: 0.05 },
  { name: "burn-rate-1d", factor: 3, longMs: DAY_MS, shortMs: 2 * HOUR_MS, severity: "ticket", budgetShare: 0.1 },
  { name: "burn-rate-3d", factor: 1, longMs: 3 * DAY_MS, shortMs: 6 * HOUR_MS, severity: "ticket", budgetShare: 0.1 },
];

/** The period whose budget the factors are about. */
export const BURN_RATE_PERIOD_MS = 30 * DAY_MS;

/**
 * Share of seconds that were not good, over the share that may be. Seconds before the objective was in force were not bad, so
 * the whole window is the divisor: a young objective does not burn its month in its first minute. Undefined while no second was
 * in force.
 */
export function burnRate(counts: SliceCounts, terms: { readonly windowMs: number; readonly target: number }): number | undefined {
  if (counts.totalSeconds <= 0) return undefined;
  return (counts.badSeconds + counts.unknownSeconds) / (terms.windowMs / 1_000) / (1 - terms.target);
}

/** The rules that can never hold at `target`: the highest burn rate there is, every second bad, is 1 / (1 − target). */
export function unreachableRules(target: number): BurnRateRule[] {
  return BURN_RATE_RULES.filter(({ factor }) => factor >= 1 / (1 - target));
}
