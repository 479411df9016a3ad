// From a copy's position to a time, by what the observer saw of the primary.
import type { Timeline } from "@tidemark/kernel/brands";
import { formatLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { Figure, RecoveryPoint } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";

/** Where the primary's log was at what time; the history that the probe of the primary keeps. */
export interface PositionTimes {
  /** Where the primary was seen last. */
  readonly newest?: { readonly lsn: Lsn; readonly untilMs: number } | undefined;
  timeOf(
    timeline: Timeline,
    lsn: Lsn,
  ):
    | {
        readonly found: true;
        readonly untilMs: number;
        readonly gapMs: number;
        readonly complete: boolean;
        readonly missingTransactions: number;
      }
    | { readonly found: false; readonly why: string };
}

/** What a copy has that reached `lsn` of `timeline`; unknown without a history, and where the history does not reach. */
export function pointAt(
  positions: PositionTimes | undefined,
  at: { readonly timeline: Timeline; readonly lsn: Lsn },
  seen: { readonly atMs: number; readonly errorMs: number },
): { readonly recoveryPoint: Figure<RecoveryPoint>; readonly missingTransactions: Figure<number>; readonly missingBytes: Figure<number> } {
  const time = positions?.timeOf(at.timeline, at.lsn) ?? ({ found: false, why: "the primary's positions are not followed" } as const);
  if (!time.found) {
    const none = unknown<number>(time.why, seen.atMs);
    return { recoveryPoint: unknown(time.why, seen.atMs), missingTransactions: none, missingBytes: none };
  }
  const newest = positions?.newest;
  // That nothing is missing, and how much is, was true when the primary was seen last: while it is not, these figures grow old, however
  // often the copy is looked at. That the copy has what it has stays true.
  const measured = (atMs: number) => ({ atMs, method: "position-history", errorMs: time.gapMs + seen.errorMs }) as const;
  const sinceSeen = measured(newest?.untilMs ?? seen.atMs);
  return {
    recoveryPoint: known(
      { commitMs: time.untilMs, complete: time.complete, lsn: formatLsn(at.lsn), timeline: at.timeline },
      time.complete ? sinceSeen : measured(seen.atMs),
    ),
    missingTransactions: known(time.missingTransactions, sinceSeen),
    missingBytes:
      newest === undefined
        ? unknown("where the primary is was not seen yet", seen.atMs)
        : known(newest.lsn > at.lsn ? Number(newest.lsn - at.lsn) : 0, sinceSeen),
  };
}
