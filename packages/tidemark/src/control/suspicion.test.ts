import { describe, expect, it } from "vitest";
import type { Epoch } from "@tidemark/kernel/brands";
import type { AgentStatus } from "../cluster/agent-status.ts";
import { sampleRecord } from "../cluster/testing/sample-record.ts";
import type { Heard, SuspicionInput } from "./suspicion.ts";
import { couldVote, suspect } from "./suspicion.ts";

const heard = (ageMs: number, change: Partial<AgentStatus> = {}): Heard => ({
  ageMs,
  status: {
    node: "a",
    store: "orders",
    state: "primary",
    open: true,
    heldBack: false,
    atMs: 0,
    warnings: [],
    identity: "a_1",
    inRecovery: false,
    epoch: 1 as Epoch,
    ...change,
  },
});

function input(change: Partial<SuspicionInput>): SuspicionInput {
  return {
    record: sampleRecord(),
    primary: heard(100),
    listeningMs: 60_000,
    unansweredMs: undefined,
    leaseMs: 5_000,
    suspectAfterMs: 2_000,
    ...change,
  };
}

describe("suspicion", () => {
  it("has none of a primary whose agent speaks", () => {
    expect(suspect(input({}))).toEqual({ kind: "none" });
    expect(suspect(input({ primary: heard(4_999) }))).toEqual({ kind: "none" });
  });

  it("believes the agent that says that PostgreSQL ended, or does not answer, at once", () => {
    expect(suspect(input({ primary: heard(0, { state: "down" }) })).kind).toBe("suspected");
    expect(suspect(input({ primary: heard(0, { state: "unresponsive" }) })).kind).toBe("suspected");
  });

  it("does not suspect one that was asked to stop, or is starting", () => {
    expect(suspect(input({ primary: heard(0, { state: "stopping" }) })).kind).toBe("none");
    expect(suspect(input({ primary: heard(0, { state: "starting" }) })).kind).toBe("none");
  });

  it("asks PostgreSQL itself when the agent is silent, and suspects only when that does not answer either", () => {
    expect(suspect(input({ primary: heard(5_000) }))).toEqual({ kind: "ask" });
    expect(suspect(input({ primary: heard(60_000), unansweredMs: 0 }))).toEqual({ kind: "ask" });
    expect(suspect(input({ primary: heard(60_000), unansweredMs: 1_999 }))).toEqual({ kind: "ask" });
    expect(suspect(input({ primary: heard(60_000), unansweredMs: 2_000 })).kind).toBe("suspected");
  });

  it("waits for first heartbeats after it started itself", () => {
    expect(suspect(input({ primary: undefined, listeningMs: 4_999 }))).toEqual({ kind: "none" });
    expect(suspect(input({ primary: undefined, listeningMs: 5_000 }))).toEqual({ kind: "ask" });
  });

  it("suspects a recorded primary without data, once its agent knows the record", () => {
    const { identity: _none, ...status } = heard(0, { state: "waiting" }).status;
    expect(suspect(input({ primary: { ageMs: 0, status } })).kind).toBe("suspected");
    expect(suspect(input({ primary: { ageMs: 0, status: { ...status, epoch: 0 as Epoch } } })).kind).toBe("none");
  });

  it("counts on the vote of a standby that spoke of late", () => {
    expect(couldVote(heard(100, { state: "standby", inRecovery: true }), 5_000)).toBe(true);
    expect(couldVote(heard(5_000, { state: "standby", inRecovery: true }), 5_000)).toBe(false);
    expect(couldVote(heard(100, { state: "stopping", inRecovery: true }), 5_000)).toBe(false);
    expect(couldVote(heard(100), 5_000)).toBe(false);
    expect(couldVote(undefined, 5_000)).toBe(false);
  });
});
