// Turns positions that were read again and again into time: the primary stood at a position at a known moment, so a replica
// that holds the position holds everything of that moment. No two machines' clocks are compared, only the observer's.
import type { Lag, WatchSeen } from "./server-survey.ts";

/** One reading of all positions, made by the server in one statement. */
export interface PositionSample {
  /** When it was asked and when the answer was there, monotonic milliseconds of the observer. */
  readonly askedMs: number;
  readonly answeredMs: number;
  /** Bytes since the beginning of the WAL: what the server has flushed, or on a standby received. */
  readonly position: bigint;
  /** Commits since the statistics were reset. */
  readonly commits: number | null;
  /** What each replica has flushed; null: it does not say. */
  readonly replicas: readonly { readonly pid: number; readonly flushed: bigint | null }[];
}

/** Undefined with fewer than two samples: nothing can be said of a rate. */
export function watchOf(samples: readonly PositionSample[]): WatchSeen | undefined {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || first === last) return undefined;
  const forMs = last.answeredMs - first.askedMs;
  const seconds = Math.max(forMs, 1) / 1_000;
  const commits = first.commits === null || last.commits === null ? 0 : last.commits - first.commits;
  return {
    forMs,
    // A position that went back is a restore or a failover in between; there is no rate then.
    walBytesPerSecond: Math.max(0, Number(last.position - first.position)) / seconds,
    commitsPerSecond: commits > 0 ? commits / seconds : null,
    replicas: last.replicas.map(({ pid, flushed }) => ({ pid, lag: lagOf(samples, flushed) })),
  };
}

/**
 * How long ago the server stood where `flushed` is, at the last sample. Each sample's moment lies between the question and
 * the answer, so that the bound is half the gap between the two samples around the position, and their round trips.
 */
export function lagOf(samples: readonly PositionSample[], flushed: bigint | null): Lag {
  const last = samples.at(-1);
  const first = samples[0];
  if (last === undefined || first === undefined) return { kind: "unknown", why: "no position was read" };
  if (flushed === null) return { kind: "unknown", why: "it does not say what it has flushed" };
  if (flushed >= last.position) return { kind: "known", ms: 0, errorMs: last.answeredMs - last.askedMs };
  if (samples.some((sample) => sample.position > last.position))
    return { kind: "unknown", why: "the server's position went back while it was watched" };
  const held = samples.findLastIndex((sample) => sample.position <= flushed);
  const heldSample = samples[held];
  if (heldSample === undefined) return { kind: "at-least", ms: last.askedMs - first.answeredMs };
  const next = samples[held + 1] ?? last;
  const most = last.answeredMs - heldSample.askedMs;
  const least = Math.max(0, last.askedMs - next.answeredMs);
  return { kind: "known", ms: (most + least) / 2, errorMs: (most - least) / 2 };
}
