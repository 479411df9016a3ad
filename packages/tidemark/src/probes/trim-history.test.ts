import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TrimHistory, type TrimSight } from "./trim-history.ts";

/** A look at `second`, of a journal that has forgotten what is before `oldest`, with a store that has `upTo` safely. */
function sight(second: number, oldest: number, upTo: number | undefined, over: Partial<TrimSight> & { timeline?: number } = {}): TrimSight {
  const { timeline = 1, ...rest } = over;
  return {
    journal: "a",
    oldest: BigInt(oldest),
    ...(upTo === undefined ? {} : { safe: { upTo: BigInt(upTo), timeline } }),
    heardWallMs: 1_000_000 + second * 1_000,
    heardMonotonicMs: second * 1_000,
    ...rest,
  };
}

const at = (second: number): number => 1_000_000 + second * 1_000;

describe("from when on a journal is unbroken", () => {
  it("is since it was first looked at, while it has forgotten nothing: an earlier journal may have had what was written before", () => {
    const history = new TrimHistory();
    expect(history.see(sight(1, 1, 0))).toBe(at(1));
    expect(history.see(sight(2, 1, 50))).toBe(at(1));
  });

  it("is when the newest of what it has forgotten was heard to be safe, not when it was accepted or forgotten", () => {
    const history = new TrimHistory();
    history.see(sight(1, 1, 0));
    history.see(sight(2, 1, 10));
    history.see(sight(3, 1, 20));
    expect(history.see(sight(4, 11, 30))).toBe(at(2));
    expect(history.see(sight(5, 12, 30))).toBe(at(3));
    // Applied late, and forgotten at once.
    expect(history.see(sight(6, 41, 40))).toBe(at(6));
  });

  it("is not known before the store was asked, or while more is forgotten than was heard to be safe", () => {
    const history = new TrimHistory();
    expect(history.see(sight(1, 11, undefined))).toBeUndefined();
    expect(history.see(sight(2, 11, 9))).toBeUndefined();
    expect(history.see(sight(3, 11, 10))).toBe(at(3));
  });

  it("stays when the gateway was started again and has not asked the store yet", () => {
    const history = new TrimHistory();
    history.see(sight(1, 1, 10));
    expect(history.see(sight(2, 6, undefined))).toBe(at(1));
    expect(history.see(sight(3, 6, 10))).toBe(at(1));
  });

  it.each([
    ["the store is on another timeline, where it may have been applied again later", { timeline: 2 }],
    ["it is another journal", { journal: "b" }],
    ["the observer's clock was set", { heardMonotonicMs: 3_000 - 500 }],
  ])("begins anew when %s", (_why, over) => {
    const history = new TrimHistory();
    history.see(sight(1, 1, 10));
    history.see(sight(2, 6, 10));
    expect(history.see(sight(3, 6, 10, over))).toBe(at(3));
  });

  it("is never earlier than the commit of anything that is forgotten, and stays within its memory", () => {
    const steps = fc.array(fc.record({ applied: fc.nat(5), forgotten: fc.nat(5) }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(steps, fc.constantFrom(1, 200), (some, times) => {
        const history = new TrimHistory();
        const heardAt: number[] = [];
        let [second, safe, oldest] = [0, 0, 1];
        for (const { applied, forgotten } of Array.from({ length: times }, () => some).flat()) {
          second += 1;
          for (let count = 0; count < applied; count += 1) heardAt[++safe] = at(second);
          oldest = Math.min(safe + 1, oldest + forgotten);
          const from = history.see(sight(second, oldest, safe));
          expect(from).toBeGreaterThanOrEqual(heardAt[oldest - 1] ?? at(1));
          expect(from).toBeLessThanOrEqual(at(second));
        }
      }),
      { numRuns: 30 },
    );
  });
});
