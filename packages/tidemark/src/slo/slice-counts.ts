// Seconds of each quality within a window, from buckets of any width: history gives 1 s, 1 min and 1 h buckets, the older the
// wider. Pure.
import { assert } from "@tidemark/kernel/errors";

/** Seconds of one stretch of time. `startMs` is wall time; what its counts do not add up to was not looked at. */
export interface SliceBucket {
  readonly startMs: number;
  readonly durationMs: number;
  readonly goodSeconds: number;
  readonly badSeconds: number;
  readonly unknownSeconds: number;
}

export interface SliceCounts {
  readonly goodSeconds: number;
  /** Known to be above the objective. */
  readonly badSeconds: number;
  /** Looked at in vain, or not looked at. */
  readonly unknownSeconds: number;
  /** Of the unknown ones those in which nobody looked: the observer was away. */
  readonly unseenSeconds: number;
  /** Good, bad and unknown: the part of the window in which the objective was in force. */
  readonly totalSeconds: number;
  /**
   * `goodSeconds` is right within so many seconds, and so is what it is not: only a bucket that reaches over an edge of the
   * window adds to it, because where in it the good seconds lie is not known.
   */
  readonly errorSeconds: number;
}

export interface SliceWindow {
  readonly fromMs: number;
  readonly toMs: number;
  /** When the objective came into force: seconds before count for nothing. */
  readonly sinceMs: number;
}

/**
 * The seconds of `window`. Time after `sinceMs` that no bucket tells of is unknown: an observer that was away saw nothing.
 * Buckets may come in any order, and must not overlap. A bucket that reaches over the window's edge counts in proportion.
 */
export function countSlices(buckets: Iterable<SliceBucket>, window: SliceWindow): SliceCounts {
  const fromMs = Math.max(window.fromMs, window.sinceMs);
  const totalSeconds = Math.max(0, window.toMs - fromMs) / 1_000;
  let good = 0;
  let bad = 0;
  let inVain = 0;
  let errorSeconds = 0;
  for (const bucket of buckets) {
    const width = bucket.durationMs / 1_000;
    const within = (Math.min(bucket.startMs + bucket.durationMs, window.toMs) - Math.max(bucket.startMs, fromMs)) / 1_000;
    if (within <= 0) continue;
    assert(
      bucket.goodSeconds + bucket.badSeconds + bucket.unknownSeconds <= width + 1e-6,
      `a bucket of ${width} s with more seconds than that`,
    );
    const share = within / width;
    good += bucket.goodSeconds * share;
    bad += bucket.badSeconds * share;
    inVain += bucket.unknownSeconds * share;
    if (share < 1)
      errorSeconds += Math.max(proportionError(bucket.goodSeconds, width, within), proportionError(bucket.badSeconds, width, within));
  }
  assert(good + bad <= totalSeconds + 1e-3, "the buckets of a window overlap");
  return {
    goodSeconds: good,
    badSeconds: bad,
    unknownSeconds: Math.max(0, totalSeconds - good - bad),
    unseenSeconds: Math.max(0, totalSeconds - good - bad - inVain),
    totalSeconds,
    errorSeconds,
  };
}

/** How wrong the proportion can be: of `count` among `width` seconds, at least count − (width − within) and at most `within` lie in the window. */
function proportionError(count: number, width: number, within: number): number {
  const estimate = (count * within) / width;
  const least = Math.max(0, count - (width - within));
  const most = Math.min(count, within);
  return Math.max(most - estimate, estimate - least);
}
