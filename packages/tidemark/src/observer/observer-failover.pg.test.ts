// What is measured across a failover of a real stack: a new timeline, on which positions begin anew, is no error and no exposure that stays.
import { afterEach, expect, it } from "vitest";
import { ClusterStack, STORE } from "../cluster/testing/cluster-stack.ts";
import type { Config } from "../config/config.ts";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { CopyFacts, StoreFacts } from "../probes/probe-result.ts";

let stack: ClusterStack | undefined;

afterEach(async () => {
  await stack?.dispose();
  stack = undefined;
});

const measured: Pick<Config, "services" | "alerts"> = {
  services: {
    orders: {
      tier: "critical",
      stores: [STORE],
      objectives: { "process-loss": { rpoMs: 5_000, rtoMs: 60_000 } },
      target: 0.999,
      mostProofAgeMs: 86_400_000,
    },
  },
  alerts: { receivers: [], rules: {}, runbooks: "docs/runbooks" },
};

async function copies(cluster: ClusterStack): Promise<StoreFacts> {
  const { body } = await cluster.ask(cluster.config.control.port, "/v1/copies");
  const [facts] = (body as { stores: StoreFacts[] }).stores;
  if (facts === undefined) throw new Error("nothing is known yet");
  return facts;
}

async function exposure(cluster: ClusterStack): Promise<ScenarioExposure | undefined> {
  const { body } = await cluster.ask(cluster.config.control.port, "/v1/exposure?scenario=process-loss");
  return (body as { exposures: ScenarioExposure[] }).exposures[0];
}

const named = (facts: StoreFacts, name: string): CopyFacts | undefined => facts.copies.find((copy) => copy.name === name);

const isWhole = (copy: CopyFacts | undefined, timeline: number): boolean =>
  copy?.recoveryPoint.known === true && copy.recoveryPoint.value.complete && copy.recoveryPoint.value.timeline === timeline;

it(
  "follows the new primary, writes its canary there, and comes back to 0 once the old one is a standby",
  { timeout: 600_000 },
  async () => {
    // Patient: what a busy machine looks like to a quick one would be another failover.
    const cluster = await ClusterStack.make({
      measured,
      policy: { kind: "available" },
      failover: { suspectAfterMs: 8_000, leaseMs: 16_000 },
    });
    stack = cluster;
    await cluster.startAll();
    const before = await cluster.synchronous(180_000);
    const standby = cluster.store.nodes.find(({ name }) => name !== before.node)?.name ?? "";
    const whole = await cluster.until(
      "the standby lacks nothing",
      () => copies(cluster),
      // The set may change while the machine is busy, and change back.
      (facts) => {
        const copy = named(facts, standby);
        const isCanary = facts.newestCommit.known && facts.newestCommit.method === "canary";
        return isCanary && isWhole(copy, before.timeline) && copy?.synchronous.known === true && copy.synchronous.value;
      },
      180_000,
    );
    expect(named(whole, before.node)?.kind).toBe("primary");
    expect(named(whole, standby)?.kind).toBe("standby");

    await cluster.signal(before.node, "SIGKILL");
    await cluster.signalPostgres(before.node, "SIGKILL");
    const after = await cluster.openRoute(before, 180_000);
    expect(after.node).toBe(standby);
    const alone = await cluster.until(
      "the canary is written on the new primary",
      () => copies(cluster),
      (facts) =>
        named(facts, standby)?.kind === "primary" &&
        facts.newestCommit.known &&
        facts.newestCommit.method === "canary" &&
        facts.newestCommit.value.timeline === after.timeline,
      180_000,
    );
    // The old one is known to be none: nothing says how far it is, and nothing says 0.
    expect(named(alone, before.node)?.kind).toBe("standby");
    expect(await exposure(cluster)).toMatchObject({
      judgement: "within",
      exposureMs: { known: true, value: 0 },
      uses: [{ copy: standby }],
    });

    await cluster.start(before.node);
    const back = await cluster.until(
      "the old primary lacks nothing of the new timeline",
      () => copies(cluster),
      (facts) => isWhole(named(facts, before.node), after.timeline),
      120_000,
    );
    expect(back.copies.map(({ name }) => name).toSorted()).toEqual(["pg1", "pg2"]);
    expect(named(back, standby)?.kind).toBe("primary");
  },
);
