// Rules that hold for whatever the probes find.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type { CopyFacts, CopyKind, Figure, Method, RecoveryPoint, StoreFacts } from "../probes/probe-result.ts";
import type { ScenarioExposure } from "./exposure.ts";
import { exposureOf } from "./exposure-of.ts";
import { NOW_MS, never, primary, store } from "./testing/sample-facts.ts";

const RUNS = { numRuns: 400 };

const method = fc.constantFrom<Method>("canary", "commit-record", "position-history", "reported", "synchronous", "observed");

function figure<T>(value: fc.Arbitrary<T>): fc.Arbitrary<Figure<T>> {
  const measured = fc.record({
    known: fc.constant(true as const),
    value,
    atMs: fc.integer({ min: NOW_MS - 12_000, max: NOW_MS + 2_000 }),
    method,
    errorMs: fc.integer({ min: 0, max: 500 }),
  });
  return fc.oneof({ weight: 5, arbitrary: measured }, { weight: 1, arbitrary: fc.constant(never) });
}

const timeline = fc.option(fc.integer({ min: 1, max: 2 }) as fc.Arbitrary<Timeline>, { nil: undefined });
const timeMs = fc.integer({ min: NOW_MS - 100_000, max: NOW_MS + 200 });
const point = fc
  .record({ commitMs: timeMs, complete: fc.boolean(), timeline })
  .map(({ timeline: own, ...rest }): RecoveryPoint => ({ ...rest, ...(own === undefined ? {} : { timeline: own }) }));
const name = (letters: string): fc.Arbitrary<string | undefined> => fc.option(fc.constantFrom(...letters.split("")), { nil: undefined });
const domain = fc
  .record({ process: name("pq"), machine: name("123"), zone: name("ab"), region: name("xy"), account: name("mn") })
  .map((all): FailureDomain => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));

const copies: fc.Arbitrary<CopyFacts[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom<CopyKind>("standby", "vault", "backup", "snapshot", "journal"),
      domain,
      recoveryPoint: figure(point),
      missingBytes: figure(fc.nat()),
      missingTransactions: figure(fc.nat()),
      synchronous: figure(fc.boolean()),
      back: fc.option(fc.tuple(timeMs, timeMs), { nil: undefined }),
      wal: fc.boolean(),
      lockedUntilMs: fc.option(fc.integer({ min: NOW_MS - 5, max: NOW_MS + 5 }), { nil: undefined }),
      tookMs: fc.option(fc.nat(), { nil: undefined }),
      outlivesProcess: fc.boolean(),
    }),
    { maxLength: 5 },
  )
  .map((all) =>
    all.map(({ back, wal, lockedUntilMs, tookMs, ...rest }, index) => ({
      ...rest,
      name: `c${index}`,
      remarks: [],
      ...(back === undefined ? {} : { pointInTime: { fromMs: back[0], toMs: back[1] } }),
      ...(wal ? { holds: "wal" as const } : {}),
      ...(lockedUntilMs === undefined ? {} : { lockedUntilMs }),
      ...(tookMs === undefined ? {} : { proof: { atMs: NOW_MS, tookMs } }),
    })),
  );

const facts: fc.Arbitrary<StoreFacts> = fc
  .record({
    copies,
    home: domain,
    offset: fc.option(figure(fc.integer({ min: -60, max: 60 })), { nil: undefined }),
    newest: figure(fc.record({ commitMs: timeMs })),
    released: fc.option(timeMs, { nil: undefined }),
  })
  .map(({ copies: others, home, offset, newest, released }) => {
    const { clockOffset: _, ...bare } = store([primary({ domain: home }), ...others], { newestCommit: newest });
    return {
      ...bare,
      systemIdentifier: "1" as SystemIdentifier,
      ...(offset === undefined ? {} : { clockOffset: offset }),
      ...(released === undefined ? {} : { releasedWithoutCopiesAtMs: released }),
    };
  });

const objective = { rpoMs: 5_000, rtoMs: 60_000 };
const objectives = { "node-loss": objective, "zone-loss": objective, "bad-write": objective, "account-loss": objective };

function exposures(stores: readonly StoreFacts[]): ScenarioExposure[] {
  const named = stores.map((one, index) => ({ ...one, store: `s${index}` }));
  return exposureOf({
    nowMs: NOW_MS,
    services: {
      orders: {
        stores: named.map((one) => one.store),
        objectives,
        business: { unit: "orders", perHour: 3_600, revenue: { currency: "EUR", perHour: 36_000 } },
      },
    },
    stores: new Map(named.map((one) => [one.store, one])),
  });
}

/** How bad: a number, then not known, then everything. */
function rank(one: ScenarioExposure): number {
  if (one.lost !== undefined) return Number.POSITIVE_INFINITY;
  return one.exposureMs.known ? one.exposureMs.value : Number.MAX_VALUE;
}

function without(one: StoreFacts, index: number): StoreFacts {
  return { ...one, copies: one.copies.filter((_, place) => place !== index) };
}

function blinded(one: StoreFacts, index: number): StoreFacts {
  return { ...one, copies: one.copies.map((copy, place) => (place === index ? { ...copy, recoveryPoint: never } : copy)) };
}

describe("exposure, whatever is found", () => {
  it("never falls when a copy is lost", () => {
    fc.assert(
      fc.property(facts, fc.nat(4), (one, index) => {
        const before = exposures([one]);
        const after = exposures([without(one, index + 1)]);
        for (const [place, was] of before.entries()) expect(rank(after[place] as ScenarioExposure)).toBeGreaterThanOrEqual(rank(was));
      }),
      RUNS,
    );
  });

  it("never falls when a copy is not seen any more, and is not known when none is", () => {
    fc.assert(
      fc.property(facts, fc.nat(4), (one, index) => {
        const before = exposures([one]);
        const after = exposures([blinded(one, index + 1)]);
        for (const [place, was] of before.entries()) expect(rank(after[place] as ScenarioExposure)).toBeGreaterThanOrEqual(rank(was));
        const dark = one.copies.reduce((all, _, place) => blinded(all, place), one);
        for (const found of exposures([dark])) {
          expect(numbersIn({ ...found, objective: undefined })).toEqual([]);
          expect(found.judgement).not.toBe("within");
        }
      }),
      RUNS,
    );
  });

  it("has a number only when every store has a copy that is known, fresh and known to survive", () => {
    fc.assert(
      fc.property(fc.array(facts, { minLength: 1, maxLength: 3 }), (stores) => {
        for (const found of exposures(stores)) {
          if (!found.exposureMs.known) continue;
          expect(found.uses.map((used) => used.store)).toEqual(stores.map((_, index) => `s${index}`));
          for (const [index, used] of found.uses.entries()) {
            const copy = stores[index]?.copies.find((one) => one.name === used.copy);
            expect(copy?.recoveryPoint.known).toBe(true);
            expect(copy?.recoveryPoint).toSatisfy((was: CopyFacts["recoveryPoint"]) => was.known && Math.abs(was.atMs - NOW_MS) <= 10_000);
          }
        }
      }),
      RUNS,
    );
  });

  it("is 0 only when nothing is missing, and loses its number on no way: unknown has none in it", () => {
    fc.assert(
      fc.property(fc.array(facts, { minLength: 1, maxLength: 3 }), (stores) => {
        for (const found of exposures(stores)) {
          if (found.exposureMs.known && found.exposureMs.value === 0)
            expect(found.recoveryPoint).toMatchObject({ known: true, value: { complete: true } });
          if (!found.exposureMs.known) {
            expect([
              found.recoveryPoint.known,
              found.bytes.known,
              found.business?.amount.known,
              found.business?.revenue?.amount.known,
            ]).toEqual([false, false, false, false]);
            expect(found.judgement).not.toBe("within");
          }
          for (const figureOf of [found.exposureMs, found.bytes, found.transactions, found.recoveryTimeMs, found.provenExposureMs]) {
            if (figureOf === undefined) continue;
            if (figureOf.known) expect(Number.isFinite(figureOf.value) && figureOf.value >= 0 && figureOf.errorMs >= 0).toBe(true);
            else expect(Object.keys(figureOf).sort()).toEqual(["known", "sinceMs", "why"]);
          }
          expect(JSON.parse(JSON.stringify(found))).toEqual(found);
        }
      }),
      RUNS,
    );
  });

  it("rises with time by as much as time passed, while nothing new is found", () => {
    fc.assert(
      fc.property(facts, fc.integer({ min: 0, max: 5_000 }), (one, passed) => {
        const at = (nowMs: number): ScenarioExposure[] =>
          exposureOf({ nowMs, services: { orders: { stores: [one.store], objectives } }, stores: new Map([[one.store, one]]) });
        const later = at(NOW_MS + 2_000 + passed);
        for (const [place, was] of at(NOW_MS + 2_000).entries()) {
          const is = later[place] as ScenarioExposure;
          if (!was.exposureMs.known || !is.exposureMs.known) continue;
          expect(is.exposureMs.value).toBeGreaterThanOrEqual(was.exposureMs.value);
          // A copy that was not seen for too long may have given way to another one.
          if (JSON.stringify(is.uses) !== JSON.stringify(was.uses)) continue;
          expect(is.exposureMs.value).toBeLessThanOrEqual(Math.max(1, was.exposureMs.value + passed));
        }
      }),
      RUNS,
    );
  });
});

/** Every number that a known figure holds. */
function numbersIn(value: unknown): number[] {
  if (typeof value !== "object" || value === null) return [];
  const known = (value as { known?: boolean; value?: unknown }).known === true ? [(value as { value?: unknown }).value as number] : [];
  return [...known, ...Object.values(value).flatMap(numbersIn)];
}
