import type { Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { parseTimelineHistory } from "@tidemark/postgres/timeline-history";
import { describe, expect, it } from "vitest";
import type { CompletionPlan } from "./completion-plan.ts";
import { planCompletion } from "./completion-plan.ts";

const MIB = 1_048_576;

function plan(from: [number, string], to: [number, string], history = ""): CompletionPlan {
  const at = ([timeline, lsn]: [number, string]) => ({ timeline: timeline as Timeline, lsn: parseLsn(lsn) });
  return planCompletion({ from: at(from), to: at(to), history: parseTimelineHistory(history), segmentBytes: 16 * MIB });
}

const names = (found: CompletionPlan): string[] => found.segments.map((segment) => segment.name);

describe("the files of a completion", () => {
  it("are the segments from the candidate's end to the last byte before the target", () => {
    expect(names(plan([1, "0/1F00"], [1, "0/2000"]))).toEqual(["000000010000000000000000"]);
    expect(names(plan([1, "0/FFFFF0"], [1, "0/1000008"]))).toEqual(["000000010000000000000000", "000000010000000000000001"]);
    expect(names(plan([1, "0/1000000"], [1, "0/2000000"]))).toEqual(["000000010000000000000001"]);
    expect(names(plan([1, "0/FF000000"], [1, "1/1000"]))).toEqual(["0000000100000000000000FF", "000000010000000100000000"]);
  });

  it("take the segment of a fork from the newer timeline, because the older one's may go on past the fork (R9)", () => {
    const found = plan([1, "0/1000100"], [2, "0/3000100"], "1\t0/2000100\tpromoted\n");
    expect(names(found)).toEqual(["000000010000000000000001", "000000020000000000000002", "000000020000000000000003"]);
    expect(found).toMatchObject({ histories: [2], reserved: [] });
  });

  it("take the newest of two forks in one segment, and a fork at a segment's beginning from there on", () => {
    expect(names(plan([1, "0/100"], [3, "0/900"], "1\t0/200\tx\n2\t0/300\tx\n"))).toEqual(["000000030000000000000000"]);
    expect(names(plan([1, "0/100"], [2, "0/1000100"], "1\t0/1000000\tx\n"))).toEqual([
      "000000010000000000000000",
      "000000020000000000000001",
    ]);
  });

  it("fill the numbers that were reserved and never begun, or PostgreSQL would stop looking there (R2)", () => {
    expect(plan([1, "0/100"], [4, "0/900"], "1\t0/200\tx\n3\t0/300\tx\n")).toMatchObject({ histories: [3, 4], reserved: [2] });
  });

  it("are none for a candidate that is not in the past of the target (trap 24)", () => {
    expect(() => plan([1, "0/280"], [2, "0/900"], "1\t0/200\tx\n")).toThrow("is not in the past");
    expect(() => plan([2, "0/100"], [3, "0/900"], "1\t0/200\tx\n")).toThrow("is not in the past");
  });
});
