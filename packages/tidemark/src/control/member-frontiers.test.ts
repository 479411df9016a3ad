import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { describe, expect, it } from "vitest";
import type { AgentStatus } from "../cluster/agent-status.ts";
import type { Vote } from "../cluster/failover-state.ts";
import { SimulatedLeaseStore } from "../cluster/simulated/simulated-lease-store.ts";
import { sampleRecord } from "../cluster/testing/sample-record.ts";
import { MemberFrontiers, MOST_IDENTITIES, SAVE_MS } from "./member-frontiers.ts";

const status = (lsn: string, change: Partial<AgentStatus> = {}): AgentStatus => ({
  node: "v",
  store: "orders",
  state: "standby",
  open: false,
  heldBack: false,
  atMs: 0,
  warnings: [],
  inRecovery: true,
  identity: "v_1",
  timeline: 1 as Timeline,
  lsn,
  ...change,
});

const vote = (end: string, timeline = 1, identity = "v_1"): Vote => ({
  node: "v",
  identity,
  epoch: 2 as Epoch,
  timeline: timeline as Timeline,
  end,
});

function frontiers(clock = new ManualClock(), store = new SimulatedLeaseStore(clock)): MemberFrontiers {
  return new MemberFrontiers({ store, storeName: "orders", clock, logger: silentLogger });
}

describe("a member's vote (R6)", () => {
  it("is not taken when it ends before what the member had reported: its disk was set back", () => {
    const known = frontiers();
    known.heard(status("0/2000"));
    known.heard(status("0/1800"));
    expect(known.objection(sampleRecord(), vote("0/1FFF"))).toContain(
      "its data is older than it was: it ends at 0/1FFF, and had reported 0/2000",
    );
    expect(known.objection(sampleRecord(), vote("0/2000"))).toBeUndefined();
    expect(known.objection(sampleRecord(), vote("0/0", 1, "v_2"))).toBeUndefined();
  });

  it("is taken when what lies past a fork was cut, and not when more is gone (R11)", () => {
    const known = frontiers();
    known.heard(status("0/2000"));
    const record = sampleRecord({
      timeline: 2 as Timeline,
      forkedFrom: 1 as Timeline,
      forkLsn: "0/1000",
      reigns: [{ ...sampleRecord(), timeline: 1 as Timeline }],
    });
    expect(known.objection(record, vote("0/1000", 2))).toBeUndefined();
    expect(known.objection(record, vote("0/FFF", 1))).toContain("older");
    known.heard(status("0/1500", { timeline: 2 as Timeline }));
    expect(known.objection(record, vote("0/1400", 2))).toContain("older");
    // Nothing is known of a branch that is not on the line.
    known.heard(status("0/9000", { timeline: 7 as Timeline }));
    expect(known.objection(record, vote("0/1400", 2))).toBeUndefined();
  });

  it("is not judged by what the node had as a primary: that is nobody's acknowledgement", () => {
    const known = frontiers();
    known.heard(status("0/9000", { inRecovery: false }));
    expect(known.objection(sampleRecord(), vote("0/10"))).toBeUndefined();
  });

  it("is judged by what was saved after control was started again", async () => {
    const clock = new ManualClock();
    const store = new SimulatedLeaseStore(clock);
    const known = frontiers(clock, store);
    await known.load();
    const stop = new AbortController();
    const running = known.run(stop.signal);
    known.heard(status("0/2000"));
    await clock.advance(SAVE_MS);
    known.heard(status("0/3000"));
    stop.abort();
    await running;
    const next = frontiers(clock, store);
    await next.load();
    expect(next.objection(sampleRecord(), vote("0/2FFF"))).toContain("0/3000");
  });

  it("is remembered for a bounded number of identities, the newest", () => {
    const known = frontiers();
    for (let index = 0; index <= MOST_IDENTITIES; index++) known.heard(status("0/2000", { identity: `v_${index}` }));
    expect(known.objection(sampleRecord(), vote("0/1", 1, "v_0"))).toBeUndefined();
    expect(known.objection(sampleRecord(), vote("0/1", 1, `v_${MOST_IDENTITIES}`))).toBeDefined();
  });
});
