import { describe, expect, test } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import { gapsIn, judgeMissingHistory, judgeSegment, type ServingState } from "./serving-rules.ts";

const SEGMENT = 16_777_216;
const at = (text: string): Lsn => parseLsn(text);
const line = (number: number): Timeline => number as Timeline;

/** Timeline 1 was left at 0/5000028, timeline 2 at 0/8000100 for 4; 3 was never recorded. The vault has timeline 4 up to 0/9000500. */
const STATE: ServingState = {
  systemIdentifier: "7",
  timeline: line(4),
  history: [
    { timeline: line(1), switchLsn: at("0/5000028"), reason: "" },
    { timeline: line(2), switchLsn: at("0/8000100"), reason: "" },
  ],
  end: at("0/9000500"),
  gaps: [],
};
const judge = (timeline: number, start: string, state: ServingState = STATE): unknown =>
  judgeSegment({ timeline: line(timeline), start: at(start) }, SEGMENT, state);

describe("a segment", () => {
  test("that is whole is given whole", () => {
    expect(judge(4, "0/8000000")).toEqual({ kind: "give", upTo: at("0/9000000") });
    expect(judge(1, "0/4000000")).toEqual({ kind: "give", upTo: at("0/5000000") });
  });

  test("that still grows is given up to the last whole record (trap 12)", () => {
    expect(judge(4, "0/9000000")).toEqual({ kind: "give", upTo: at("0/9000500") });
  });

  test("that holds a fork is given up to the fork, and one beyond it is the end of its timeline (R9, trap 11)", () => {
    expect(judge(1, "0/5000000")).toEqual({ kind: "give", upTo: at("0/5000028") });
    expect(judge(1, "0/6000000")).toEqual({ kind: "end", end: at("0/5000028") });
    expect(judge(2, "0/8000000")).toEqual({ kind: "give", upTo: at("0/8000100") });
  });

  test("of a branch that was left, or of a timeline that is not known here, is never called the end", () => {
    expect(judge(3, "0/6000000")).toMatchObject({ kind: "other-history" });
    expect(judge(5, "0/9000000")).toMatchObject({ kind: "unsure" });
  });

  test("beyond the end is the end only while nothing speaks against it", () => {
    expect(judge(4, "0/A000000")).toEqual({ kind: "end", end: at("0/9000500") });
    expect(judge(4, "0/A000000", { ...STATE, unsure: "it is being scanned" })).toEqual({ kind: "unsure", why: "it is being scanned" });
  });

  test("that would begin exactly at the end has nothing in it", () => {
    expect(judge(4, "0/9000000", { ...STATE, end: at("0/9000000") })).toMatchObject({ kind: "end" });
  });
});

describe("during an open claim (R9)", () => {
  const voted = { ...STATE, vote: { timeline: line(4), lsn: at("0/9000300") } };

  test("nothing beyond the vote is given, and what lies there is not called the end", () => {
    expect(judge(4, "0/9000000", voted)).toEqual({ kind: "give", upTo: at("0/9000300") });
    expect(judge(4, "0/A000000", voted)).toMatchObject({ kind: "unsure" });
  });

  test("a vote on an ancestor bounds what came after it", () => {
    const early = { ...STATE, vote: { timeline: line(2), lsn: at("0/7000000") } };
    expect(judge(2, "0/6000000", early)).toEqual({ kind: "give", upTo: at("0/7000000") });
    expect(judge(2, "0/7000000", early)).toMatchObject({ kind: "unsure" });
    expect(judge(4, "0/8000000", early)).toMatchObject({ kind: "unsure" });
    expect(judge(1, "0/4000000", early)).toEqual({ kind: "give", upTo: at("0/5000000") });
  });

  test("a new timeline may be about to begin", () => {
    expect(judgeMissingHistory(line(5), voted)).toMatchObject({ kind: "unsure" });
  });
});

describe("a history file that is not there", () => {
  test("of the first timeline, or of one after the newest, never was", () => {
    expect(judgeMissingHistory(line(1), STATE).kind).toBe("end");
    expect(judgeMissingHistory(line(5), STATE).kind).toBe("end");
    expect(judgeMissingHistory(line(5), { ...STATE, unsure: "scanning" }).kind).toBe("unsure");
  });

  test("of the newest or of an ancestor is a hole (trap 8)", () => {
    expect(judgeMissingHistory(line(4), STATE).kind).toBe("hole");
    expect(judgeMissingHistory(line(2), STATE).kind).toBe("hole");
  });

  test("of a number that was passed over stops a recovery that counts up, and names the timeline to ask for", () => {
    expect(judgeMissingHistory(line(3), STATE)).toMatchObject({ kind: "other-history", why: expect.stringContaining("'4'") as string });
  });
});

test("a gap counts where it overlaps what would be given, on its own timeline", () => {
  const gap = { timeline: line(4), start: at("0/8000200"), end: at("0/8000300") };
  const range = { timeline: line(4), start: at("0/8000000"), end: at("0/8000201") };
  expect(gapsIn(range, [gap])).toEqual([gap]);
  expect(gapsIn({ ...range, end: at("0/8000200") }, [gap])).toEqual([]);
  expect(gapsIn({ ...range, timeline: line(2) }, [gap])).toEqual([]);
});
