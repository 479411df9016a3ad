import { assert as check, property, string } from "fast-check";
import type { Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { describe, expect, it } from "vitest";
import { holdsHistory, parseTimelineHistory } from "./timeline-history.ts";

const TEXT = "1\t0/3000148\tno recovery target specified\n\n# a comment\n2\t0/5000000\tbefore 2026-01-01 00:00:00+00\n";
const refused = expect.objectContaining({ code: "TM-PG-TIMELINE-HISTORY" });

describe("a timeline history", () => {
  it("gives each ancestor with the LSN at which it was left", () => {
    expect(parseTimelineHistory(TEXT)).toEqual([
      { timeline: 1, switchLsn: 0x3000148n, reason: "no recovery target specified" },
      { timeline: 2, switchLsn: 0x5000000n, reason: "before 2026-01-01 00:00:00+00" },
    ]);
    expect(parseTimelineHistory("")).toEqual([]);
  });

  it("is refused when timelines or LSNs do not grow, or a line is none", () => {
    for (const text of [
      "2\t0/1\n1\t0/2\n",
      "1\t0/1\n1\t0/2\n",
      "1\t0/2\n2\t0/1\n",
      "0\t0/1\n",
      "4294967296\t0/1\n",
      "x\n",
      "1\n",
      "1\tzero\n",
    ]) {
      expect(() => parseTimelineHistory(text), JSON.stringify(text)).toThrow(refused);
    }
    check(
      property(string(), (text) => {
        try {
          parseTimelineHistory(text);
        } catch (error) {
          expect(error).toEqual(refused);
        }
      }),
    );
  });

  it("says what is common, because a higher LSN on a dead branch is not more (trap 24, R11)", () => {
    const own = { timeline: 3 as Timeline, history: parseTimelineHistory(TEXT) };
    const point = (timeline: number, lsn: string): boolean => holdsHistory(own, { timeline: timeline as Timeline, lsn: parseLsn(lsn) });
    expect(point(1, "0/3000148")).toBe(true);
    expect(point(1, "0/3000149")).toBe(false);
    expect(point(2, "0/4000000")).toBe(true);
    expect(point(3, "FF/0")).toBe(true);
    expect(point(4, "0/1")).toBe(false);
  });
});
