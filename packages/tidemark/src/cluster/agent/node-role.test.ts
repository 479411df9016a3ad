import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { describe, expect, it } from "vitest";
import { sampleRecord } from "../testing/sample-record.ts";
import type { LocalNode, RoleInput } from "./node-role.ts";
import { decideRole } from "./node-role.ts";

const e = (epoch: number): Epoch => epoch as Epoch;
const record = sampleRecord({
  epoch: e(3),
  primary: "a",
  timeline: 2 as Timeline,
  forkLsn: "0/3000",
  forkedFrom: 1 as Timeline,
  reigns: [{ epoch: e(1), primary: "s", timeline: 1 as Timeline, forkLsn: "0/0", beganAtMs: 0 }],
});
const claimed = { ...record, claim: { epoch: e(4), coordinator: "c", reason: "", claimedAtMs: 0 } };

function local(change: Partial<LocalNode> = {}): LocalNode {
  return {
    data: "present",
    systemIdentifier: record.systemIdentifier,
    bootstrapping: false,
    heldBack: false,
    server: "stopped",
    markedStandby: false,
    ...change,
  };
}

function decide(node: string, change: Partial<Omit<RoleInput, "node">>): string {
  const action = decideRole({ node, isFirst: node === "a", record, confirmed: true, local: local(), restartAfterMs: 2_000, ...change });
  return action.kind === "start-standby" ? `start-standby${action.follow ? " following" : ""}` : action.kind;
}

const standby = (change: Partial<LocalNode> = {}): LocalNode => local({ server: "running", inRecovery: true, follows: "3/a", ...change });

describe("what a node does", () => {
  it("makes the cluster only as the first node, without data, and when the lease store itself said that there is none", () => {
    const none = { record: undefined, local: local({ data: "absent" }) };
    expect(decide("a", none)).toBe("bootstrap");
    expect(decide("s", none)).toBe("wait");
    expect(decide("a", { ...none, confirmed: false })).toBe("wait");
  });

  it("never makes a new cluster over data that exists (R7), but for its own half-made one", () => {
    expect(decide("a", { record: undefined })).toBe("refuse");
    expect(decide("s", { record: undefined })).toBe("refuse");
    expect(decide("a", { record: undefined, local: local({ bootstrapping: true }) })).toBe("discard-half-made");
  });

  it("touches no data of another cluster (trap 9)", () => {
    expect(decide("a", { local: local({ systemIdentifier: "1" as SystemIdentifier }) })).toBe("refuse");
    expect(decide("s", { local: local({ systemIdentifier: "1" as SystemIdentifier }) })).toBe("refuse");
  });

  it("starts as a primary only when the lease store confirmed the reign in this very decision (trap 30)", () => {
    expect(decide("a", { confirmed: true })).toBe("start-primary");
    expect(decide("a", { confirmed: false })).toBe("wait");
    expect(decide("a", { record: claimed })).toBe("wait");
    expect(decide("s", {})).toBe("start-standby following");
  });

  it("does not start as a primary of an epoch below its promise, whatever an old answer says", () => {
    expect(decide("a", { local: local({ promised: e(4) }) })).toBe("wait");
    expect(decide("a", { local: local({ promised: e(3) }) })).toBe("start-primary");
  });

  it("gives others the time for a claim before it starts again after a crash", () => {
    expect(decide("a", { local: local({ crashedForMs: 1_999 }) })).toBe("wait");
    expect(decide("a", { local: local({ crashedForMs: 2_000 }) })).toBe("start-primary");
  });

  it("finishes a promotion that was recorded and interrupted, and never starts on the old timeline instead (R2)", () => {
    expect(decide("a", { local: standby() })).toBe("finish-promotion");
    expect(decide("a", { local: standby(), record: claimed })).toBe("wait");
    expect(decide("a", { local: local({ markedStandby: true }) })).toBe("start-standby");
  });

  it("stops a primary that is not the recorded one", () => {
    expect(decide("s", { local: local({ server: "running", inRecovery: false }) })).toBe("demote");
    expect(decide("s", { local: local({ server: "running", inRecovery: false }), record: claimed })).toBe("demote");
  });

  it("clones when there is no data, but not while a claim is open", () => {
    expect(decide("s", { local: local({ data: "absent" }) })).toBe("clone");
    expect(decide("s", { local: local({ data: "absent" }), record: claimed })).toBe("wait");
    expect(decide("a", { local: local({ data: "absent" }) })).toBe("wait");
  });

  it("writes no connection settings while it has promised itself to an open claim (R3)", () => {
    const promised = standby({ promised: e(4), follows: "nobody" });
    expect(decide("s", { local: promised, record: claimed })).toBe("be-standby");
    // The claim was decided otherwise: the incumbent again, at the promised epoch.
    expect(decide("s", { local: promised, record: { ...record, epoch: e(4) } })).toBe("follow");
    expect(decide("s", { local: promised })).toBe("be-standby");
    expect(decide("s", { local: local({ promised: e(4) }), record: claimed })).toBe("start-standby");
  });

  it("follows the new primary of a new epoch, and stays with the one it follows", () => {
    expect(decide("s", { local: standby({ follows: "2/a" }) })).toBe("follow");
    expect(decide("s", { local: standby() })).toBe("be-standby");
    expect(decide("s", { local: standby({ follows: "2/a" }), record: { ...claimed } })).toBe("follow");
  });

  it("clones again when its data left the recorded line (R2), and not when it is only behind", () => {
    const at = (timeline: number, lsn: string): LocalNode => standby({ timeline: timeline as Timeline, replayed: parseLsn(lsn) });
    expect(decide("s", { local: at(1, "0/3001") })).toBe("clone-again");
    expect(decide("s", { local: at(1, "0/3000") })).toBe("be-standby");
    expect(decide("s", { local: at(2, "0/9000") })).toBe("be-standby");
    expect(decide("s", { local: at(7, "0/1000") })).toBe("clone-again");
    expect(decide("s", { local: at(1, "0/3001"), record: claimed })).toBe("wait");
  });

  it("receives nothing while it is held back", () => {
    expect(decide("s", { local: local({ heldBack: true }) })).toBe("start-standby");
    expect(decide("s", { local: standby({ heldBack: true }) })).toBe("follow-nobody");
    expect(decide("s", { local: standby({ heldBack: true, follows: "nobody" }) })).toBe("be-standby");
  });
});
