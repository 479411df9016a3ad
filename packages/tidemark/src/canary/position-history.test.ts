import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { PositionHistory } from "./position-history.ts";

const START_MS = 1_700_000_000_000;
const ONE = 1 as Timeline;
const TWO = 2 as Timeline;

const at = (ms: number, lsn: number, more?: { timeline?: Timeline; transactions?: number; beats?: number; jumpMs?: number }) => ({
  timeline: more?.timeline ?? ONE,
  lsn: BigInt(lsn) as Lsn,
  sentWallMs: START_MS + ms + (more?.jumpMs ?? 0),
  sentMonotonicMs: ms,
  transactions: BigInt(more?.transactions ?? 0),
  canaryBeats: BigInt(more?.beats ?? 0),
});
const lsn = (value: number): Lsn => BigInt(value) as Lsn;

describe("the history of positions", () => {
  it("says that a copy lacks nothing when it is where the primary is, however long the store has been idle", () => {
    const history = new PositionHistory();
    for (let s = 0; s < 100; s++) history.record(at(s * 1_000, 500));
    expect(history.timeOf(ONE, lsn(500))).toMatchObject({ found: true, complete: true, untilMs: START_MS + 99_000, gapMs: 0 });
  });

  it("gives the last time at which a copy that is behind had everything, and how much later it may have been", () => {
    const history = new PositionHistory();
    history.record(at(0, 100, { transactions: 10 }));
    history.record(at(1_000, 100, { transactions: 10 }));
    history.record(at(2_000, 200, { transactions: 13 }));
    history.record(at(3_000, 300, { transactions: 20, beats: 1 }));
    expect(history.timeOf(ONE, lsn(150))).toEqual({
      found: true,
      untilMs: START_MS + 1_000,
      gapMs: 1_000,
      complete: false,
      missingTransactions: 9,
    });
    expect(history.timeOf(ONE, lsn(99))).toMatchObject({ found: false });
  });

  it("finds times more exactly by positions that others saw between its own", () => {
    const history = new PositionHistory();
    history.record(at(0, 100, { transactions: 10 }));
    history.see(at(500, 150));
    expect(history.timeOf(ONE, lsn(149))).toMatchObject({ complete: false, untilMs: START_MS, gapMs: 500 });
    history.record(at(1_000, 200, { transactions: 13 }));
    // How many transactions there were was counted half a second before: no fewer are missing.
    expect(history.timeOf(ONE, lsn(160))).toMatchObject({ untilMs: START_MS + 500, gapMs: 500, missingTransactions: 3 });
    history.see(at(1_500, 200));
    expect(history.timeOf(ONE, lsn(200))).toMatchObject({ complete: true, untilMs: START_MS + 1_500 });
  });

  it("leaves out what others saw where it contradicts what is kept", () => {
    const history = new PositionHistory();
    history.see(at(0, 50));
    expect(history.newest).toBeUndefined();
    history.record(at(1_000, 100));
    const before = history.newest;
    for (const other of [at(2_000, 90), at(2_000, 900, { timeline: TWO }), at(500, 150), at(2_000, 150, { jumpMs: 3_600_000 })])
      history.see(other);
    expect(history.newest).toEqual(before);
  });

  it("does not take an answer that was overtaken for a position that went back", () => {
    const history = new PositionHistory();
    history.record(at(0, 100));
    history.see(at(1_010, 200));
    expect(history.record(at(1_000, 190))).toBeUndefined();
    expect(history.timeOf(ONE, lsn(200))).toMatchObject({ complete: true, untilMs: START_MS + 1_010 });
    expect(history.timeOf(ONE, lsn(120))).toMatchObject({ found: true, untilMs: START_MS });
    expect(history.record(at(2_000, 150))).toBe("went-back");
  });

  it("never says that a copy has what was acknowledged after the primary passed it", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 2, maxLength: 200 }), fc.nat(10_000), (steps, copy) => {
        const history = new PositionHistory();
        let position = 0;
        const seen: { ms: number; lsn: number }[] = [];
        steps.forEach((step, index) => {
          position += step;
          seen.push({ ms: START_MS + index * 1_000, lsn: position });
          if (index % 3 === 2) history.see(at(index * 1_000, position));
          else history.record(at(index * 1_000, position));
        });
        const answer = history.timeOf(ONE, lsn(copy));
        const reached = seen.findLast((entry) => entry.lsn <= copy);
        if (!answer.found) expect(reached).toBeUndefined();
        else {
          expect(answer.untilMs).toBe(reached?.ms);
          expect(answer.complete).toBe(copy >= position);
        }
      }),
    );
  });

  it("stays bounded over a day, with an error bound that is small beside the age of a position", () => {
    const history = new PositionHistory();
    for (let s = 0; s < 86_400; s++) history.record(at(s * 1_000, s * 10));
    for (const ageS of [1, 100, 1_000, 3_600, 46_400, 86_000]) {
      const seen = history.timeOf(ONE, lsn((86_399 - ageS) * 10 + 5));
      if (!seen.found) throw new Error(seen.why);
      const trueMs = START_MS + (86_399 - ageS) * 1_000;
      expect(trueMs).toBeGreaterThanOrEqual(seen.untilMs);
      expect(trueMs).toBeLessThanOrEqual(seen.untilMs + seen.gapMs);
      expect(seen.gapMs, `${ageS} s ago`).toBeLessThanOrEqual(Math.max(1_000, ageS * 40));
    }
  });

  it("begins anew on a new timeline, and does not listen to a former primary", () => {
    const history = new PositionHistory();
    history.record(at(0, 900));
    expect(history.record(at(1_000, 500, { timeline: TWO }))).toBe("failover");
    expect(history.record(at(2_000, 950))).toBe("ignored");
    expect(history.timeline).toBe(TWO);
    expect(history.timeOf(ONE, lsn(950))).toMatchObject({ found: false });
    expect(history.timeOf(TWO, lsn(500))).toMatchObject({ found: true, complete: true });
  });

  it("begins anew when the position went back on one timeline, as after a restore: that is no error", () => {
    const history = new PositionHistory();
    history.record(at(0, 900));
    expect(history.record(at(1_000, 400))).toBe("went-back");
    expect(history.timeOf(ONE, lsn(400))).toMatchObject({ found: true, complete: true });
  });

  it("begins anew when the observer's clock was set, because times of before and after do not compare", () => {
    const history = new PositionHistory();
    history.record(at(0, 100));
    expect(history.record(at(1_000, 200, { jumpMs: -3_600_000 }))).toBe("clock-set");
    expect(history.timeOf(ONE, lsn(150))).toMatchObject({ found: false });
  });

  it("begins anew when the canary appears, instead of counting fewer than none as none", () => {
    const history = new PositionHistory();
    history.record(at(0, 100, { transactions: 9_000 }));
    expect(history.record(at(1_000, 200, { transactions: 9_010, beats: 5_000 }))).toBe("recounted");
  });

  it("counts transactions a second without the canary's own", () => {
    const history = new PositionHistory();
    for (let s = 0; s <= 10; s++) history.record(at(s * 1_000, s, { transactions: s * 5, beats: s }));
    expect(history.transactionRate()).toMatchObject({ perSecond: 4 });
  });
});
