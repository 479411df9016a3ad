// What is known of one store, from the looks of all its probes. Pure: the same views give the same facts.
//
// Who is primary is the word of the servers themselves. A server that was looked at in vain keeps its word as long as nobody contradicts it;
// on a newer timeline, or on the same one in a look that succeeded, somebody does. Two that say so in looks that succeeded are shown
// as two: whose writes count is for people to find out (ONE-WRITER).
import { FRESH_FOR_MS } from "../exposure/figure-age.ts";
import type { CopyFacts, Figure, StoreFacts } from "../probes/probe-result.ts";
import { unknown } from "../probes/probe-result.ts";
import type { ExpectedCopy } from "./expected-copy.ts";
import type { CopyClaim } from "./merge-copy.ts";
import { awayWords, mergeCopy, unseenCopy } from "./merge-copy.ts";
import type { Sight, TargetView } from "./target-view.ts";

export interface StoreMerge {
  readonly store: string;
  readonly nowMs: number;
  /** When the observer began to look, wall time, milliseconds. */
  readonly sinceMs: number;
  readonly views: readonly TargetView[];
  readonly expected: readonly ExpectedCopy[];
  /** See {@link StoreFacts.acknowledgedBy}. */
  readonly acknowledgedBy?: StoreFacts["acknowledgedBy"];
  /** The last proof of a recovery from a copy, by the copy's name. */
  readonly proofs?: ReadonlyMap<string, NonNullable<CopyFacts["proof"]>>;
}

/** A server that said that it is the primary. */
interface Reign {
  readonly view: TargetView;
  readonly sight: Sight;
  readonly copy: CopyFacts;
  readonly timeline: number;
}

/** The facts as of `nowMs`: every copy of the configuration is in them, and every one that was found. */
export function mergeStore(merge: StoreMerge): StoreFacts {
  const { store, views, nowMs, sinceMs } = merge;
  const reigns = reignsOf(views);
  const standing = reigns.filter((reign) => stands(reign, reigns));
  const ended = new Set(reigns.filter((reign) => !standing.includes(reign)).map(({ view }) => view));
  const claims = new Map<string, CopyClaim[]>();
  const put = (claim: CopyClaim): void => {
    const known = claims.get(claim.copy.name);
    if (known === undefined) claims.set(claim.copy.name, [claim]);
    else known.push(claim);
  };
  const primary = newestOf(standing);
  const identity = primary?.sight.store?.systemIdentifier;
  for (const view of views) {
    const { sight } = view;
    if (sight === undefined) continue;
    const theirs = sight.store?.systemIdentifier;
    const foreign = identity !== undefined && theirs !== undefined && theirs !== identity;
    for (const copy of sight.copies) {
      // What an ended reign said of others counts no more, and of itself only that it is one.
      if (ended.has(view)) {
        if (copy.kind === "primary") put({ copy: former(copy, nowMs), view });
      } else put({ copy: foreign ? ofAnother(copy, sight.atMs) : copy, view });
    }
  }
  return {
    store,
    atMs: Math.max(sinceMs, ...views.map(({ sight }) => sight?.atMs ?? sinceMs)),
    ...storeFigures(merge, primary),
    copies: [...copiesOf(merge, claims)],
    ...(merge.acknowledgedBy === undefined ? {} : { acknowledgedBy: merge.acknowledgedBy }),
  };
}

function* copiesOf(merge: StoreMerge, claims: ReadonlyMap<string, readonly CopyClaim[]>): Generator<CopyFacts> {
  const { expected, proofs, views, nowMs, sinceMs } = merge;
  const named = new Set<string>();
  for (const one of expected) {
    named.add(one.name);
    const told = claims.get(one.name);
    const proof = proofs?.get(one.name);
    if (told !== undefined) yield mergeCopy({ claims: told, expected: one, nowMs, ...(proof === undefined ? {} : { proof }) });
    else yield { ...unseenCopy(one, whyUnseen(one, views, sinceMs)), ...(proof === undefined ? {} : { proof }) };
  }
  for (const [name, told] of claims) {
    const proof = proofs?.get(name);
    if (!named.has(name)) yield mergeCopy({ claims: told, nowMs, ...(proof === undefined ? {} : { proof }) });
  }
}

function whyUnseen(copy: ExpectedCopy, views: readonly TargetView[], sinceMs: number): { why: string; sinceMs: number } {
  const tellers = views.filter(({ target }) => copy.toldBy.includes(target));
  const away = tellers.find((view) => view.away !== undefined);
  if (away?.away !== undefined) return { why: awayWords(away), sinceMs: away.sight?.atMs ?? sinceMs };
  const seen = tellers.find(({ sight }) => sight !== undefined);
  return seen === undefined
    ? { why: "it was not looked at yet", sinceMs }
    : { why: `the probe ${seen.target} does not find it`, sinceMs: seen.sight?.atMs ?? sinceMs };
}

function reignsOf(views: readonly TargetView[]): Reign[] {
  return views.flatMap((view) => {
    const { sight } = view;
    const copy = sight?.copies.find(({ kind }) => kind === "primary");
    if (sight === undefined || copy === undefined) return [];
    const timeline = copy.recoveryPoint.known ? (copy.recoveryPoint.value.timeline ?? 0) : 0;
    return [{ view, sight, copy, timeline }];
  });
}

function stands(reign: Reign, all: readonly Reign[]): boolean {
  return all.every((other) => {
    if (other === reign || other.copy.name === reign.copy.name) return true;
    if (other.timeline > reign.timeline) return false;
    return !(other.timeline === reign.timeline && other.view.away === undefined && reign.view.away !== undefined);
  });
}

function newestOf(reigns: readonly Reign[]): Reign | undefined {
  return reigns.reduce<Reign | undefined>(
    (newest, one) => (newest === undefined || one.sight.atMs > newest.sight.atMs ? one : newest),
    undefined,
  );
}

function former(copy: CopyFacts, nowMs: number): CopyFacts {
  const sinceMs = copy.recoveryPoint.known ? copy.recoveryPoint.atMs : nowMs;
  return uncounted({ ...copy, kind: "standby" }, { why: "it was the primary before, and was not seen since", sinceMs });
}

function ofAnother(copy: CopyFacts, sinceMs: number): CopyFacts {
  return uncounted(copy, { why: "it is a copy of another cluster", sinceMs });
}

function uncounted(copy: CopyFacts, { why, sinceMs }: { why: string; sinceMs: number }): CopyFacts {
  const figure = unknown<never>(why, sinceMs);
  const { pointInTime: _range, ...rest } = copy;
  return { ...rest, recoveryPoint: figure, missingBytes: figure, missingTransactions: figure, synchronous: figure };
}

type StoreFigures = Omit<StoreFacts, "store" | "atMs" | "copies">;

function storeFigures({ views, nowMs, sinceMs }: StoreMerge, primary: Reign | undefined): StoreFigures {
  const told = primary?.sight.store ?? {};
  const away = primary === undefined ? undefined : primary.view;
  const nobody = { why: "no primary was seen", sinceMs };
  const { freshForMs = FRESH_FOR_MS } = told;
  const fresh = <T>(figure: Figure<T> | undefined): Figure<T> => {
    if (figure === undefined) return unknown(nobody.why, nobody.sinceMs);
    if (!figure.known || Math.abs(nowMs - figure.atMs) <= freshForMs) return figure;
    return unknown(away?.away === undefined ? "the primary was not looked at lately" : awayWords(away), figure.atMs);
  };
  const ofPrimary = fresh(told.newestCommit);
  const newestCommit = ofPrimary.known ? ofPrimary : canaryCommit(views, { ofPrimary, fresh });
  const systemIdentifier = told.systemIdentifier ?? onlyIdentity(views);
  return {
    newestCommit,
    ...(told.freshForMs === undefined ? {} : { freshForMs: told.freshForMs }),
    ...(told.clockOffset === undefined ? {} : { clockOffset: told.clockOffset }),
    ...(told.timelineSinceMs === undefined ? {} : { timelineSinceMs: told.timelineSinceMs }),
    commitRate: fresh(told.commitRate),
    ...(systemIdentifier === undefined ? {} : { systemIdentifier }),
    ...(told.releasedWithoutCopiesAtMs === undefined ? {} : { releasedWithoutCopiesAtMs: told.releasedWithoutCopiesAtMs }),
  };
}

/** Whoever writes the canary has just heard from the primary, also where the probe may not look at it. */
function canaryCommit(
  views: readonly TargetView[],
  of: {
    ofPrimary: StoreFacts["newestCommit"];
    fresh: (figure: StoreFacts["newestCommit"]) => StoreFacts["newestCommit"];
  },
): StoreFacts["newestCommit"] {
  for (const { sight, away } of views) {
    const figure = sight?.store?.newestCommit;
    if (away !== undefined || figure === undefined || sight?.copies.length !== 0) continue;
    const commit = of.fresh(figure);
    if (commit.known) return commit;
  }
  return of.ofPrimary;
}

/** While no primary says which cluster it is, the others do where they agree. */
function onlyIdentity(views: readonly TargetView[]): StoreFacts["systemIdentifier"] {
  const all = new Set(views.flatMap(({ sight }) => sight?.store?.systemIdentifier ?? []));
  return all.size === 1 ? [...all][0] : undefined;
}
