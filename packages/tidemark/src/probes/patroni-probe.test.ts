// Against a stand-in that answers in the form that Patroni's documentation of its REST API shows (`GET /cluster`, versions 3 and 4):
// no real Patroni runs here.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { PatroniProbe } from "./patroni-probe.ts";
import { HttpStandIn, json } from "./testing/http-stand-in.ts";
import { bearsItsTarget, SECRET } from "./testing/http-target-rules.ts";

const clock = new ManualClock(1_800_000_000_000);
const member = (name: string, role: string, extra: object = {}) => ({
  name,
  role,
  state: "streaming",
  api_url: `http://10.0.0.1:8008/patroni`,
  host: "10.0.0.1",
  port: 5432,
  timeline: 5,
  ...extra,
});
const LEADER = member("pg1", "leader", { state: "running" });
const REPLICA = member("pg2", "replica", { lag: 4_096 });
const cluster = (...members: object[]) => ({ members, scope: "demo" });

const make = (url: string): PatroniProbe =>
  new PatroniProbe({
    store: "orders",
    cluster: "demo",
    domains: { pg2: { zone: "b" } },
    target: { url, authorization: new Redacted(`Basic ${SECRET}`) },
    clock,
  });

describe("the probe of Patroni", () => {
  bearsItsTarget({ make, good: cluster(LEADER, REPLICA), counts: ["patroni_leaders"] });

  let target: HttpStandIn;
  beforeEach(async () => {
    target = await HttpStandIn.start();
  });
  afterEach(() => target.stop());
  const look = async (...members: object[]) => {
    target.answer = json(cluster(...members));
    const reading = await make(target.url).probe(new AbortController().signal);
    if (!reading.ok) throw new Error(reading.why);
    return reading;
  };

  it("tells a standby's lag in bytes with the time that Patroni keeps it as error bound, and no recovery point", async () => {
    const reading = await look(LEADER, REPLICA);
    expect(reading).toMatchObject({
      copies: [
        {
          name: "pg2",
          kind: "standby",
          domain: { zone: "b" },
          recoveryPoint: { known: false, why: "Patroni tells bytes, and no time" },
          missingBytes: { known: true, value: 4_096 },
          missingTransactions: { known: false },
          synchronous: { known: true, value: false },
        },
      ],
      figures: { patroni_members: { value: 2 }, patroni_leaders: { value: 1 }, patroni_timeline: { value: 5 } },
    });
    const bytes = reading.copies[0]?.missingBytes;
    expect(bytes?.known === true && bytes.errorMs).toBeGreaterThanOrEqual(30_000);
    expect(reading.copies[0]?.remarks[0]).toMatch(/once per loop/);
  });

  it("does not know a lag that Patroni does not know, or without one leader", async () => {
    const { lag: _lag, ...silent } = REPLICA as { lag?: number };
    for (const members of [
      [LEADER, { ...REPLICA, lag: "unknown" }],
      [LEADER, silent],
      [REPLICA],
      [LEADER, { ...LEADER, name: "pg3" }, REPLICA],
    ]) {
      const { copies } = await look(...members);
      expect(copies.find(({ name }) => name === "pg2")?.missingBytes).toMatchObject({ known: false });
    }
  });

  it("knows of a synchronous standby that acknowledgements wait for it, and not of one of a quorum", async () => {
    const { copies } = await look(LEADER, { ...REPLICA, role: "sync_standby" }, { ...REPLICA, name: "pg3", role: "quorum_standby" });
    expect(copies.map(({ synchronous }) => (synchronous.known ? synchronous.value : "unknown"))).toEqual([true, "unknown"]);
  });

  it("says that a member does not run, and that it is on another timeline than its leader", async () => {
    const { copies } = await look(LEADER, { ...REPLICA, state: "start failed", timeline: 4 });
    expect(copies[0]?.remarks.slice(1)).toEqual(["Patroni says that it does not run.", "It is on timeline 4, its leader on 5."]);
  });

  it("takes a member with an odd name for garbage", async () => {
    target.answer = json(cluster(LEADER, { ...REPLICA, name: "pg2\n" + SECRET }));
    const reading = await make(target.url).probe(new AbortController().signal);
    expect(reading).toMatchObject({ ok: false, code: "TM-PROBE-GARBAGE" });
    expect(JSON.stringify(reading)).not.toContain(SECRET);
  });
});
