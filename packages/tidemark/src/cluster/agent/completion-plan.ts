// Which files bring a candidate from where it is to where a vault's WAL ends. Pure.
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import { holdsHistory } from "@tidemark/postgres/timeline-history";
import { segmentName, segmentStart } from "@tidemark/postgres/wal/segment-name";

export interface WalPosition {
  readonly timeline: Timeline;
  readonly lsn: Lsn;
}

export interface CompletionPlan {
  /** Timelines whose history has to be fetched, ascending. */
  readonly histories: readonly Timeline[];
  /** Numbers in between that no WAL was ever written on: PostgreSQL looks for timelines one by one and stops at the first that is missing. */
  readonly reserved: readonly Timeline[];
  /** In the order in which they are replayed. */
  readonly segments: readonly { readonly name: string; readonly start: Lsn }[];
}

/**
 * Plans it. `history` is that of `to.timeline`. A segment that holds a fork is taken from the newest timeline alone: it repeats what lies before
 * the fork, and the older timeline's file may go on past it (R9). Throws TM-CLUSTER-NOT-COMPLETED when `from` is not in the past of `to`.
 */
export function planCompletion(way: {
  from: WalPosition;
  to: WalPosition;
  history: readonly TimelineSwitch[];
  segmentBytes: number;
}): CompletionPlan {
  const { from, to, history, segmentBytes } = way;
  if (!holdsHistory({ timeline: to.timeline, history }, from)) {
    throw new TidemarkError(
      "TM-CLUSTER-NOT-COMPLETED",
      `${formatLsn(from.lsn)} on timeline ${from.timeline} is not in the past of timeline ${to.timeline}`,
    );
  }
  const line = new Set([...history.map((entry) => entry.timeline), to.timeline]);
  const histories: Timeline[] = [];
  const reserved: Timeline[] = [];
  for (let timeline = from.timeline + 1; timeline <= to.timeline; timeline++) {
    (line.has(timeline as Timeline) ? histories : reserved).push(timeline as Timeline);
  }
  const segments: { name: string; start: Lsn }[] = [];
  const last = segmentStart((to.lsn - 1n) as Lsn, segmentBytes);
  for (let start = segmentStart(from.lsn, segmentBytes); start <= last; start = (start + BigInt(segmentBytes)) as Lsn) {
    segments.push({ name: segmentName({ timeline: timelineOf(start, { to, history, segmentBytes }), lsn: start }, segmentBytes), start });
  }
  return { histories, reserved, segments };
}

/** The newest timeline that has a segment beginning at `start`. */
function timelineOf(start: Lsn, way: { to: WalPosition; history: readonly TimelineSwitch[]; segmentBytes: number }): Timeline {
  const left = way.history.find((entry) => segmentStart(entry.switchLsn, way.segmentBytes) > start);
  return left?.timeline ?? way.to.timeline;
}
