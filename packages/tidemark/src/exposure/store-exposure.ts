// What one store would lose in one scenario: which of its copies survive, which of them would be used, and what that leaves
// out. Of several accidents of the same kind that could happen to the store, the worst counts.
import type { FailureDomain, Scenario } from "../objectives/failure-domain.ts";
import { SCENARIO_TAKES } from "../objectives/failure-domain.ts";
import type { CopyFacts, CopyKind, Figure, RecoveryPoint, StoreFacts } from "../probes/probe-result.ts";
import { known, unknown } from "../probes/probe-result.ts";
import { fateOf } from "./copy-fate.ts";
import type { CopyState } from "./copy-state.ts";
import { newestState, notAfter, pointInTimeState } from "./copy-state.ts";
import type { UsedCopy } from "./exposure.ts";
import { scenarioSentences, usedSentences } from "./not-covered.ts";

export interface StoreExposure {
  readonly store: string;
  /** Every copy would be gone: that is certain, and no figure says how much it is. */
  readonly lost: boolean;
  readonly recoveryPoint: Figure<RecoveryPoint>;
  readonly exposureMs: Figure<number>;
  readonly bytes: Figure<number>;
  readonly transactions: Figure<number>;
  readonly uses?: UsedCopy;
  /** From proven copies alone. */
  readonly provenExposureMs: Figure<number>;
  readonly recoveryTimeMs: Figure<number>;
  readonly notCovered: readonly string[];
}

/** Copies that can be read as they stand. The others count as proven once they were restored (PROVEN-OR-NOT). */
const LIVE: ReadonlySet<CopyKind> = new Set(["primary", "standby", "queue"]);

const noCopy = (store: string): string => `no copy of ${store} survives: everything would be lost`;

/** Why nothing is left, where that is certain. */
const NOTHING_LEFT: Readonly<Record<Scenario, (store: string) => string>> = {
  "process-loss": noCopy,
  "node-loss": noCopy,
  "zone-loss": noCopy,
  "region-loss": noCopy,
  "bad-write": (store) => `no copy of ${store} can go back to before a bad write`,
  "account-loss": (store) => `${store} has no copy in another account that nobody can delete`,
};

/** A store's copies as they stand, looked at once for all scenarios. */
export interface StoreState {
  readonly facts: StoreFacts;
  readonly nowMs: number;
  readonly newest: readonly CopyState[];
  readonly pointInTime: ReadonlyMap<CopyFacts, CopyState>;
}

export function storeState(facts: StoreFacts, nowMs: number): StoreState {
  const newest = facts.copies.map((copy) => newestState(copy, facts, nowMs));
  const pointInTime = new Map<CopyFacts, CopyState>();
  for (const state of newest) {
    const back = pointInTimeState(state, facts, nowMs);
    if (back !== undefined) pointInTime.set(state.copy, back);
  }
  return { facts, nowMs, newest, pointInTime };
}

export function storeExposure(state: StoreState, scenario: Scenario): StoreExposure {
  const { facts, nowMs } = state;
  const primaries = facts.copies.filter(({ kind }) => kind === "primary");
  if (facts.copies.length === 0) return notKnown(facts.store, `no copy of ${facts.store} was seen`, nowMs);
  if (primaries.length > 1) {
    const names = primaries.map(({ name }) => name).join(" and ");
    return notKnown(facts.store, `${names} both say that they are the primary: whose writes count is not known`, nowMs);
  }
  // Copies that are only configured say nothing of what is there: a primary that never answered may feed others.
  const silentSinceMs = neverSeenSince(facts);
  if (silentSinceMs !== undefined) return notKnown(facts.store, `nothing that holds ${facts.store} has answered yet`, silentSinceMs);
  if (SCENARIO_TAKES[scenario] === undefined) return afterAccident(state, scenario, undefined);
  // An accident elsewhere leaves the primary, which has everything. Without one, each copy may be the one that is hit.
  const struck = primaries.length === 1 ? primaries : facts.copies;
  return struck.map((copy) => afterAccident(state, scenario, copy)).reduce(worse);
}

/**
 * Since when it is so that no primary was ever seen and no copy says how far it is; undefined when one was or does. A journal does not: the
 * gateway answers also where there is nothing yet that it could be put on.
 */
function neverSeenSince({ copies }: StoreFacts): number | undefined {
  const sinceMs: number[] = [];
  for (const { kind, recoveryPoint } of copies) {
    if (kind === "primary" || (recoveryPoint.known && kind !== "journal")) return undefined;
    sinceMs.push(recoveryPoint.known ? recoveryPoint.atMs : recoveryPoint.sinceMs);
  }
  return Math.min(...sinceMs);
}

/** What is known of a store of which nothing is known. */
export function notKnown(store: string, why: string, sinceMs: number): StoreExposure {
  const figure = unknown<never>(why, sinceMs);
  return {
    store,
    lost: false,
    recoveryPoint: figure,
    exposureMs: figure,
    bytes: figure,
    transactions: figure,
    provenExposureMs: figure,
    recoveryTimeMs: figure,
    notCovered: [],
  };
}

/** A copy that may be used, with what it is put on. */
interface Candidate extends CopyState {
  readonly onto?: CopyFacts;
  readonly proven: boolean;
}

interface Survivors {
  readonly candidates: readonly Candidate[];
  /** Copies that may have survived, and cannot be counted on, with the reason. */
  readonly uncounted: readonly Uncounted[];
}

interface Uncounted {
  readonly copy: CopyFacts;
  readonly why: string;
  readonly sinceMs: number;
}

function afterAccident(state: StoreState, scenario: Scenario, struck: CopyFacts | undefined): StoreExposure {
  const { facts, nowMs } = state;
  const { candidates, uncounted } = survivorsOf(state, scenario, struck);
  const best = bestOf(candidates);
  const notCovered = [
    ...scenarioSentences(facts, { scenario, nowMs }),
    ...unappliedSentences(facts, { scenario, struck, nowMs }),
    // Where nothing is known for it, that is why, and is said there.
    ...(best === undefined ? [] : uncounted.map(({ copy, why }) => `${facts.store}/${copy.name} is not counted: ${why}.`)),
  ];
  if (best === undefined) {
    const lost = uncounted.length === 0;
    const why = lost
      ? NOTHING_LEFT[scenario](facts.store)
      : `no copy of ${facts.store} is known to survive: ${uncounted.map((one) => `${one.copy.name}, ${one.why}`).join("; ")}`;
    const sinceMs = lost ? nowMs : Math.max(...uncounted.map((one) => one.sinceMs));
    return { ...notKnown(facts.store, why, sinceMs), lost, notCovered };
  }
  const proven = bestOf(candidates.filter((one) => one.proven));
  const { copy, onto } = best;
  return {
    store: facts.store,
    lost: false,
    recoveryPoint: best.point,
    exposureMs: best.exposureMs,
    bytes: best.bytes,
    transactions: best.transactions,
    uses: { store: facts.store, copy: copy.name, proven: best.proven, ...(onto === undefined ? {} : { onto: onto.name }) },
    provenExposureMs: proven?.exposureMs ?? unknown(`no copy of ${facts.store} that would survive was ever recovered from`, nowMs),
    recoveryTimeMs: recoveryTime(facts, copy, nowMs),
    notCovered: [...notCovered, ...usedSentences(facts, { copy, scenario, nowMs, proven: best.proven })],
  };
}

/** What the journal alone has: nobody counts it, and where the accident takes the journal it is lost. */
function unappliedSentences({ store, acknowledgedBy }: StoreFacts, accident: Accident): string[] {
  if (acknowledgedBy === undefined || accident.struck === undefined) return [];
  const fate = copyFate({ ...acknowledgedBy, outlivesProcess: true }, accident);
  if (fate === "survives") return [];
  const journal = `${store}/${acknowledgedBy.name}`;
  return fate === "lost"
    ? [`Writes that were accepted and not applied yet would be lost with ${journal}: not counted.`]
    : [`Writes that were accepted and not applied yet may be lost with ${journal}, not counted: ${fate.why}.`];
}

function recoveryTime(facts: StoreFacts, { name, proof }: CopyFacts, nowMs: number): Figure<number> {
  if (proof === undefined || !(proof.tookMs >= 0 && Number.isFinite(proof.tookMs)))
    return unknown(`${facts.store}/${name} was never recovered from, as far as is known`, nowMs);
  return known(proof.tookMs, { atMs: proof.atMs, method: "reported", errorMs: 0 });
}

const NO_BASE_KNOWN = "no base backup that its WAL could be put on is known";

function survivorsOf(state: StoreState, scenario: Scenario, struck: CopyFacts | undefined): Survivors {
  const { facts, nowMs } = state;
  const whole: Candidate[] = [];
  const logs: CopyState[] = [];
  const uncounted: Uncounted[] = [];
  const elsewhere: Uncounted[] = [];
  for (const newest of state.newest) {
    const { copy } = newest;
    const here = scenario === "bad-write" ? state.pointInTime.get(copy) : newest;
    if (here === undefined && copy.basesUnknown !== true) continue;
    const fate = copyFate(copy, { scenario, struck, nowMs });
    if (fate === "lost") continue;
    if (copy.basesUnknown === true) elsewhere.push({ copy, why: NO_BASE_KNOWN, sinceMs: nowMs });
    if (here === undefined) continue;
    if (fate !== "survives") uncounted.push({ copy, why: fate.why, sinceMs: nowMs });
    else if (!here.exposureMs.known) uncounted.push({ copy, why: here.exposureMs.why, sinceMs: here.exposureMs.sinceMs });
    else if (copy.holds === "wal") logs.push(here);
    else whole.push({ ...here, proven: LIVE.has(copy.kind) || copy.proof !== undefined });
  }
  // WAL without anything that it could be put on is nothing, whatever is known of it; unless there may be something that nobody told of.
  if (whole.length === 0 && uncounted.every(({ copy }) => copy.holds === "wal")) return { candidates: [], uncounted: elsewhere };
  const candidates = [...whole];
  for (const log of logs) {
    const onto = bestOf(whole.filter((base) => reaches(log, base, { store: facts, nowMs })));
    if (onto !== undefined) candidates.push({ ...log, onto: onto.copy, proven: log.copy.proof !== undefined && onto.proven });
    else
      uncounted.push({
        copy: log.copy,
        why: `it holds ${log.copy.kind === "journal" ? "writes" : "WAL"} only, and reaches back to no whole copy that is known to survive`,
        sinceMs: nowMs,
      });
  }
  return { candidates, uncounted };
}

type KnownFate = "survives" | "lost" | { readonly why: string };

interface Accident {
  readonly scenario: Scenario;
  readonly struck: CopyFacts | undefined;
  readonly nowMs: number;
}

function copyFate(copy: Pick<CopyFacts, "domain" | "outlivesProcess" | "lockedUntilMs">, accident: Accident): KnownFate {
  const { scenario, struck, nowMs } = accident;
  const kind = SCENARIO_TAKES[scenario];
  if (kind === undefined || struck === undefined) return "survives";
  if (scenario === "process-loss" && copy.outlivesProcess === true) return "survives";
  const fate = copy === struck ? "lost" : fateOf(copy.domain, struck.domain, kind);
  if (fate === "lost") return "lost";
  // Who has the account may also delete what its copies can delete: only what nobody can delete is left for certain.
  if (scenario === "account-loss" && !(copy.lockedUntilMs !== undefined && copy.lockedUntilMs > nowMs)) return "lost";
  if (fate === "survives") return "survives";
  return {
    why: `whether it shares the ${kind} of ${struck.name} is not known (${missingName(copy.domain, kind) ? "its" : "the other's"} ${kind} has no name)`,
  };
}

function missingName(domain: FailureDomain, kind: keyof FailureDomain): boolean {
  return domain[kind] === undefined;
}

/** Whether the WAL of `log` can be put on `base`: it begins no later than that ends, and ends no earlier. */
function reaches(log: CopyState, base: CopyState, place: { store: StoreFacts; nowMs: number }): boolean {
  const range = log.copy.pointInTime;
  if (range === undefined || !log.point.known || !base.point.known) return false;
  const { method } = log.point;
  // What a journal has forgotten, nobody can get elsewhere: the base has to have it for certain. What it had when it was looked at it has for good.
  const look = base.copy.recoveryPoint.known ? base.copy.recoveryPoint : base.point;
  const errorMs = log.copy.kind === "journal" ? look.errorMs : 0;
  const end = { ms: base.point.value.commitMs - errorMs, method: base.point.method };
  return notAfter({ ms: range.fromMs, method }, end, place) === true;
}

function bestOf<T extends Candidate>(candidates: readonly T[]): T | undefined {
  return candidates.length === 0 ? undefined : candidates.reduce((best, other) => (isBetter(other, best) ? other : best));
}

function isBetter(one: Candidate, other: Candidate): boolean {
  if (!one.exposureMs.known || !other.exposureMs.known) return one.exposureMs.known;
  const gain = other.exposureMs.value - one.exposureMs.value;
  if (gain !== 0) return gain > 0;
  if (waitedFor(one.copy) !== waitedFor(other.copy)) return waitedFor(one.copy);
  if (one.proven !== other.proven) return one.proven;
  if (one.onto !== undefined || other.onto !== undefined) return one.onto === undefined && other.onto !== undefined;
  return (one.copy.proof?.tookMs ?? Number.POSITIVE_INFINITY) < (other.copy.proof?.tookMs ?? Number.POSITIVE_INFINITY);
}

function waitedFor(copy: CopyFacts): boolean {
  return copy.synchronous.known && copy.synchronous.value;
}

/** Certainly everything, then what is not known, then the greater loss. */
function worse(one: StoreExposure, other: StoreExposure): StoreExposure {
  if (one.lost !== other.lost) return one.lost ? one : other;
  if (!one.exposureMs.known || !other.exposureMs.known) return one.exposureMs.known ? other : one;
  return other.exposureMs.value > one.exposureMs.value ? other : one;
}
