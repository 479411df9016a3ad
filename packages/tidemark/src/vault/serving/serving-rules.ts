// What of the WAL may be given to a recovery, and what "it is not there" means. Pure. A recovery that is told "not there"
// ends and opens the database (trap 33), so that answer needs proof: it is given only where the WAL surely ends. R9: a timeline is
// given up to its recorded fork only, and during an open claim nothing beyond the vote.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import type { WalRange } from "../archive/wal-range.ts";

/** What the vault knows at the moment; asked for anew for each file. */
export interface ServingState {
  readonly systemIdentifier: string;
  /** The timeline that is received, or was last. */
  readonly timeline: Timeline;
  /** The ancestors of `timeline` with their forks, oldest first. */
  readonly history: readonly TimelineSwitch[];
  /** End of the last whole record that is durable here, on `timeline`. */
  readonly end: Lsn;
  /** An open promise (R3): this far the vault voted. */
  readonly vote?: { readonly timeline: Timeline; readonly lsn: Lsn };
  /** Ranges that were never received. What a file has there is not WAL. */
  readonly gaps: readonly WalRange[];
  /** Why `end` may not be the end: the restart's scan runs, the newest WAL is damaged. */
  readonly unsure?: string;
}

export type ServingVerdict =
  /** Give it, with zeros from `upTo` on. */
  | { readonly kind: "give"; readonly upTo: Lsn }
  /** The history of this timeline has nothing there: the WAL ends before it, or another timeline took over. */
  | { readonly kind: "end"; readonly end: Lsn }
  | { readonly kind: "unsure"; readonly why: string }
  | { readonly kind: "other-history"; readonly why: string };

/** Judges a segment that begins at `start` and ends at `start + segmentBytes`. */
export function judgeSegment(asked: { timeline: Timeline; start: Lsn }, segmentBytes: number, state: ServingState): ServingVerdict {
  const { timeline, start } = asked;
  if (timeline > state.timeline) return { kind: "unsure", why: `timeline ${timeline} is not known here; the newest is ${state.timeline}` };
  const fork = timeline === state.timeline ? undefined : state.history.find((entry) => entry.timeline === timeline)?.switchLsn;
  if (timeline !== state.timeline && fork === undefined)
    return { kind: "other-history", why: `timeline ${timeline} is not an ancestor of timeline ${state.timeline}` };
  if (fork !== undefined && start >= fork) return { kind: "end", end: fork };
  const voted = votedEnd(timeline, state);
  if (voted !== undefined && start >= voted)
    return { kind: "unsure", why: "a failover is under way and this lies beyond the vault's vote" };
  const limit = least(fork ?? state.end, voted);
  if (start >= limit) return state.unsure === undefined ? { kind: "end", end: limit } : { kind: "unsure", why: state.unsure };
  return { kind: "give", upTo: least(limit, (start + BigInt(segmentBytes)) as Lsn) };
}

/** Judges a history file that is not there. `kind: "give"` never comes. */
export function judgeMissingHistory(timeline: Timeline, state: ServingState): Exclude<ServingVerdict, { kind: "give" }> | { kind: "hole" } {
  if (timeline === 1) return { kind: "end", end: state.end };
  if (timeline > state.timeline) {
    if (state.vote !== undefined) return { kind: "unsure", why: "a failover is under way: a new timeline may be about to begin" };
    return state.unsure === undefined ? { kind: "end", end: state.end } : { kind: "unsure", why: state.unsure };
  }
  if (timeline === state.timeline || state.history.some((entry) => entry.timeline === timeline)) return { kind: "hole" };
  // PostgreSQL looks for the newest timeline by counting up to the first that is missing. Told "not there", it would recover along
  // a branch that was left.
  return {
    kind: "other-history",
    why: `timeline ${timeline} was never used, and ${state.timeline} is the newest: recovery_target_timeline = '${state.timeline}' finds it`,
  };
}

/** The gaps of a range that would be given. */
export function gapsIn(range: WalRange, gaps: readonly WalRange[]): WalRange[] {
  return gaps.filter((gap) => gap.timeline === range.timeline && gap.start < range.end && gap.end > range.start);
}

/** How far the vault's vote reaches on `timeline`; a timeline after the vote's has nothing. */
function votedEnd(timeline: Timeline, { vote }: ServingState): Lsn | undefined {
  if (vote === undefined || timeline < vote.timeline) return undefined;
  return timeline === vote.timeline ? vote.lsn : (0n as Lsn);
}

function least(a: Lsn, b: Lsn | undefined): Lsn {
  return b === undefined || a < b ? a : b;
}
