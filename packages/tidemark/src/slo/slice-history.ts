// Time slices in the history of figures: a series of 1 (good) and 0 (bad) per service and scenario, and no number where it was not
// known. So a bucket of any width knows its good, bad and unknown seconds, each judged by the objective of its own second.
import { hasCode } from "@tidemark/kernel/errors";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { Bucket } from "../history/bucket.ts";
import type { History } from "../history/history.ts";
import { MOST_POINTS, TIER_MS } from "../history/resolution.ts";
import type { SeriesName } from "../history/series-book.ts";
import { known, unknown, type Figure } from "../probes/probe-result.ts";
import type { SliceBucket } from "./slice-counts.ts";
import { sliceQuality } from "./time-slice.ts";

/** The series' metric; labels are `service` and `scenario`. */
const SLICE_METRIC = "tidemark_objective_met";

export interface SliceSubject {
  readonly service: string;
  readonly scenario: string;
}

export function sliceSeries({ service, scenario }: SliceSubject): SeriesName {
  return { metric: SLICE_METRIC, labels: { service, scenario } };
}

/** What is to be recorded of this second: 1 good, 0 bad, or unknown; undefined where there is no objective. */
export function sliceFigure(exposure: ScenarioExposure, atMs: number): Figure<number> | undefined {
  const quality = sliceQuality(exposure);
  if (quality === undefined) return undefined;
  if (quality === "unknown") return unknown(exposure.exposureMs.known ? "not judged" : exposure.exposureMs.why, atMs);
  return known(quality === "good" ? 1 : 0, { atMs, method: "observed", errorMs: 0 });
}

/** What history has of a stretch of time. */
export interface KeptSlices {
  /** Since when the objective has been in force, as far as history reaches back within that time; undefined: it has nothing. */
  readonly sinceMs: number | undefined;
  /** In order of time, not overlapping; none reaches beyond the stretch or before `sinceMs`. */
  readonly buckets: readonly SliceBucket[];
}

/**
 * The slices with `fromMs` ≤ time < `toMs`, in the finest buckets of which `points` suffice. Nothing where the series is not there.
 * Throws TM-HISTORY-AWAY.
 */
export function keptSlices(
  history: Pick<History, "range">,
  of: SliceSubject,
  range: { readonly fromMs: number; readonly toMs: number; readonly points?: number },
): KeptSlices {
  const { fromMs, toMs, points = MOST_POINTS } = range;
  if (!(fromMs < toMs)) return { sinceMs: undefined, buckets: [] };
  const found = bucketsOf(history, of, { fromMs, toMs, points });
  const first = found[0];
  if (first === undefined) return { sinceMs: undefined, buckets: [] };
  const sinceMs = Math.max(fromMs, firstMs(history, of, first));
  return { sinceMs, buckets: found.map((bucket) => cut(bucket, { fromMs: sinceMs, toMs })) };
}

/** When the first second of a bucket is, as finely as history has it. */
function firstMs(history: Pick<History, "range">, of: SliceSubject, within: SliceBucket): number {
  let { startMs, durationMs } = within;
  while (durationMs > TIER_MS.seconds) {
    const [finer] = bucketsOf(history, of, { fromMs: startMs, toMs: startMs + durationMs, points: 60 });
    if (finer === undefined || finer.durationMs >= durationMs) break;
    ({ startMs, durationMs } = finer);
  }
  return startMs;
}

/** Buckets with at least one second in them. */
function bucketsOf(
  history: Pick<History, "range">,
  of: SliceSubject,
  question: { readonly fromMs: number; readonly toMs: number; readonly points: number },
): SliceBucket[] {
  try {
    const { startMs, stepMs, buckets } = history.range(sliceSeries(of), question);
    return buckets.flatMap((bucket, index) => {
      const slice = sliceOf(bucket, startMs + index * stepMs, stepMs);
      return slice === undefined ? [] : [slice];
    });
  } catch (error) {
    if (hasCode(error, "TM-HISTORY-NO-SERIES")) return [];
    throw error;
  }
}

function sliceOf({ known: seconds, unknown: without, values }: Bucket, startMs: number, durationMs: number): SliceBucket | undefined {
  if (seconds + without === 0) return undefined;
  const goodSeconds = values?.sum ?? 0;
  return { startMs, durationMs, goodSeconds, badSeconds: seconds - goodSeconds, unknownSeconds: without };
}

/** The bucket of the running minute or hour is as long as it has lasted, and the first one begins with the objective. */
function cut(bucket: SliceBucket, to: { readonly fromMs: number; readonly toMs: number }): SliceBucket {
  const startMs = Math.max(bucket.startMs, to.fromMs);
  // The running second counts as a whole one.
  const durationMs = Math.min(bucket.startMs + bucket.durationMs, Math.ceil(to.toMs / 1_000) * 1_000) - startMs;
  // Seconds that were looked at twice (a clock that was set back) must not make a bucket longer than it is.
  const scale = Math.min(1, durationMs / 1_000 / (bucket.goodSeconds + bucket.badSeconds + bucket.unknownSeconds));
  return {
    startMs,
    durationMs,
    goodSeconds: bucket.goodSeconds * scale,
    badSeconds: bucket.badSeconds * scale,
    unknownSeconds: bucket.unknownSeconds * scale,
  };
}
