import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { parseLsn } from "@tidemark/kernel/lsn";
import { describe, expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import type { AgentStatus } from "../cluster/agent-status.ts";
import { AgentRegistry } from "./agent-registry.ts";

const status = (lsn: string, timeline = 1): AgentStatus => ({
  node: "a",
  store: "orders",
  state: "primary",
  open: true,
  heldBack: false,
  atMs: 0,
  warnings: [],
  inRecovery: false,
  lsn,
  timeline: timeline as Timeline,
});

describe("the stated loss", () => {
  it("is what the old primary reported beyond the candidate, since when, with the age of the report", async () => {
    const clock = new ManualClock();
    const registry = new AgentRegistry(clock);
    for (const lsn of ["0/100", "0/200", "0/300", "0/400"]) {
      registry.heartbeat(status(lsn));
      await clock.advance(250);
    }
    await clock.advance(100);
    // The candidate covers the report of 0/200, 850 ms ago.
    expect(registry.estimate("a", 1, parseLsn("0/280"))).toEqual({ bytes: 0x400 - 0x280, exposureMs: 850, reportAgeMs: 350 });
  });

  it("has an error bound also when nothing is known to be missing", async () => {
    const clock = new ManualClock();
    const registry = new AgentRegistry(clock);
    registry.heartbeat(status("0/100"));
    await clock.advance(200);
    expect(registry.estimate("a", 1, parseLsn("0/100"))).toEqual({ bytes: 0, exposureMs: 200, reportAgeMs: 200 });
  });

  it("is unknown, never zero, where nothing was reported, or of another timeline alone (R11)", () => {
    const registry = new AgentRegistry(new ManualClock());
    expect(registry.estimate("a", 1, parseLsn("0/100"))).toEqual({});
    registry.heartbeat(status("0/500", 2));
    expect(registry.estimate("a", 1, parseLsn("0/100"))).toEqual({});
  });

  it("does not say since when, where the candidate was behind from the first report on", () => {
    const registry = new AgentRegistry(new ManualClock());
    registry.heartbeat(status("0/500"));
    expect(registry.estimate("a", 1, parseLsn("0/100"))).toEqual({ bytes: 0x400, reportAgeMs: 0 });
  });
});
