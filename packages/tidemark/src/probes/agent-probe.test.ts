import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import type { AgentStatus } from "../cluster/agent-status.ts";
import { AgentProbe } from "./agent-probe.ts";
import type { PositionTimes } from "./position-times.ts";
import { HttpStandIn, json } from "./testing/http-stand-in.ts";
import { bearsItsTarget, SECRET } from "./testing/http-target-rules.ts";

const clock = new ManualClock(1_800_000_000_000);

/** Typed as what an agent answers, so that the two cannot part. */
const STATUS: AgentStatus = {
  node: "pg2",
  store: "orders",
  state: "standby",
  systemIdentifier: "7312345678901234567" as SystemIdentifier,
  epoch: 3 as Epoch,
  open: false,
  inRecovery: true,
  timeline: 2 as Timeline,
  lsn: "0/5000000",
  receivedLsn: "0/5000200",
  streaming: true,
  heldBack: false,
  atMs: 1_800_000_000_000,
  warnings: [],
};

const POSITIONS: PositionTimes = {
  newest: { lsn: 0x5000300n as Lsn, untilMs: 1_799_999_999_500 },
  timeOf: (timeline, lsn) =>
    timeline === 2 && lsn >= 0x5000100n
      ? { found: true, untilMs: 1_799_999_999_500, gapMs: 30, complete: lsn >= 0x5000300n, missingTransactions: 2 }
      : { found: false, why: "further behind" },
};

const make = (url: string): AgentProbe =>
  new AgentProbe({
    store: "orders",
    node: "pg2",
    domain: { machine: "m2" },
    target: { url: `${url}/status`, authorization: new Redacted(`Bearer ${SECRET}`) },
    positions: POSITIONS,
    clock,
  });

describe("the probe of an agent", () => {
  bearsItsTarget({ make, good: STATUS });

  let target: HttpStandIn;
  beforeEach(async () => {
    target = await HttpStandIn.start(json(STATUS));
  });
  afterEach(() => target.stop());

  const look = async (status: Partial<AgentStatus> = {}) => {
    target.answer = json({ ...STATUS, ...status });
    const reading = await make(target.url).probe(new AbortController().signal);
    if (!reading.ok) throw new Error(reading.why);
    return reading;
  };

  it("tells a standby by what it received, also when that is not replayed yet", async () => {
    const reading = await look();
    expect(reading).toMatchObject({
      store: { systemIdentifier: "7312345678901234567" },
      copies: [
        {
          name: "pg2",
          kind: "standby",
          domain: { machine: "m2" },
          recoveryPoint: {
            known: true,
            method: "position-history",
            value: { commitMs: 1_799_999_999_500, complete: false, lsn: "0/5000200", timeline: 2 },
          },
          missingBytes: { known: true, value: 256 },
          missingTransactions: { known: true, value: 2 },
          synchronous: { known: false },
          remarks: [],
        },
      ],
    });
    expect((await look({ lsn: "0/5000300" })).copies[0]?.recoveryPoint).toMatchObject({ value: { complete: true, lsn: "0/5000300" } });
  });

  it("knows no time of a position on another timeline, or that it is not told", async () => {
    const { lsn: _lsn, receivedLsn: _received, ...nowhere } = STATUS;
    for (const status of [{ ...STATUS, timeline: 1 as Timeline }, nowhere]) {
      target.answer = json(status);
      const reading = await make(target.url).probe(new AbortController().signal);
      const copy = reading.ok ? reading.copies[0] : undefined;
      expect([copy?.recoveryPoint.known, copy?.missingBytes.known, copy?.missingTransactions.known]).toEqual([false, false, false]);
    }
  });

  it("tells no copy of a primary, and none of a node that does not say whether it is one", async () => {
    expect((await look({ state: "primary", inRecovery: false, open: true })).copies).toEqual([]);
    const { inRecovery: _unsaid, ...down } = STATUS;
    target.answer = json({ ...down, state: "down" });
    const reading = await make(target.url).probe(new AbortController().signal);
    expect(reading).toMatchObject({ ok: true, copies: [] });
  });

  it("says what the node is at, and that it does not stream", async () => {
    expect((await look({ state: "revoked", streaming: false })).copies[0]?.remarks).toEqual([
      "Its node is revoked.",
      "It does not stream from the primary.",
    ]);
  });
});
