import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";

/** One step of a timeline's ancestry: `timeline` ends at `switchLsn`, where the next one begins. */
export interface TimelineSwitch {
  readonly timeline: Timeline;
  readonly switchLsn: Lsn;
  readonly reason: string;
}

/** The largest timeline (uint32). */
const LARGEST_TIMELINE = 4_294_967_295;

/**
 * Reads a `.history` file: one line for each ancestor, oldest first, `timeline \t LSN \t reason`; `#` begins a comment.
 * Timelines must grow, as PostgreSQL demands when it reads one, and so must the LSNs. Throws TM-PG-TIMELINE-HISTORY.
 * Source: src/backend/access/transam/timeline.c.
 */
export function parseTimelineHistory(text: string): TimelineSwitch[] {
  const switches: TimelineSwitch[] = [];
  for (const line of text.split("\n")) {
    if (/^\s*(#|$)/.test(line)) continue;
    const match = /^\s*(\d{1,10})\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?:\s+(.*))?$/.exec(line);
    if (match === null) throw malformed(`"${line.slice(0, 80)}" is not a line of it`);
    const next = { timeline: Number(match[1]) as Timeline, switchLsn: parseLsn(match[2] ?? ""), reason: match[3] ?? "" };
    const last = switches.at(-1);
    if (next.timeline < 1 || next.timeline > LARGEST_TIMELINE) throw malformed(`${next.timeline} is not a timeline`);
    if (last !== undefined && (next.timeline <= last.timeline || next.switchLsn < last.switchLsn))
      throw malformed("its entries do not grow");
    switches.push(next);
  }
  return switches;
}

/**
 * Whether a server on `timeline` (with that timeline's history) has in its past everything up to `lsn` of `branch`. LSNs of
 * two timelines are comparable only through this (R11).
 */
export function holdsHistory(
  own: { timeline: Timeline; history: readonly TimelineSwitch[] },
  point: { timeline: Timeline; lsn: Lsn },
): boolean {
  if (own.timeline === point.timeline) return true;
  const fork = own.history.find((entry) => entry.timeline === point.timeline);
  return fork !== undefined && point.lsn <= fork.switchLsn;
}

function malformed(what: string): TidemarkError {
  return new TidemarkError("TM-PG-TIMELINE-HISTORY", `read a timeline history: ${what}`);
}
