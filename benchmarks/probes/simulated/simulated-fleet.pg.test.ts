import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { freePort, startPrimaryWithStandby, TEST_STANDBY, type TestPair } from "@tidemark/postgres/testing/cluster-fixture";
import { CanaryProbe } from "../../../packages/tidemark/src/canary/canary-probe.ts";
import { describeProbeContract, type ProbeUnderTest } from "../../../packages/tidemark/src/probes/contract/probe-contract.ts";
import { PostgresqlProbe } from "../../../packages/tidemark/src/probes/postgresql-probe.ts";
import type { PostgresqlTarget } from "../../../packages/tidemark/src/probes/postgresql/postgresql-target.ts";
import { StoreObservation } from "../../../packages/tidemark/src/probes/store-observation.ts";
import { copy, look, soon, targetOf, valueOf, type Seen } from "../../../packages/tidemark/src/probes/testing/postgresql-looks.ts";
import { simulatedDatabase, SimulatedFleet } from "./simulated-fleet.ts";
import { tapePair } from "./tape-pair.ts";

let pair: TestPair;
let fleet: SimulatedFleet;

beforeAll(async () => {
  pair = await startPrimaryWithStandby({ synchronous: false });
  const canary = new CanaryProbe({ store: "taped", target: targetOf(pair.primary), clock: systemClock });
  await canary.ensure(soon());
  await canary.close();
  fleet = await SimulatedFleet.start(await tapePair({ primary: targetOf(pair.primary), standby: targetOf(pair.standby) }), 2);
});

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await pair.dispose();
});

const simulated = (database: string, port = fleet.ports.primary): PostgresqlTarget => ({
  host: "127.0.0.1",
  port,
  user: "probe",
  database,
  tls: "disable",
});

/** Looks at a store three times: canary, primary, standby. */
async function lookAt(targets: {
  primary: PostgresqlTarget;
  standby: PostgresqlTarget;
}): Promise<{ primary: Seen; standby: Seen; beats: number[] }> {
  const observation = new StoreObservation("taped");
  const shared = { domain: {}, observation, clock: systemClock };
  const canary = new CanaryProbe({ store: "taped", target: targets.primary, clock: systemClock });
  const primary = new PostgresqlProbe({ ...shared, name: "pg1", target: targets.primary });
  const standby = new PostgresqlProbe({ ...shared, name: "pg2", target: targets.standby });
  try {
    const beats: number[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const beat = await canary.probe(soon());
      if (!beat.ok) throw new Error(beat.why);
      beats.push(valueOf(beat.figures["canary_sequence"]));
    }
    await look(primary);
    return { standby: await look(standby), primary: await look(primary), beats };
  } finally {
    for (const probe of [canary, primary, standby]) await probe.close();
  }
}

/** Names, kinds and whether a value is known; not the values, nor by which of several methods they were come by. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== "method" && name !== "sequence")
      .map(([name, inner]) => [name, name === "known" || name === "kind" || name === "name" ? inner : shapeOf(inner)]),
  );
}

describe("a simulated store", () => {
  it("is read by the probes as the real pair is from which it was taped", async () => {
    const real = await lookAt({ primary: targetOf(pair.primary), standby: targetOf(pair.standby) });
    const other = await lookAt({
      primary: simulated(simulatedDatabase(1, "primary")),
      standby: simulated(simulatedDatabase(1, "standby")),
    });
    expect(shapeOf(other.primary)).toEqual(shapeOf(real.primary));
    expect(shapeOf(other.standby)).toEqual(shapeOf(real.standby));
    for (const node of ["primary", "standby"] as const) {
      const { systemIdentifier: _of, ...settings } = other[node].details.settings;
      expect(real[node].details.settings).toMatchObject(settings);
    }
    expect(real.beats.map((beat) => beat - (real.beats[0] ?? 0))).toEqual([0, 1, 2]);
    expect(other.beats.map((beat) => beat - (other.beats[0] ?? 0))).toEqual([0, 1, 2]);
  });

  it("goes on writing, with its standby a little behind", async () => {
    const target = (role: "primary" | "standby"): PostgresqlTarget => simulated(simulatedDatabase(1, role));
    const first = await lookAt({ primary: target("primary"), standby: target("standby") });
    await expect
      .poll(async () => (await lookAt({ primary: target("primary"), standby: target("standby") })).primary.details.primary?.flushLsn)
      .toBeGreaterThan(first.primary.details.primary?.flushLsn ?? 0n);
    expect(valueOf(copy(first.primary, TEST_STANDBY).recoveryPoint).commitMs).toBeLessThanOrEqual(systemClock.wallMs());
  });
});

const alone = (database: string, port?: number): ProbeUnderTest => ({
  probe: new PostgresqlProbe({
    name: "pg1",
    domain: {},
    target: simulated(database, port),
    observation: new StoreObservation("taped"),
    clock: systemClock,
  }),
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

describeProbeContract("a simulated primary", {
  targets: {
    well: () => Promise.resolve(alone(simulatedDatabase(0, "primary"))),
    down: async () => alone(simulatedDatabase(0, "primary"), await freePort()),
    denied: () => Promise.resolve(alone("nobody")),
    slow: "cannot happen",
    version: "cannot happen",
    garbage: "cannot happen",
  },
  secrets: [],
});
