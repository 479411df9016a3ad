import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_SEGMENT_BYTES, historyName, parseHistoryName, parseSegmentName, segmentName, segmentStart } from "./segment-name.ts";

describe("the name of a WAL segment", () => {
  it("is the one that PostgreSQL gives it", () => {
    const place = { timeline: 1 as Timeline, lsn: parseLsn("16/B374D848") };
    // SELECT pg_walfile_name('16/B374D848') on timeline 1.
    expect(segmentName(place, DEFAULT_SEGMENT_BYTES)).toBe("0000000100000016000000B3");
    expect(segmentName({ ...place, lsn: parseLsn("1/0") }, DEFAULT_SEGMENT_BYTES)).toBe("000000010000000100000000");
  });

  it("comes back from its text, for every segment size", () => {
    fc.assert(
      fc.property(
        fc.bigInt(0n, 2n ** 63n),
        fc.integer({ min: 1, max: 2 ** 31 }),
        fc.integer({ min: 20, max: 30 }),
        (lsn, timeline, power) => {
          const bytes = 2 ** power;
          const name = segmentName({ timeline: timeline as Timeline, lsn: lsn as Lsn }, bytes);
          expect(parseSegmentName(name, bytes)).toEqual({ timeline, start: segmentStart(lsn as Lsn, bytes) });
        },
      ),
    );
  });

  it("is no other text", () => {
    for (const text of [
      "",
      "00000001000000000000000",
      "0000000100000000000001000",
      "0000000100000000000000g1",
      "000000000000000000000001",
      "000000010000000000000100",
    ])
      expect(parseSegmentName(text, DEFAULT_SEGMENT_BYTES)).toBeUndefined();
    expect(parseHistoryName(historyName(11 as Timeline))).toBe(11);
    expect(parseHistoryName("00000000.history")).toBeUndefined();
  });
});
