import type { Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { describe, expect, it } from "vitest";
import { judgeLineage } from "./lineage.ts";
import { sampleRecord } from "./testing/sample-record.ts";

const t = (timeline: number): Timeline => timeline as Timeline;
const judge = (record: Parameters<typeof judgeLineage>[0], timeline: number, end: string): string =>
  judgeLineage(record, t(timeline), parseLsn(end));

describe("the recorded line of reigns", () => {
  const record = sampleRecord({
    timeline: t(4),
    forkLsn: "0/5000",
    forkedFrom: t(2),
    reigns: [
      // Timeline 3 was reserved and never begun, or begun and given up: the line goes from 2 to 4.
      { epoch: 3 as never, primary: "a", timeline: t(3), forkLsn: "0/4000", forkedFrom: t(2), beganAtMs: 0 },
      { epoch: 2 as never, primary: "b", timeline: t(2), forkLsn: "0/3000", forkedFrom: t(1), beganAtMs: 0 },
      { epoch: 1 as never, primary: "a", timeline: t(1), forkLsn: "0/0", beganAtMs: 0 },
    ],
  });

  it("has data of the record's own timeline on it, wherever it ends", () => {
    expect(judge(record, 4, "0/1")).toBe("current");
    expect(judge(record, 4, "F/0")).toBe("current");
  });

  it("has earlier timelines on it up to where the line left them (trap 24)", () => {
    expect(judge(record, 2, "0/5000")).toBe("behind");
    expect(judge(record, 2, "0/5001")).toBe("diverged");
    expect(judge(record, 1, "0/3000")).toBe("behind");
    expect(judge(record, 1, "0/3001")).toBe("diverged");
  });

  it("does not have a branch that was left, nor a timeline that was never recorded (R2)", () => {
    expect(judge(record, 3, "0/100")).toBe("diverged");
    expect(judge(record, 5, "0/100")).toBe("diverged");
  });

  it("takes a re-election for no fork", () => {
    const again = sampleRecord({
      epoch: 9 as never,
      timeline: t(1),
      reigns: [{ epoch: 8 as never, primary: "a", timeline: t(1), forkLsn: "0/0", beganAtMs: 0 }],
    });
    expect(judge(again, 1, "0/99")).toBe("current");
  });
});
