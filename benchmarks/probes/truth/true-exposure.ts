// What really would have been lost at each moment, reckoned afterwards from what a script wrote down: when each commit was acknowledged and
// where its record ends, and how far the standby had flushed. One clock, of one machine. And how far what the observer said was from it.
import type { Lsn } from "@tidemark/kernel/lsn";

export interface AcknowledgedCommit {
  /** When its writer was told, wall time, milliseconds. */
  readonly atMs: number;
  /** Its record ends there or before. */
  readonly lsn: Lsn;
}

export interface FlushSample {
  readonly atMs: number;
  readonly lsn: Lsn;
}

/** A moment, and the age of the oldest acknowledged commit that the standby had not flushed then; 0: it had all. */
export interface TrueMoment {
  readonly atMs: number;
  readonly exposureMs: number;
}

/** What was said at a moment. */
export interface SaidMoment {
  readonly atMs: number;
  readonly exposureMs: number;
}

/** Longer ago than this nothing is looked for, milliseconds. */
const MOST_AGE_MS = 20_000;

/** One moment for each sample. Both in the order of time; positions only grow. */
export function trueMoments(commits: readonly AcknowledgedCommit[], samples: readonly FlushSample[]): TrueMoment[] {
  let oldest = 0;
  return samples.map(({ atMs, lsn }) => {
    for (let commit = commits[oldest]; commit !== undefined && commit.lsn <= lsn; commit = commits[oldest]) oldest++;
    const missing = commits[oldest];
    return { atMs, exposureMs: missing === undefined || missing.atMs > atMs ? 0 : atMs - missing.atMs };
  });
}

/**
 * The smallest e for which this holds: at most e before it was said, the truth was within e of it. So a value that is wrong and a value
 * that is late are held to the same bound, and a figure that is both may not use it twice. Undefined: there is no truth of that time.
 */
export function errorOf(said: SaidMoment, truth: readonly TrueMoment[]): number | undefined {
  let least: number | undefined;
  for (let at = lastUpTo(truth, said.atMs); at >= 0; at--) {
    const moment = truth[at] as TrueMoment;
    const ageMs = said.atMs - moment.atMs;
    if (ageMs > (least ?? MOST_AGE_MS)) break;
    const error = Math.max(ageMs, Math.abs(said.exposureMs - moment.exposureMs));
    if (least === undefined || error < least) least = error;
  }
  return least;
}

/** The truth at a moment: of the newest sample before it. */
export function truthAt(truth: readonly TrueMoment[], atMs: number): TrueMoment | undefined {
  return truth[lastUpTo(truth, atMs)];
}

function lastUpTo(truth: readonly TrueMoment[], atMs: number): number {
  let low = 0;
  let high = truth.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((truth[middle] as TrueMoment).atMs <= atMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
