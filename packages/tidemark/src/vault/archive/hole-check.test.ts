import { describe, expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import { seededRandom } from "@tidemark/kernel/random";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import { findHoles, forkOf, newestReach, type Coverage } from "./hole-check.ts";
import { RangeSet, type LsnRange } from "./wal-range.ts";

const SEGMENT = 16;
const lsn = (value: number): Lsn => BigInt(value) as Lsn;
const tli = (value: number): Timeline => value as Timeline;
const range = (start: number, end: number): LsnRange => ({ start: lsn(start), end: lsn(end) });
const step = (timeline: number, switchLsn: number): TimelineSwitch => ({ timeline: tli(timeline), switchLsn: lsn(switchLsn), reason: "" });

function coverage(covered: Record<number, [number, number][]>, histories: Record<number, TimelineSwitch[]> = {}): Coverage {
  return {
    segmentBytes: SEGMENT,
    covered: new Map(Object.entries(covered).map(([timeline, ranges]) => [tli(Number(timeline)), ranges.map(([a, b]) => range(a, b))])),
    histories: new Map(Object.entries(histories).map(([timeline, history]) => [tli(Number(timeline)), history])),
  };
}

const holesOf = (given: Coverage): string[] => findHoles(given).map((hole) => `${hole.kind} ${hole.timeline}: ${hole.start}-${hole.end}`);

describe("a hole", () => {
  it("is what is missing between two ranges of a timeline, with its range", () => {
    expect(
      holesOf(
        coverage({
          1: [
            [32, 64],
            [80, 100],
          ],
        }),
      ),
    ).toEqual(["wal 1: 64-80"]);
  });

  it("is neither where an archive begins nor where it ends", () => {
    expect(holesOf(coverage({ 1: [[32, 100]] }))).toEqual([]);
    expect(holesOf(coverage({}))).toEqual([]);
  });

  it("is not at a fork, where the new timeline's segment repeats the bytes before it", () => {
    expect(holesOf(coverage({ 1: [[0, 32]], 2: [[32, 64]] }, { 2: [step(1, 40)] }))).toEqual([]);
  });

  it("is at the end of a timeline that a newer one went on from, and at the newer one's beginning", () => {
    expect(holesOf(coverage({ 1: [[0, 16]], 2: [[32, 64]] }, { 2: [step(1, 40)] }))).toEqual(["wal 1: 16-32"]);
    expect(holesOf(coverage({ 1: [[0, 40]], 2: [[48, 64]] }, { 2: [step(1, 40)] }))).toEqual(["wal 2: 32-48"]);
  });

  it("is a whole timeline between two that are there", () => {
    expect(holesOf(coverage({ 1: [[0, 40]], 3: [[96, 128]] }, { 2: [step(1, 40)], 3: [step(1, 40), step(2, 100)] }))).toEqual([
      "wal 2: 32-96",
    ]);
  });

  it("is a history file that is not there, however much WAL is (trap 8)", () => {
    expect(holesOf(coverage({ 1: [[0, 40]], 2: [[32, 64]] }))).toEqual(["history 2: 32-64"]);
  });

  it("is not filled by WAL past a fork: that is diverged (trap 11)", () => {
    expect(
      holesOf(
        coverage(
          {
            1: [
              [0, 16],
              [48, 64],
            ],
            2: [[32, 64]],
          },
          { 2: [step(1, 40)] },
        ),
      ),
    ).toEqual(["wal 1: 16-32"]);
    expect(forkOf(coverage({}, { 2: [step(1, 40)], 3: [step(1, 24)] }).histories, tli(1))).toBe(24n);
  });

  it("is not made by a timeline that died within one segment", () => {
    expect(holesOf(coverage({ 1: [[0, 36]], 3: [[32, 64]] }, { 2: [step(1, 36)], 3: [step(1, 36), step(2, 40)] }))).toEqual([]);
  });
});

describe("the newest stretch without a hole", () => {
  const reach = (given: Coverage): string | undefined => {
    const found = newestReach(given);
    return found === undefined ? undefined : `${found.timeline}: ${found.from}-${found.to}`;
  };

  it("goes back over forks to the last hole", () => {
    expect(
      reach(
        coverage(
          {
            1: [
              [0, 16],
              [24, 36],
            ],
            2: [[32, 64]],
          },
          { 2: [step(1, 36)] },
        ),
      ),
    ).toBe("2: 24-64");
    expect(reach(coverage({ 1: [[0, 36]], 3: [[32, 64]] }, { 3: [step(1, 36), step(2, 40)] }))).toBe("3: 0-64");
  });

  it("does not go over a fork that it has no WAL or no history for", () => {
    expect(reach(coverage({ 1: [[0, 36]], 2: [[48, 64]] }, { 2: [step(1, 36)] }))).toBe("2: 48-64");
    expect(reach(coverage({ 1: [[0, 36]], 2: [[32, 64]] }))).toBe("2: 32-64");
    expect(reach(coverage({}))).toBeUndefined();
  });
});

/** The same by counting: the file of each segment that PostgreSQL would ask for, from the first that is there to the last. */
function segmentsMissing(given: Coverage, newest: Timeline): number[] {
  const chain = [...(given.histories.get(newest) ?? []).map((entry) => entry.timeline), newest];
  const begins = (index: number): number =>
    index === 0 ? 0 : Number((given.histories.get(newest)?.[index - 1]?.switchLsn ?? 0n) / BigInt(SEGMENT));
  const has = (timeline: Timeline, segment: number): boolean =>
    given.covered.get(timeline)?.some(({ start, end }) => start <= BigInt(segment * SEGMENT) && end >= BigInt((segment + 1) * SEGMENT)) ===
    true;
  const owner = (segment: number): Timeline => chain.findLast((_, index) => begins(index) <= segment) ?? newest;
  const present = Array.from({ length: 12 }, (_, segment) => has(owner(segment), segment));
  const [first, last] = [present.indexOf(true), present.lastIndexOf(true)];
  return present.flatMap((there, segment) => (!there && segment > first && segment < last && first >= 0 ? [segment] : []));
}

describe("by counting segment for segment", () => {
  it("every archive of whole segments over one or two forks has the same holes", () => {
    for (let seed = 0; seed < 3_000; seed++) {
      const random = seededRandom(seed);
      const forks = [Math.floor(random.fraction() * 90) + 1, Math.floor(random.fraction() * 90) + 91];
      const history = [step(1, forks[0] ?? 1), step(2, forks[1] ?? 91)];
      const sets = [1, 2, 3].map((timeline) => {
        const set = new RangeSet();
        const from = timeline === 1 ? 0 : Math.floor((forks[timeline - 2] ?? 0) / SEGMENT);
        const until = timeline === 3 ? 12 : Math.floor((forks[timeline - 1] ?? 0) / SEGMENT);
        for (let segment = from; segment < until; segment++) {
          if (random.fraction() < 0.75) set.add(range(segment * SEGMENT, (segment + 1) * SEGMENT));
        }
        return [timeline, set.ranges.map(({ start, end }): [number, number] => [Number(start), Number(end)])] as const;
      });
      const given = coverage(Object.fromEntries(sets), { 2: history.slice(0, 1), 3: history });
      const found = findHoles(given).flatMap((hole) => {
        const count = Number(hole.end - hole.start) / SEGMENT;
        return Array.from({ length: count }, (_, index) => Number(hole.start) / SEGMENT + index);
      });
      expect(
        found.sort((a, b) => a - b),
        `seed ${seed}`,
      ).toEqual(segmentsMissing(given, tli(3)));
    }
  });
});

describe("a set of ranges", () => {
  it("says of every position what a plain set of numbers says", () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = seededRandom(seed);
      const set = new RangeSet();
      const plain = new Set<number>();
      for (let turn = 0; turn < 40; turn++) {
        const start = Math.floor(random.fraction() * 60);
        const end = start + Math.floor(random.fraction() * 12);
        const adding = random.fraction() < 0.6;
        if (adding) set.add(range(start, end));
        else set.remove(range(start, end));
        for (let at = start; at < end; at++) {
          if (adding) plain.add(at);
          else plain.delete(at);
        }
      }
      const listed = set.ranges.flatMap(({ start, end }) =>
        Array.from({ length: Number(end - start) }, (_, index) => Number(start) + index),
      );
      expect(listed, `seed ${seed}`).toEqual([...plain].sort((a, b) => a - b));
      for (const [index, { start }] of set.ranges.slice(1).entries()) expect((set.ranges[index]?.end ?? 0n) < start).toBe(true);
      for (let at = 0; at < 60; at++) expect(set.around(range(at, at + 1)) !== undefined).toBe(plain.has(at));
    }
  });
});
