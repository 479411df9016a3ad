// Facts of copies for tests: a primary, and what else a test names.
import type { Timeline } from "@tidemark/kernel/brands";
import type { CopyFacts, Figure, Method, RecoveryPoint, StoreFacts } from "../../probes/probe-result.ts";
import { known, unknown } from "../../probes/probe-result.ts";
import type { ScenarioExposure } from "../exposure.ts";
import type { Scenario } from "../../objectives/failure-domain.ts";
import type { ServiceObjectives } from "../exposure-of.ts";
import { exposureOf } from "../exposure-of.ts";

/** Now, in these tests: the observer's wall time, milliseconds. */
export const NOW_MS = 1_800_000_000_000;

export const HOUR_MS = 3_600_000;

export const never = unknown<never>("it does not answer", NOW_MS - 30_000);

/** Measured at `NOW_MS` with an error of 5 ms. */
export function measured<T>(value: T, method: Method = "canary", errorMs = 5): Figure<T> {
  return known(value, { atMs: NOW_MS, method, errorMs });
}

/** A recovery point so many milliseconds behind; 0: nothing is missing. */
export function behind(ms: number, options: { method?: Method; timeline?: number } = {}): Figure<RecoveryPoint> {
  const timeline = options.timeline === undefined ? {} : { timeline: options.timeline as Timeline };
  return measured({ commitMs: NOW_MS - ms, complete: ms === 0, ...timeline }, options.method);
}

export function copy(over: Partial<CopyFacts> & { readonly name: string }): CopyFacts {
  return {
    kind: "standby",
    domain: { process: over.name, machine: over.name },
    recoveryPoint: behind(0),
    missingBytes: measured(0),
    missingTransactions: measured(0),
    synchronous: measured(true),
    remarks: [],
    ...over,
  };
}

export function primary(over: Partial<CopyFacts> = {}): CopyFacts {
  return copy({
    name: "pg1",
    kind: "primary",
    domain: { process: "pg1", machine: "m1", zone: "a", region: "eu", account: "main" },
    ...over,
  });
}

export function store(copies: readonly CopyFacts[], over: Partial<StoreFacts> = {}): StoreFacts {
  return {
    store: "db",
    atMs: NOW_MS,
    newestCommit: measured({ commitMs: NOW_MS }),
    clockOffset: measured(0),
    commitRate: measured(100),
    copies,
    ...over,
  };
}

/** The exposure of one service in one scenario. */
export function exposed(scenario: Scenario, stores: readonly StoreFacts[], over: Partial<ServiceObjectives> = {}): ScenarioExposure {
  const all = exposureOf({
    nowMs: NOW_MS,
    services: { orders: { stores: stores.map((one) => one.store), objectives: {}, ...over } },
    stores: new Map(stores.map((one) => [one.store, one])),
  });
  const found = all.find((one) => one.scenario === scenario);
  if (found === undefined) throw new Error(`no exposure for ${scenario}`);
  return found;
}

/** The number, or that there is none. */
export function valueOf(figure: Figure<number>): number | "unknown" {
  return figure.known ? figure.value : "unknown";
}
