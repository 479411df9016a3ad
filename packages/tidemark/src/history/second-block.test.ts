import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFrame, encodeFrame } from "./frame.ts";
import { decodeBlock, encodeBlock } from "./second-block.ts";

const value = fc.oneof(
  fc.constant(0),
  fc.constant(undefined),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer({ min: 0, max: 3 }),
);
const seconds = fc.array(fc.tuple(fc.nat(59), value), { maxLength: 130 });

describe("a minute of seconds", () => {
  it("is what it was after it was written, in any order, with seconds twice and not known", () => {
    fc.assert(
      fc.property(seconds, (all) => {
        const block = { offsets: all.map(([offset]) => offset), values: all.map(([, one]) => one) };
        expect(decodeBlock(encodeBlock(block))).toEqual(block);
      }),
    );
  });

  it("takes a few bytes while nothing changes, known or not", () => {
    const offsets = Array.from({ length: 60 }, (_, second) => second);
    expect(encodeBlock({ offsets, values: offsets.map(() => 0) }).length).toBe(12);
    expect(encodeBlock({ offsets, values: offsets.map(() => undefined) }).length).toBe(4);
  });

  it("is refused as a whole when its bytes are damaged, wherever they end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const block = decodeBlock(bytes);
        if (block !== undefined) for (const one of block.values) expect(one === undefined || Number.isFinite(one)).toBe(true);
      }),
    );
    const whole = encodeBlock({ offsets: [0, 1, 5], values: [1, 1, 2] });
    expect(decodeBlock(whole.subarray(0, whole.length - 1))).toBeUndefined();
  });
});

describe("a second of all series", () => {
  it("is what it was after it was written; what was not known has no number", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ series: fc.integer({ min: 1, max: 0x7fff_ffff }), value }, { noNullPrototype: true })),
        (samples) => {
          expect([...decodeFrame(encodeFrame(samples))]).toEqual(samples);
        },
      ),
    );
  });
});
