import { describe, expect, it } from "vitest";
import type { SynchronousSet } from "./cluster-record.ts";
import { ASYNCHRONOUS_SET, CLOSED_SET, judge, kindOf, sameSet, votesNeeded } from "./quorum.ts";

const set = (required: number, ...names: string[]): SynchronousSet => ({
  required,
  members: names.map((name) => ({ node: name, identity: name })),
});

/** Every choice of some of `items`. */
function subsets<T>(items: readonly T[]): T[][] {
  return Array.from({ length: 2 ** items.length }, (_, bits) => items.filter((_item, index) => (bits >> index) % 2 === 1));
}

describe("counting votes", () => {
  it("needs n−k+1 of n", () => {
    expect(votesNeeded(set(1, "s"))).toBe(1);
    expect(votesNeeded(set(1, "s", "v"))).toBe(2);
    expect(votesNeeded(set(2, "s", "v"))).toBe(1);
    expect(votesNeeded(set(2, "a", "b", "c"))).toBe(2);
  });

  it("is right: every revocation meets every acknowledgement, and one vote fewer would not (all sets up to 6 members)", () => {
    for (let n = 1; n <= 6; n++) {
      const names = Array.from({ length: n }, (_, index) => `m${index}`);
      for (let k = 1; k <= n; k++) {
        const recorded = set(k, ...names);
        const acknowledging = subsets(names).filter((some) => some.length === k);
        for (const votes of subsets(names)) {
          const meetsAll = acknowledging.every((some) => some.some((name) => votes.includes(name)));
          expect(judge([recorded], new Set(votes)).revoked).toBe(meetsAll);
        }
      }
    }
  });

  it("demands the votes of both sets of a change (R1)", () => {
    const both = [set(1, "s", "v"), set(1, "s")];
    expect(judge(both, new Set(["s"])).revoked).toBe(false);
    expect(judge(both, new Set(["s"])).missing).toEqual([1, 0]);
    expect(judge(both, new Set(["s", "v"])).covered).toBe(true);
  });

  it("does not count an identity that is no member (R6), nor the same one twice", () => {
    expect(judge([set(1, "s", "v")], new Set(["s", "stranger"])).revoked).toBe(false);
  });

  it("lets the incumbent alone go on from a closed set", () => {
    expect(kindOf(CLOSED_SET)).toBe("closed");
    expect(judge([CLOSED_SET], new Set(["s"]))).toEqual({
      revoked: true,
      covered: false,
      needsFence: false,
      onlyIncumbent: true,
      missing: [0],
    });
    expect(judge([CLOSED_SET, set(1, "s")], new Set(["s"])).covered).toBe(false);
  });

  it("needs a fence for an asynchronous set, and covers nothing by votes (R5)", () => {
    expect(judge([ASYNCHRONOUS_SET], new Set(["s"]))).toEqual({
      revoked: true,
      covered: false,
      needsFence: true,
      onlyIncumbent: false,
      missing: [0],
    });
    expect(judge([set(1, "s"), ASYNCHRONOUS_SET], new Set())).toMatchObject({ revoked: false, needsFence: true });
  });

  it("compares sets by members and count, not by order", () => {
    expect(sameSet(set(1, "a", "b"), set(1, "b", "a"))).toBe(true);
    expect(sameSet(set(1, "a", "b"), set(2, "a", "b"))).toBe(false);
    expect(sameSet(CLOSED_SET, ASYNCHRONOUS_SET)).toBe(false);
  });
});
