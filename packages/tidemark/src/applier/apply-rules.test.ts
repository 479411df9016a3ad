import type { Epoch, Sequence, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { describe, expect, it } from "vitest";
import type { PrimaryRoute } from "../cluster/cluster-record.ts";
import { APPLY_RULES, type PartitionProgress } from "./apply-rules.ts";
import type { DatabaseIdentity } from "./database.ts";

const other = (position: number, head?: number): PartitionProgress => ({
  partition: 1,
  position: BigInt(position) as Sequence,
  head: head === undefined ? undefined : (BigInt(head) as Sequence),
});
const at = 50n as Sequence;

describe("R13: an error is final", () => {
  it("when every other partition is past it, or has nothing in hand before it, and all up to it was read", () => {
    expect(APPLY_RULES.mayJudge(at, [other(60), other(10, 51), other(10)], 50n)).toBe(true);
    expect(APPLY_RULES.mayJudge(at, [other(10, 49)], 60n)).toBe(false);
    expect(APPLY_RULES.mayJudge(at, [other(60)], 49n)).toBe(false);
  });
});

describe("R11: a barrier is a proof", () => {
  const reign = { epoch: 3 as Epoch, timeline: 2 as Timeline };
  it("while epoch, timeline and route are what they were", () => {
    const route = { before: 3 as Epoch, now: 3 as Epoch };
    expect(APPLY_RULES.barrierHolds(reign, reign, route)).toBe(true);
    expect(APPLY_RULES.barrierHolds(reign, { ...reign, epoch: 4 as Epoch }, route)).toBe(false);
    expect(APPLY_RULES.barrierHolds(reign, { ...reign, timeline: 3 as Timeline }, route)).toBe(false);
    expect(APPLY_RULES.barrierHolds(reign, reign, { before: 3 as Epoch, now: 4 as Epoch })).toBe(false);
  });
});

describe("R17: a server that answers", () => {
  const route = { systemIdentifier: "1" as SystemIdentifier, epoch: 5 as Epoch, timeline: 3 as Timeline } as PrimaryRoute;
  const identity: DatabaseIdentity = {
    inRecovery: false,
    systemIdentifier: "1" as SystemIdentifier,
    timeline: 3 as Timeline,
    newestEpoch: 5 as Epoch,
  };
  it.each<[string, Partial<DatabaseIdentity>, ReturnType<typeof APPLY_RULES.judgeIdentity>]>([
    ["is the recorded one", {}, "recorded"],
    ["is a standby", { inRecovery: true }, "not-yet"],
    ["has not written its reign yet", { newestEpoch: 4 as Epoch }, "not-yet"],
    ["knows a newer reign than the route", { newestEpoch: 6 as Epoch, timeline: 4 as Timeline }, "not-yet"],
    ["is another cluster", { systemIdentifier: "2" as SystemIdentifier }, "not-recorded"],
    ["was restored: an older reign on a timeline of its own", { newestEpoch: 4 as Epoch, timeline: 9 as Timeline }, "not-recorded"],
    ["was restored within the reign", { timeline: 9 as Timeline }, "not-recorded"],
    ["has no reign at all and another timeline", { newestEpoch: undefined, timeline: 1 as Timeline }, "not-recorded"],
  ])("that %s", (_, change, expected) => {
    expect(APPLY_RULES.judgeIdentity({ ...identity, ...change }, route)).toBe(expected);
  });
});
