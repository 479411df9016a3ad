import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../config/config.ts";
import { testConfig } from "../gateway/testing/gateway-fixture.ts";
import { Measurement } from "./measurement.ts";

const START_MS = 1_800_000_000_000;

let folder: string;
let clock: ManualClock;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-measurement-"));
  clock = new ManualClock(START_MS);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A service on a store that nobody looks at: it has an objective, and nothing is known. */
const services: Config["services"] = {
  orders: {
    tier: "critical",
    stores: ["theirs"],
    objectives: { "node-loss": { rpoMs: 5_000, rtoMs: 60_000 } },
    target: 0.999,
    mostProofAgeMs: 86_400_000,
  },
};

function measuring(over: { vaults?: () => never[] } = {}) {
  const measurement = new Measurement({
    config: { ...testConfig({ services }), observed: { theirs: { copies: [], canary: "off" } } },
    token: new Redacted("internal"),
    files: { history: join(folder, "history.sqlite"), alerts: join(folder, "alerts.sqlite") },
    vaults: over.vaults ?? (() => []),
    audit: { append: () => Promise.resolve() },
    readSecret: () => Promise.reject(new Error("no secret is needed here")),
    environment: {},
    clock,
    random: seededRandom(3),
    logger: silentLogger,
  });
  const stop = new AbortController();
  const done = measurement.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.advance(10_000);
    await done;
  };
  return { measurement, end };
}

/** Seconds of the objective's series that the history has. */
function recorded({ measurement }: ReturnType<typeof measuring>): number {
  const name = { metric: "tidemark_objective_met", labels: { service: "orders", scenario: "node-loss" } };
  const { buckets } = measurement.history.range(name, { fromMs: START_MS, toMs: clock.wallMs() + 1_000, points: 100 });
  return buckets.reduce((sum, bucket) => sum + bucket.known + bucket.unknown, 0);
}

describe("measuring", () => {
  it("keeps each second, judges it, and shows a store without a copy as unknown and never as fine", async () => {
    const run = measuring();
    await clock.advance(8_000);
    expect(recorded(run)).toBeGreaterThanOrEqual(7);
    const nodeLoss = run.measurement.known().exposures.find(({ scenario }) => scenario === "node-loss");
    expect(nodeLoss).toMatchObject({ judgement: "unknown", exposureMs: { known: false, why: "no copy of theirs was seen" } });
    expect(run.measurement.judgement.engine.alerts().map(({ rule }) => rule)).toContain("exposure-unknown-too-long");
    expect(run.measurement.status()).toEqual({
      observer: { running: true, faults: 0 },
      judgement: { running: true, faults: 0 },
      history: { writing: true },
    });
    await run.end();
  });

  it("goes on without a history that cannot be opened, says why, and keeps figures again when it can", async () => {
    await mkdir(join(folder, "history.sqlite"));
    const run = measuring();
    await clock.advance(5_000);
    expect(run.measurement.status()).toMatchObject({
      history: { writing: false, fault: { code: "TM-HISTORY-AWAY" } },
      judgement: { running: true },
    });
    expect(run.measurement.judgement.engine.alerts()).not.toEqual([]);
    expect(() => run.measurement.history.range({ metric: "m", labels: {} }, { fromMs: 0, toMs: 1, points: 1 })).toThrow(
      expect.objectContaining({ code: "TM-HISTORY-AWAY" }) as Error,
    );
    await rm(join(folder, "history.sqlite"), { recursive: true });
    await clock.advance(40_000);
    expect(run.measurement.status().history.writing).toBe(true);
    expect(recorded(run)).toBeGreaterThan(0);
    await run.end();
  });

  it("goes on without judgement whose file cannot be opened, says why, and judges again when it can", async () => {
    await writeFile(join(folder, "alerts.sqlite"), "this is no database, and was not made by Tidemark at all ".repeat(100));
    const run = measuring();
    await clock.advance(5_000);
    expect(run.measurement.status()).toMatchObject({
      observer: { running: true },
      judgement: { running: false, fault: { code: "TM-ALERT-STORE" } },
    });
    expect(run.measurement.status().judgement.faults).toBeGreaterThanOrEqual(2);
    expect(() => run.measurement.judgement.engine).toThrow(expect.objectContaining({ code: "TM-ALERT-STORE" }) as Error);
    expect(recorded(run)).toBeGreaterThanOrEqual(4);
    await rm(join(folder, "alerts.sqlite"));
    await clock.advance(15_000);
    expect(run.measurement.judgement.engine.alerts()).not.toEqual([]);
    expect(run.measurement.status().judgement.running).toBe(true);
    await run.end();
  });

  it("starts the observer again after a fault of its own, and says when it does not measure", async () => {
    let isBroken = true;
    const run = measuring({
      vaults: () => {
        if (isBroken) throw new Error("a bug");
        return [];
      },
    });
    await clock.advance(5_000);
    expect(run.measurement.status().observer).toMatchObject({ fault: { what: "a bug" } });
    isBroken = false;
    await clock.advance(12_000);
    expect(run.measurement.status().observer.running).toBe(true);
    expect(run.measurement.judgement.engine.alerts()).not.toEqual([]);
    await run.end();
  });

  it("takes up what was judged before it was started again: no alert begins twice", async () => {
    const began = (run: ReturnType<typeof measuring>): string[] =>
      run.measurement.judgement.engine.transitions(20).flatMap(({ rule, kind }) => (rule === "exposure-unknown-too-long" ? [kind] : []));
    const first = measuring();
    await clock.advance(90_000);
    expect(began(first)).toEqual(["firing"]);
    await first.end();
    const second = measuring();
    await clock.advance(30_000);
    expect(began(second)).toEqual(["firing"]);
    await second.end();
  });

  it("judges burn rates over the time before it was started again, by the history", async () => {
    const rules = (run: ReturnType<typeof measuring>): string[] => run.measurement.judgement.engine.alerts().map(({ rule }) => rule);
    // 52 s of an hour that are not good are 14.4 times too many.
    const first = measuring();
    await clock.advance(35_000);
    expect(rules(first)).not.toContain("burn-rate-1h");
    await first.end();
    const second = measuring();
    await clock.advance(25_000);
    expect(rules(second)).toContain("burn-rate-1h");
    await second.end();
  });
});
