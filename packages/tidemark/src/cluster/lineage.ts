// Which data lies on the recorded line of reigns. Positions of two timelines are comparable only along that line (R11,
// trap 24: a higher LSN on a dead branch is not better). Pure.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { ClusterRecord } from "./cluster-record.ts";

/** `current`: on the primary's timeline. `behind`: on an earlier one, not beyond its fork: a prefix. `diverged`: on none of the line, or beyond a fork. */
export type LineageVerdict = "current" | "behind" | "diverged";

/**
 * Where the recorded line leaves `timeline`: the fork of the timeline that follows it on the line. `undefined` for the
 * record's own timeline, `"unknown"` for one that is not on the line.
 */
export function forkOf(record: ClusterRecord, timeline: Timeline): Lsn | undefined | "unknown" {
  if (timeline === record.timeline) return undefined;
  let on: Pick<ClusterRecord, "timeline" | "forkLsn" | "forkedFrom"> | undefined = record;
  // Each step goes to a smaller timeline, so this ends.
  while (on?.forkedFrom !== undefined && on.forkedFrom < on.timeline) {
    if (on.forkedFrom === timeline) return parseLsn(on.forkLsn);
    const parent: Timeline = on.forkedFrom;
    on = record.reigns.find((reign) => reign.timeline === parent);
  }
  return "unknown";
}

/** Judges data that ends at `end` on `timeline`. */
export function judgeLineage(record: ClusterRecord, timeline: Timeline, end: Lsn): LineageVerdict {
  const fork = forkOf(record, timeline);
  if (fork === undefined) return "current";
  if (fork === "unknown") return "diverged";
  return end <= fork ? "behind" : "diverged";
}
