// What a standby's own answer says of it as a copy. Pure. Its answer is worth more than its primary's word: it also comes when the
// primary is away, and the canary row that it has says how new it is by the primary's clock alone.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { CANARY_PERIOD_MS } from "../../canary/canary-table.ts";
import type { CopyFacts, Figure, RecoveryPoint } from "../probe-result.ts";
import { known, unknown } from "../probe-result.ts";
import type { Look } from "./node-looks.ts";
import { notGrantedTo } from "./node-looks.ts";
import type { StandbyAnswer } from "./postgresql-answers.ts";
import { positionFigures } from "./primary-facts.ts";
import { serverFigures } from "./server-figures.ts";

/** A comparison of the primary's clock serves for so long, milliseconds. */
const CLOCK_SERVES_MS = 60_000;

export interface StandbyLook extends Look {
  readonly answer: StandbyAnswer;
}

export function standbyCopy(look: StandbyLook): CopyFacts {
  const { node, answer, observation, atMs, settings } = look;
  const shared = {
    name: node.name,
    kind: "standby" as const,
    domain: node.domain,
    outlivesProcess: true,
    // Only a primary knows whom it waits for.
    synchronous: unknown<boolean>("whether commits wait for it is for its primary to say", atMs),
  };
  if (observation.identity !== undefined && observation.identity !== settings.systemIdentifier) {
    const figure = unknown<never>("it is a copy of another cluster", atMs);
    return {
      ...shared,
      recoveryPoint: figure,
      missingBytes: figure,
      missingTransactions: figure,
      remarks: ["its system identifier is another one"],
    };
  }
  const timeline = answer.receiver?.timeline ?? answer.checkpointTimeline;
  const lsn = newest(answer.receivedLsn, answer.replayedLsn);
  const byPosition = lsn === undefined ? undefined : positionFigures(look, { timeline, lsn });
  const recoveryPoint = choosePoint(look, { timeline, lsn, byPosition: byPosition?.recoveryPoint });
  return {
    ...shared,
    recoveryPoint,
    missingBytes: missingBytes(look, { timeline, lsn }),
    missingTransactions: byPosition?.missingTransactions ?? unknown("it has not said how far it is", atMs),
    remarks: [
      ...(answer.paused ? ["its replay is paused: what it received is there, but it takes time to become readable"] : []),
      ...(answer.receiver === undefined ? ["nothing streams to it"] : []),
      ...(answer.receiver !== undefined && answer.receiver.timeline === undefined
        ? [notGrantedTo(look.settings, "pg_read_all_stats")]
        : []),
    ],
  };
}

/**
 * While the primary is seen: where it was when this copy's end was written (the copy also has what it received and did not replay yet), or the newest
 * commit that was replayed, whichever is newer. Otherwise the canary and that commit; both are by the primary's clock.
 */
function choosePoint(
  look: StandbyLook,
  end: { timeline: Timeline; lsn: Lsn | undefined; byPosition: Figure<RecoveryPoint> | undefined },
): Figure<RecoveryPoint> {
  const { answer, atMs } = look;
  const { byPosition } = end;
  if (byPosition?.known === true && (byPosition.value.complete || comparedClock(look) !== undefined))
    return withSequence(upToReplayed(byPosition, look), answer);
  const place = { complete: false, timeline: end.timeline, ...(end.lsn === undefined ? {} : { lsn: formatLsn(end.lsn) }) };
  const replayedAll = answer.receivedLsn === undefined || (answer.replayedLsn !== undefined && answer.replayedLsn >= answer.receivedLsn);
  if (byPosition?.known === true && !replayedAll) return withSequence(byPosition, answer);
  const beat = answer.canary;
  const replayedMs = answer.replayedCommitMs;
  if (beat !== undefined)
    return known(
      { commitMs: Math.max(beat.writtenMs, replayedMs ?? 0), ...place, sequence: Number(beat.sequence) },
      // Until the next beat nothing is known of.
      { atMs, method: "canary", errorMs: CANARY_PERIOD_MS + (atMs - look.sentMs) },
    );
  if (byPosition?.known === true) return byPosition;
  if (replayedMs !== undefined)
    return known({ commitMs: replayedMs, ...place }, { atMs, method: "commit-record", errorMs: atMs - look.sentMs });
  return unknown("it has no canary, has replayed no commit since it started, and its primary's positions are not known", atMs);
}

/** The primary's clock beside the observer's, where they were compared lately. */
function comparedClock({ observation: { primaryClock }, atMs }: StandbyLook): (Figure<number> & { known: true }) | undefined {
  return primaryClock?.known === true && Math.abs(atMs - primaryClock.atMs) <= CLOCK_SERVES_MS ? primaryClock : undefined;
}

/**
 * The primary was looked at now and then; between two looks the copy's end may be anywhere. What it replayed says more: everything that was
 * acknowledged until that commit's time has its record before that commit's, and is there. So it is with a beat of the canary.
 */
function upToReplayed(figure: Figure<RecoveryPoint> & { known: true }, look: StandbyLook): Figure<RecoveryPoint> & { known: true } {
  const clock = comparedClock(look);
  const { replayedCommitMs, canary } = look.answer;
  const replayedMs = Math.max(replayedCommitMs ?? Number.NEGATIVE_INFINITY, canary?.writtenMs ?? Number.NEGATIVE_INFINITY);
  if (clock === undefined || replayedMs === Number.NEGATIVE_INFINITY) return figure;
  const roundTripMs = look.atMs - look.sentMs;
  // Once the primary was seen further, the copy lacked something, whatever its clock said when it wrote the commit: that may have been set since.
  const mostMs = figure.value.complete ? Number.POSITIVE_INFINITY : figure.errorMs - roundTripMs;
  const laterMs = Math.min(mostMs, Math.min(look.sentMs, replayedMs - clock.value - clock.errorMs) - figure.value.commitMs);
  if (!(laterMs > 0)) return figure;
  // The bound is that of the gap between two looks at the primary: as much of it is left as is behind that commit.
  const errorMs = figure.value.complete ? figure.errorMs : Math.max(roundTripMs, figure.errorMs - laterMs);
  return { ...figure, errorMs, value: { ...figure.value, commitMs: figure.value.commitMs + laterMs } };
}

function withSequence(figure: Figure<RecoveryPoint> & { known: true }, answer: StandbyAnswer): Figure<RecoveryPoint> {
  if (answer.canary === undefined) return figure;
  return { ...figure, value: { ...figure.value, sequence: Number(answer.canary.sequence) } };
}

function missingBytes(look: StandbyLook, { timeline, lsn }: { timeline: Timeline; lsn: Lsn | undefined }): Figure<number> {
  const { positions } = look.observation;
  const primary = positions.newest;
  if (primary === undefined || lsn === undefined) return unknown("the primary's position is not known", look.atMs);
  if (positions.timeline !== timeline)
    return unknown(`it is on timeline ${timeline}, its primary was seen on ${positions.timeline ?? "none"}`, look.atMs);
  const behind = primary.lsn > lsn ? Number(primary.lsn - lsn) : 0;
  return known(behind, { atMs: primary.untilMs, method: "position-history", errorMs: look.atMs - look.sentMs });
}

export function standbyFigures(look: StandbyLook): Record<string, Figure<number>> {
  const { answer, atMs } = look;
  const said = (value: number): Figure<number> => known(value, { atMs, method: "reported", errorMs: atMs - look.sentMs });
  const { receivedLsn, replayedLsn } = answer;
  return {
    ...serverFigures(look, answer),
    postgresql_replay_paused: said(answer.paused ? 1 : 0),
    postgresql_streaming:
      answer.receiver === undefined || answer.receiver.status !== undefined
        ? said(answer.receiver?.status === "streaming" ? 1 : 0)
        : unknown(notGrantedTo(look.settings, "pg_read_all_stats"), atMs),
    postgresql_replay_backlog_bytes:
      receivedLsn === undefined || replayedLsn === undefined
        ? unknown("it has received nothing by streaming since it started", atMs)
        : said(receivedLsn > replayedLsn ? Number(receivedLsn - replayedLsn) : 0),
  };
}

function newest(one: Lsn | undefined, other: Lsn | undefined): Lsn | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one > other ? one : other;
}
