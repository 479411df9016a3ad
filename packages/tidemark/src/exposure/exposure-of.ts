// Exposure: what would be lost now, for every service and scenario. Pure: facts of copies and domains in, figures out.
//
// A copy counts when it is known to survive the scenario and how far it is is known. What cannot be counted is left out and
// named in `notCovered`, so that every figure is what is certain to be left, within its error bound. Where no copy counts there
// is no figure at all: either everything would be lost, which is certain, or nobody knows (HONEST-NUMBER).
import type { Objective } from "../config/config.ts";
import type { BusinessConfig } from "../config/observed-config.ts";
import type { Scenario } from "../objectives/failure-domain.ts";
import { GROWING_SCENARIOS, SCENARIOS } from "../objectives/failure-domain.ts";
import type { Figure, StoreFacts } from "../probes/probe-result.ts";
import { known, unknown } from "../probes/probe-result.ts";
import type { ScenarioExposure } from "./exposure.ts";
import { mapFigure } from "./figure-age.ts";
import type { StoreExposure, StoreState } from "./store-exposure.ts";
import { notKnown, storeExposure, storeState } from "./store-exposure.ts";

export interface ExposureInput {
  /** Wall time of the observer, milliseconds. */
  readonly nowMs: number;
  readonly services: Readonly<Record<string, ServiceObjectives>>;
  /** By the store's name; one that is not here was not looked at yet. */
  readonly stores: ReadonlyMap<string, StoreFacts>;
}

/** What a service demands. */
export interface ServiceObjectives {
  readonly stores: readonly string[];
  readonly objectives: Readonly<Partial<Record<Scenario, Objective>>>;
  readonly business?: BusinessConfig;
}

const HOUR_MS = 3_600_000;

/** Sentences of one exposure, at most; a last one says how many more there are. */
const MOST_SENTENCES = 40;

/** Every service × scenario, also those without an objective, in the order of the input. */
export function exposureOf(input: ExposureInput): ScenarioExposure[] {
  const states = new Map<string, StoreState>();
  const stateOf = (store: string): StoreState | undefined => {
    const facts = input.stores.get(store);
    if (facts === undefined) return undefined;
    const state = states.get(store) ?? storeState(facts, input.nowMs);
    states.set(store, state);
    return state;
  };
  return Object.entries(input.services).flatMap(([service, demands]) =>
    SCENARIOS.map((scenario) => {
      const stores = demands.stores.map((store) => {
        const state = stateOf(store);
        return state === undefined ? notKnown(store, `${store} was not looked at yet`, input.nowMs) : storeExposure(state, scenario);
      });
      return ofService({ service, scenario, demands, stores, nowMs: input.nowMs });
    }),
  );
}

interface Parts {
  readonly service: string;
  readonly scenario: Scenario;
  readonly demands: ServiceObjectives;
  readonly stores: readonly StoreExposure[];
  readonly nowMs: number;
}

function ofService(parts: Parts): ScenarioExposure {
  const { service, scenario, demands, stores, nowMs } = parts;
  const objective = demands.objectives[scenario];
  const exposureMs = worst(stores, { figure: (store) => store.exposureMs, nowMs });
  const transactions = sum(stores, { figure: (store) => store.transactions, nowMs });
  const lost = stores.filter((store) => store.lost).map(({ store }) => store);
  const uses = stores.flatMap((store) => (store.uses === undefined ? [] : [store.uses]));
  const allProven = uses.every(({ proven }) => proven);
  return {
    service,
    scenario,
    ...(objective === undefined ? {} : { objective }),
    recoveryPoint: oldestPoint(stores, exposureMs),
    exposureMs,
    bytes: sum(stores, { figure: (store) => store.bytes, nowMs }),
    transactions,
    ...(demands.business === undefined ? {} : { business: businessLoss(demands.business, { exposureMs, transactions, nowMs }) }),
    uses,
    ...(allProven ? {} : { provenExposureMs: worst(stores, { figure: (store) => store.provenExposureMs, nowMs }) }),
    recoveryTimeMs: worst(stores, { figure: (store) => store.recoveryTimeMs, nowMs }),
    judgement: judge(stores, objective),
    ...(lost.length === 0 ? {} : { lost }),
    notCovered: sentences([...stores.flatMap((store) => store.notCovered), ...contradictions(scenario, demands)]),
  };
}

function judge(stores: readonly StoreExposure[], objective: Objective | undefined): ScenarioExposure["judgement"] {
  if (objective === undefined) return "no-objective";
  if (stores.some(({ lost, exposureMs }) => lost || (exposureMs.known && exposureMs.value > objective.rpoMs))) return "above";
  // Also where the objective is no number: then nothing is above it, and nothing within it.
  return stores.length > 0 && stores.every(({ exposureMs }) => exposureMs.known && exposureMs.value <= objective.rpoMs)
    ? "within"
    : "unknown";
}

interface Fold {
  readonly figure: (store: StoreExposure) => Figure<number>;
  readonly nowMs: number;
}

/** The greatest; unknown as soon as one is, since that one may be greater. */
function worst(stores: readonly StoreExposure[], fold: Fold): Figure<number> {
  return combine(stores, fold, (one, other) => Math.max(one, other));
}

/** The sum; unknown as soon as one is. */
function sum(stores: readonly StoreExposure[], fold: Fold): Figure<number> {
  return combine(stores, fold, (one, other) => one + other);
}

function combine(stores: readonly StoreExposure[], fold: Fold, join: (one: number, other: number) => number): Figure<number> {
  const figures = stores.map(fold.figure);
  let all: Figure<number> = unknown("the service has no store", fold.nowMs);
  for (const [index, figure] of figures.entries()) {
    if (!figure.known) return firstUnknown(figures);
    if (index === 0 || !all.known) all = figure;
    else {
      const value = join(all.value, figure.value);
      // The less certain of them, the older one, and the method of the one that decides.
      const { method } = figure.value > all.value ? figure : all;
      all = known(value, { atMs: Math.min(all.atMs, figure.atMs), method, errorMs: Math.max(all.errorMs, figure.errorMs) });
    }
  }
  return all;
}

/** It has not been known as a whole since the first of them was not. */
function firstUnknown(figures: readonly Figure<number>[]): Figure<number> {
  const missing = figures.filter((figure) => !figure.known);
  return unknown([...new Set(missing.map(({ why }) => why))].join("; "), Math.min(...missing.map(({ sinceMs }) => sinceMs)));
}

function oldestPoint(stores: readonly StoreExposure[], exposureMs: Figure<number>): ScenarioExposure["recoveryPoint"] {
  if (!exposureMs.known) return exposureMs;
  const oldest = stores.find((store) => store.exposureMs.known && store.exposureMs.value === exposureMs.value);
  return oldest?.recoveryPoint ?? unknown("the service has no store", exposureMs.atMs);
}

interface Loss {
  readonly exposureMs: Figure<number>;
  readonly transactions: Figure<number>;
  readonly nowMs: number;
}

/** In the service's unit and, where somebody said what an hour earns, in its currency: both rounded up at the very end. */
function businessLoss(business: BusinessConfig, loss: Loss): NonNullable<ScenarioExposure["business"]> {
  const { unit, revenue } = business;
  const units = unitsLost(business, loss);
  const whole = (figure: Figure<number>): Figure<number> => mapFigure(figure, roundedUp);
  if (revenue === undefined) return { unit, amount: whole(units) };
  return { unit, amount: whole(units), revenue: { currency: revenue.currency, amount: whole(revenueLost(business, units, loss)) } };
}

/** 30 times 0.1 is 3, and not the 4 that binary fractions would make of it. */
function roundedUp(value: number): number {
  return Math.ceil(Number(value.toPrecision(12)));
}

function unitsLost({ unit, perHour, perTransaction }: BusinessConfig, loss: Loss): Figure<number> {
  // What was counted goes before what was reckoned from time.
  if (perTransaction !== undefined && (loss.transactions.known || perHour === undefined))
    return mapFigure(loss.transactions, (count) => count * perTransaction);
  if (perHour !== undefined) return mapFigure(loss.exposureMs, (ms) => (ms * perHour) / HOUR_MS);
  // Nothing lost is nothing in any unit.
  const none = loss.exposureMs.known && loss.exposureMs.value === 0;
  return none ? loss.exposureMs : unknown(`nobody said how many ${unit} there are in an hour`, loss.nowMs);
}

/** Of the lost units where it is known what one earns, so that both figures say the same; else of the time. */
function revenueLost({ perHour, revenue }: BusinessConfig, units: Figure<number>, loss: Loss): Figure<number> {
  const earned = revenue?.perHour ?? 0;
  if (perHour !== undefined) return mapFigure(units, (count) => (count * earned) / perHour);
  return mapFigure(loss.exposureMs, (ms) => (ms * earned) / HOUR_MS);
}

/** An accident that takes more may not cost less: the objective for what it contains then promises nothing. */
function contradictions(scenario: Scenario, { objectives }: ServiceObjectives): string[] {
  const own = objectives[scenario];
  const place = GROWING_SCENARIOS.indexOf(scenario);
  if (own === undefined || place < 0) return [];
  return GROWING_SCENARIOS.slice(place + 1).flatMap((outer) => {
    const theirs = objectives[outer];
    return theirs === undefined || theirs.rpoMs >= own.rpoMs
      ? []
      : [`The objectives contradict each other: ${outer} takes more than ${scenario} and may lose less.`];
  });
}

function sentences(all: readonly string[]): string[] {
  const once = [...new Set(all)];
  return once.length <= MOST_SENTENCES
    ? once
    : [...once.slice(0, MOST_SENTENCES - 1), `There are ${once.length - MOST_SENTENCES + 1} more such remarks.`];
}
