import { describe, expect, it } from "vitest";
import { canonicalJson, type JsonValue } from "./canonical-json.ts";

describe("canonical JSON", () => {
  it("orders members by UTF-16 units and writes numbers and texts as RFC 8785 says", () => {
    expect(canonicalJson({ "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\u{1f600}": 5, "\u0080": 6, ö: 7 })).toBe(
      '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\u{1f600}":5,"\ufb33":3}',
    );
    expect(canonicalJson([333_333_333.333_333_3, 1e30, 4.5, 2e-3, 1e-27, -0])).toBe("[333333333.3333333,1e+30,4.5,0.002,1e-27,0]");
    expect(canonicalJson({ a: undefined, b: ["\u000f\n'\"\\/"] })).toBe('{"b":["\\u000f\\n\'\\"\\\\/"]}');
  });

  it("refuses what JSON cannot hold instead of changing it", () => {
    let deep: JsonValue = 1;
    for (let level = 0; level < 70; level++) deep = [deep];
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 1n, "\ud800", { "\udc00": 1 }, [undefined], new Date(0), () => 1, deep]) {
      expect(() => canonicalJson(value as JsonValue)).toThrow(expect.objectContaining({ code: "TM-PROOF-CANONICAL" }));
    }
  });
});
