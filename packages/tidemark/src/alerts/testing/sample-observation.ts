// Plain facts for the tests of judgement.
import type { ScenarioExposure } from "../../exposure/exposure.ts";
import type { Scenario } from "../../objectives/failure-domain.ts";
import type { CopyFacts, StoreFacts } from "../../probes/probe-result.ts";
import { known, unknown } from "../../probes/probe-result.ts";

export interface SampleExposure {
  readonly service?: string;
  readonly scenario?: Scenario;
  /** Absent: not known. */
  readonly exposureMs?: number;
  /** Absent: no objective. */
  readonly rpoMs?: number;
  readonly rtoMs?: number;
  readonly recoveryTimeMs?: number;
  readonly atMs?: number;
  /** Since when it is not known. */
  readonly unknownSinceMs?: number;
}

export function exposureOfTest(sample: SampleExposure): ScenarioExposure {
  const measured = { atMs: sample.atMs ?? 0, method: "canary" as const, errorMs: 5 };
  const { exposureMs, rpoMs } = sample;
  const nothing = unknown<never>("not asked", 0);
  return {
    service: sample.service ?? "orders",
    scenario: sample.scenario ?? "node-loss",
    ...(rpoMs === undefined ? {} : { objective: { rpoMs, rtoMs: sample.rtoMs ?? 300_000 } }),
    recoveryPoint: nothing,
    exposureMs:
      exposureMs === undefined
        ? unknown("the standby does not answer", sample.unknownSinceMs ?? sample.atMs ?? 0)
        : known(exposureMs, measured),
    bytes: nothing,
    transactions: nothing,
    uses: [{ store: "orders-db", copy: "pg2", proven: true }],
    recoveryTimeMs: sample.recoveryTimeMs === undefined ? nothing : known(sample.recoveryTimeMs, measured),
    judgement: rpoMs === undefined ? "no-objective" : exposureMs === undefined ? "unknown" : exposureMs <= rpoMs ? "within" : "above",
    notCovered: [],
  };
}

export function copyOfTest(over: Partial<CopyFacts> & { readonly name: string }): CopyFacts {
  const at = { atMs: 0, method: "canary" as const, errorMs: 5 };
  return {
    kind: "standby",
    domain: { machine: over.name },
    recoveryPoint: known({ commitMs: 0, complete: true }, at),
    missingBytes: known(0, at),
    missingTransactions: known(0, at),
    synchronous: known(true, at),
    remarks: [],
    ...over,
  };
}

export function storeOfTest(over: Partial<StoreFacts> = {}): StoreFacts {
  const at = { atMs: 0, method: "reported" as const, errorMs: 5 };
  return {
    store: "orders-db",
    atMs: 0,
    newestCommit: known({ commitMs: 0 }, at),
    commitRate: known(1, at),
    copies: [copyOfTest({ name: "pg1", kind: "primary" }), copyOfTest({ name: "pg2" })],
    ...over,
  };
}
