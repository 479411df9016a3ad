// One copy, of which several probes tell: its own server, its primary, its agent, a catalogue. Pure.
//
// Every claim is sound for the time that it is of: what a copy was seen to have it had then. So of two claims the newer one counts,
// whoever made it, and an older "nothing is missing" never hides a newer "something is". That somebody does not know takes nothing from what
// somebody else saw; but what was seen too long ago is not known any more, and says since when (HONEST-NUMBER).
//
// One claim goes before newer ones: the primary's, that every acknowledgement waits for the copy. What somebody else sees to be missing then
// was not acknowledged yet; counted as a loss it would be a false alarm at every commit that is on its way.
import { parseLsn } from "@tidemark/kernel/lsn";
import { FRESH_FOR_MS } from "../exposure/figure-age.ts";
import type { CopyFacts, Figure, RecoveryPoint } from "../probes/probe-result.ts";
import { unknown } from "../probes/probe-result.ts";
import type { ExpectedCopy } from "./expected-copy.ts";
import type { TargetView } from "./target-view.ts";

/** The primary's word that acknowledgements wait for a copy goes before newer looks at it for so long, milliseconds: a period, and a look that is slow. */
const WAITED_FOR_MS = 3_000;
/** Remarks of one copy, at most; those of whom its word goes first come first. */
const MOST_REMARKS = 12;

export interface CopyClaim {
  readonly copy: CopyFacts;
  readonly view: TargetView;
}

export interface CopyMerge {
  readonly claims: readonly CopyClaim[];
  /** Absent: it was found, and is not in the configuration. */
  readonly expected?: ExpectedCopy;
  readonly proof?: CopyFacts["proof"];
  /** Wall time of the observer, milliseconds. */
  readonly nowMs: number;
}

/** What all that tell of the copy say together; there is at least one claim. */
export function mergeCopy(merge: CopyMerge): CopyFacts {
  const { expected, nowMs } = merge;
  const claims = byAuthority(merge);
  const [first] = claims;
  if (first === undefined) throw new Error("a copy that nobody tells of");
  const chosen = claims.find((claim) => isWaitedFor(claim, nowMs)) ?? newestLook(claims, nowMs);
  const recoveryPoint = reaching(settled(chosen, { figure: (copy) => copy.recoveryPoint, nowMs }), claims);
  const of = <T>(figure: (copy: CopyFacts) => Figure<T>): Figure<T> => settled(ofSame(claims, chosen, figure), { figure, nowMs });
  const range = rangeOf(claims, recoveryPoint);
  const lockedUntilMs = lockOf(claims, { expected, recoveryPoint });
  const proof = merge.proof ?? claims.find(({ copy }) => copy.proof !== undefined)?.copy.proof;
  const { name, kind } = first.copy;
  const holds = claims.find(({ copy }) => copy.holds !== undefined)?.copy.holds ?? expected?.holds;
  const freshForMs = chosen.copy.freshForMs;
  return {
    name,
    kind,
    domain: expected?.domain ?? first.copy.domain,
    ...(holds === undefined ? {} : { holds }),
    ...(claims.some(({ copy }) => copy.basesUnknown === true) ? { basesUnknown: true } : {}),
    ...(claims.some(({ copy }) => copy.outlivesProcess === true) ? { outlivesProcess: true } : {}),
    ...(freshForMs === undefined ? {} : { freshForMs }),
    recoveryPoint,
    missingBytes: of((copy) => copy.missingBytes),
    missingTransactions: of((copy) => copy.missingTransactions),
    synchronous: settled(
      newest(claims, (copy) => copy.synchronous),
      { figure: (copy) => copy.synchronous, nowMs },
    ),
    ...(range === undefined ? {} : { pointInTime: range }),
    ...(lockedUntilMs === undefined ? {} : { lockedUntilMs }),
    ...(proof === undefined ? {} : { proof }),
    remarks: remarksOf(claims),
  };
}

/** A copy of the configuration of which no look has told. */
export function unseenCopy(expected: ExpectedCopy, told: { readonly why: string; readonly sinceMs: number }): CopyFacts {
  const figure = unknown<never>(told.why, told.sinceMs);
  return {
    name: expected.name,
    kind: expected.kind,
    domain: expected.domain,
    ...(expected.holds === undefined ? {} : { holds: expected.holds }),
    recoveryPoint: figure,
    missingBytes: figure,
    missingTransactions: figure,
    synchronous: figure,
    remarks: [],
  };
}

/** Whose word on what it is goes first: as the configuration orders them, then who was heard last. A target that is away comes after one that is not. */
function byAuthority({ claims, expected }: CopyMerge): readonly CopyClaim[] {
  if (claims.length < 2) return claims;
  const rank = ({ view }: CopyClaim): number => {
    const place = expected?.toldBy.indexOf(view.target) ?? -1;
    return (place < 0 ? 1_000 : place) + (view.away === undefined ? 0 : 10_000);
  };
  return claims.toSorted((one, other) => rank(one) - rank(other) || heardMs(other) - heardMs(one));
}

function isWaitedFor({ copy: { recoveryPoint }, view }: CopyClaim, nowMs: number): boolean {
  return (
    view.away === undefined &&
    recoveryPoint.known &&
    recoveryPoint.value.complete &&
    recoveryPoint.method === "synchronous" &&
    Math.abs(nowMs - recoveryPoint.atMs) <= WAITED_FOR_MS
  );
}

function heardMs({ view }: CopyClaim): number {
  return view.sight?.atMs ?? 0;
}

/**
 * The claim of who looked last. That a copy lacks nothing is dated to when its primary was seen last, and so it would always seem to be older than what
 * that very look said of the copy, though the copy was looked at after it.
 */
function newestLook(claims: readonly CopyClaim[], nowMs: number): CopyClaim {
  const lookedMs = ({ copy: { recoveryPoint, freshForMs = FRESH_FOR_MS }, view }: CopyClaim): number => {
    if (!recoveryPoint.known) return Number.NEGATIVE_INFINITY;
    const { atMs, method, value } = recoveryPoint;
    const isDatedBack = value.complete && method === "position-history" && Math.abs(nowMs - atMs) <= freshForMs;
    return isDatedBack ? Math.max(atMs, view.sight?.atMs ?? atMs) : atMs;
  };
  return claims.reduce((last, claim) => (lookedMs(claim) > lookedMs(last) ? claim : last));
}

/** The claim with the newest known figure; where none is known, of who knows the copy best. */
function newest<T>(claims: readonly CopyClaim[], figure: (copy: CopyFacts) => Figure<T>): CopyClaim {
  let best = claims[0] as CopyClaim;
  for (const claim of claims) {
    const [one, other] = [figure(claim.copy), figure(best.copy)];
    if (one.known && (!other.known || one.atMs > other.atMs)) best = claim;
  }
  return best;
}

/** What is missing goes with the position that it is missing from; only where that claim does not know does another one say. */
function ofSame<T>(claims: readonly CopyClaim[], chosen: CopyClaim, figure: (copy: CopyFacts) => Figure<T>): CopyClaim {
  return figure(chosen.copy).known ? chosen : newest(claims, figure);
}

/**
 * What somebody saw a copy to have it still has, where the newest look finds it no less far: only until when that reaches does its primary know
 * less exactly, which sees it a commit behind at every other look. Without this a healthy copy would seem to be periods behind.
 */
function reaching(point: Figure<RecoveryPoint>, claims: readonly CopyClaim[]): Figure<RecoveryPoint> {
  if (!point.known || point.value.complete || point.method !== "position-history") return point;
  const { lsn, timeline } = point.value;
  if (lsn === undefined || timeline === undefined) return point;
  let { commitMs } = point.value;
  for (const { copy } of claims) {
    const other = copy.recoveryPoint;
    // By the observer's clock as well, and from before: a clock that was set back is none.
    if (!other.known || other.method !== "position-history" || other.value.commitMs > point.atMs) continue;
    if (other.value.timeline === timeline && other.value.lsn !== undefined && parseLsn(other.value.lsn) <= parseLsn(lsn))
      commitMs = Math.max(commitMs, other.value.commitMs);
  }
  return commitMs === point.value.commitMs ? point : { ...point, value: { ...point.value, commitMs } };
}

/** The figure of a claim, or since when it is not known any more, and why. */
function settled<T>({ copy, view }: CopyClaim, of: { figure: (copy: CopyFacts) => Figure<T>; nowMs: number }): Figure<T> {
  const figure = of.figure(copy);
  if (!figure.known || Math.abs(of.nowMs - figure.atMs) <= (copy.freshForMs ?? FRESH_FOR_MS)) return figure;
  const why = view.away === undefined ? `it was last measured at ${isoTime(figure.atMs)}` : awayWords(view);
  return unknown(why, figure.atMs);
}

/** Why a target tells nothing. */
export function awayWords({ target, away }: TargetView): string {
  return away === undefined ? `the probe ${target} has not looked yet` : `the probe ${target} gets no answer: ${away.why} (${away.code})`;
}

/**
 * Who tells of a range tells it up to its own recovery point. A newer one that somebody else saw moves the end along: the log is
 * unbroken up to there, or that one would not be it.
 */
function rangeOf(claims: readonly CopyClaim[], recoveryPoint: Figure<RecoveryPoint>): CopyFacts["pointInTime"] {
  const teller = claims.find(({ copy }) => copy.pointInTime !== undefined)?.copy;
  if (teller?.pointInTime === undefined) return undefined;
  const range = teller.pointInTime;
  const own = teller.recoveryPoint;
  const reachesEnd = own.known && range.toMs >= own.value.commitMs;
  return reachesEnd && recoveryPoint.known ? { fromMs: range.fromMs, toMs: Math.max(range.fromMs, recoveryPoint.value.commitMs) } : range;
}

/** A lock is counted from the newest commit that is there: it was written then or later. */
function lockOf(
  claims: readonly CopyClaim[],
  of: { expected: ExpectedCopy | undefined; recoveryPoint: Figure<RecoveryPoint> },
): number | undefined {
  const said = claims.find(({ copy }) => copy.lockedUntilMs !== undefined)?.copy.lockedUntilMs;
  const forMs = of.expected?.lockedForMs;
  if (said !== undefined || forMs === undefined || !of.recoveryPoint.known) return said;
  return of.recoveryPoint.value.commitMs + forMs;
}

function remarksOf(claims: readonly CopyClaim[]): string[] {
  const away = claims.flatMap(({ view }) => (view.away === undefined ? [] : [`The probe ${view.target} gets no answer.`]));
  const said = claims.filter(({ view }) => view.away === undefined).flatMap(({ copy }) => copy.remarks);
  const all = [...new Set([...said, ...away])];
  return all.length <= MOST_REMARKS ? all : all.slice(0, MOST_REMARKS);
}

/** The latest time that a Date can be, milliseconds. */
const LAST_TIME_MS = 8.64e15;

function isoTime(ms: number): string {
  return Math.abs(ms) <= LAST_TIME_MS ? new Date(ms).toISOString() : "a time that is none";
}
