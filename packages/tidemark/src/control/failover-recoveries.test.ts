import { describe, expect, it } from "vitest";
import type { Config, ServiceConfig } from "../config/config.ts";
import { recoverySamples } from "../metrics/metric-samples.ts";
import { recoveryQuality } from "../slo/recovery-event.ts";
import type { FailoverEvent } from "./failover-history.ts";
import { lastRecoveries, proofsOf, recoveriesOf } from "./failover-recoveries.ts";

const service = (stores: string[], objectives: ServiceConfig["objectives"]): ServiceConfig => ({
  tier: "critical",
  stores,
  objectives,
  target: 0.999,
  mostProofAgeMs: 1,
});
const config: Pick<Config, "services"> = {
  services: {
    orders: service(["db"], { "node-loss": { rpoMs: 1_000, rtoMs: 10_000 }, "process-loss": { rpoMs: 0, rtoMs: 5_000 } }),
    small: service(["db"], { "process-loss": { rpoMs: 0, rtoMs: 5_000 } }),
    reports: service(["db"], { "bad-write": { rpoMs: 0, rtoMs: 5_000 } }),
    elsewhere: service(["other"], { "node-loss": { rpoMs: 0, rtoMs: 1 } }),
  },
};
const failover: FailoverEvent = { kind: "failover", atMs: 5, epoch: 2, from: "pg1", to: "pg2", reason: "it ended", totalMs: 2_500 };
const loss = { candidate: "pg2", acceptedBy: "policy available", reason: "no other copy", statedAtMs: 4 };

function recovered(...events: FailoverEvent[]): ReturnType<typeof recoveriesOf> {
  return recoveriesOf(config, new Map([["db", events]]));
}

describe("failovers as recoveries", () => {
  it("count for each service on the store that demands something of such an accident", () => {
    expect(recovered(failover).map((one) => [one.service, one.scenario])).toEqual([
      ["orders", "node-loss"],
      ["small", "process-loss"],
    ]);
    expect(recovered({ ...failover, kind: "re-election" }).map((one) => [one.service, one.scenario])).toEqual([
      ["orders", "process-loss"],
      ["small", "process-loss"],
    ]);
    expect(recovered({ ...failover, kind: "blocked" }, { ...failover, kind: "set" })).toEqual([]);
  });

  it("lost nothing without a stated loss, and what was stated with one", () => {
    const [first] = recovered(failover);
    expect(first).toMatchObject({
      lostMs: { known: true, value: 0 },
      lostTransactions: { known: true, value: 0 },
      tookMs: { value: 2_500 },
    });
    const [stated] = recovered({ ...failover, loss: { ...loss, bytes: 7, exposureMs: 1_500, reportAgeMs: 250 } });
    expect(stated).toMatchObject({ lostMs: { value: 1_500, errorMs: 250 }, lostTransactions: { known: false } });
    expect(stated === undefined ? undefined : recoveryQuality(stated)).toBe("lost-too-much");
  });

  it("are unknown where nobody could say, and then there is no sample", () => {
    const { totalMs: _, ...short } = failover;
    const [one] = recovered({ ...short, loss });
    expect([one?.lostMs.known, one?.tookMs.known]).toEqual([false, false]);
    expect(recoverySamples(one === undefined ? [] : [one])).toEqual([]);
  });

  it("are told by the last one of each service and scenario", () => {
    const last = lastRecoveries(
      recovered({ ...failover, atMs: 9, totalMs: 1_000 }, failover, { ...failover, atMs: 7, kind: "re-election" }),
    );
    expect(recoverySamples(last).filter(({ name }) => name === "tidemark_incident_recovery_seconds")).toMatchObject([
      { labels: { service: "orders", scenario: "node-loss", exercise: "false" }, value: 1 },
      { labels: { service: "small", scenario: "process-loss" }, value: 1 },
      { labels: { service: "orders", scenario: "process-loss" }, value: 2.5 },
    ]);
  });
});

describe("failovers as proofs of a copy", () => {
  it("are of the copy that was promoted, the newest one, and only where nothing was lost", () => {
    expect(
      proofsOf([
        failover,
        { ...failover, atMs: 9, totalMs: 700 },
        { ...failover, atMs: 7, totalMs: 800 },
        { ...failover, atMs: 11, to: "pg3", loss },
        { ...failover, atMs: 12, kind: "re-election", to: "pg1" },
      ]),
    ).toEqual(new Map([["pg2", { atMs: 9, tookMs: 700 }]]));
  });
});
