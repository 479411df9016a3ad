import { describe, expect, it } from "vitest";
import type { MemberStatus } from "../agent-status.ts";
import { ReplyClock } from "./reply-clock.ts";

const member = (replyTime: string | null, pid = 1, identity = "pg2_1"): MemberStatus => ({
  identity,
  pid,
  state: "streaming",
  syncState: "quorum",
  syncPriority: 1,
  replyTime,
});

describe("when a receiver was last heard", () => {
  it("is when its newest reply was first seen, whatever its clock says", () => {
    const clock = new ReplyClock();
    expect(clock.heardMs(member("2026-01-01 00:00:00"), 1_000)).toBe(1_000);
    expect(clock.heardMs(member("2026-01-01 00:00:00"), 3_000)).toBe(1_000);
    expect(clock.heardMs(member("1999-01-01 00:00:00"), 3_250)).toBe(3_250);
    expect(clock.heardMs(member("1999-01-01 00:00:00"), 9_000)).toBe(3_250);
  });

  it("is now for a new connection, and for one that has not replied yet from when it was first seen", () => {
    const clock = new ReplyClock();
    expect(clock.heardMs(member(null), 1_000)).toBe(1_000);
    expect(clock.heardMs(member(null), 2_000)).toBe(1_000);
    expect(clock.heardMs(member(null, 2), 2_500)).toBe(2_500);
  });

  it("is forgotten for those that were heard longest ago, so that memory has a bound", () => {
    const clock = new ReplyClock();
    clock.heardMs(member("a", 1, "first"), 1);
    for (let index = 0; index < 64; index++) clock.heardMs(member("a", 1, `other-${index}`), 2);
    expect(clock.heardMs(member("a", 1, "other-0"), 5)).toBe(2);
    expect(clock.heardMs(member("a", 1, "first"), 5)).toBe(5);
  });
});
