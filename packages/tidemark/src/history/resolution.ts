// Which of the resolutions answers a question over a range of time, in steps that people can read.
import { TidemarkError } from "@tidemark/kernel/errors";

/** From fine to coarse. */
export const TIERS = ["seconds", "minutes", "hours"] as const;

export type Tier = (typeof TIERS)[number];

export const TIER_MS: Readonly<Record<Tier, number>> = { seconds: 1_000, minutes: 60_000, hours: 3_600_000 };

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A coarser step is always a whole number of days. */
const STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
];

/** The most points of one answer. */
export const MOST_POINTS = 10_000;

/** The latest time that a Date can be, milliseconds. */
const LAST_TIME_MS = 8.64e15;

export interface RangeQuestion {
  /** Wall time, milliseconds; inclusive. */
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
  /** At most so many points, 1 to 10,000. */
  readonly points: number;
}

export interface RangePlan {
  readonly tier: Tier;
  readonly stepMs: number;
  /** The first step's start: `fromMs`, rounded down. */
  readonly startMs: number;
  readonly count: number;
}

/**
 * The finest steps that are few enough, from the coarsest resolution that is fine enough and reaches back to the beginning of
 * the range. Throws TM-HISTORY-RANGE.
 * @param keptFromMs the time from which on each resolution is kept.
 */
export function planRange(question: RangeQuestion, keptFromMs: Readonly<Record<Tier, number>>): RangePlan {
  const { fromMs, toMs, points } = question;
  if (!(fromMs >= 0 && fromMs < toMs && toMs <= LAST_TIME_MS))
    throw new TidemarkError("TM-HISTORY-RANGE", "the range needs two times, the first before the second");
  if (!Number.isInteger(points) || points < 1 || points > MOST_POINTS)
    throw new TidemarkError("TM-HISTORY-RANGE", `an answer has 1 to ${MOST_POINTS} points`);
  const reaching = TIERS.find((tier) => keptFromMs[tier] <= fromMs) ?? "hours";
  for (let index = 0; ; index++) {
    const stepMs = STEPS_MS[index] ?? 2 ** (index - STEPS_MS.length) * DAY;
    if (stepMs < TIER_MS[reaching]) continue;
    const startMs = Math.floor(fromMs / stepMs) * stepMs;
    const count = Math.ceil((toMs - startMs) / stepMs);
    // Ends at the latest with a step that holds all of the range.
    if (count > points) continue;
    const tier = TIERS.findLast((one) => TIER_MS[one] <= stepMs) ?? "seconds";
    return { tier, stepMs, startMs, count };
  }
}
