import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { known, unknown } from "../probes/probe-result.ts";
import { ClockComparison, clockIsOff } from "./clock-comparison.ts";

const START_MS = 1_700_000_000_000;

/** A question at `atMs` whose ways take so long, to a server whose clock is `offsetMs` ahead. */
function sample(atMs: number, ways: { there: number; back: number }, offsetMs: number) {
  return {
    sentWallMs: START_MS + atMs,
    sentMonotonicMs: atMs,
    receivedMonotonicMs: atMs + ways.there + ways.back,
    serverWallMs: START_MS + atMs + ways.there + offsetMs,
  };
}

describe("the comparison of clocks", () => {
  it("is right within its error bound, whatever the ways there and back take", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e7, max: 1e7, noNaN: true }),
        fc.array(fc.record({ there: fc.double({ min: 0, max: 500, noNaN: true }), back: fc.double({ min: 0, max: 500, noNaN: true }) }), {
          minLength: 1,
          maxLength: 80,
        }),
        (offsetMs, ways) => {
          const clocks = new ClockComparison(START_MS);
          ways.forEach((way, at) => clocks.add(sample(at * 1_000, way, offsetMs)));
          const figure = clocks.offset(ways.length * 1_000);
          expect(figure.known).toBe(true);
          if (figure.known) expect(Math.abs(figure.value - offsetMs)).toBeLessThanOrEqual(figure.errorMs + 0.01);
        },
      ),
    );
  });

  it("takes the shortest round trip of the last minute", () => {
    const clocks = new ClockComparison(START_MS);
    clocks.add(sample(0, { there: 1, back: 1 }, 5));
    for (let at = 1; at < 30; at++) clocks.add(sample(at * 1_000, { there: 80, back: 20 }, 5));
    const figure = clocks.offset(30_000);
    expect(figure).toMatchObject({ known: true, value: 5 });
    expect(figure.known && figure.errorMs).toBeLessThan(10);
    for (let at = 30; at < 90; at++) clocks.add(sample(at * 1_000, { there: 80, back: 20 }, 5));
    const later = clocks.offset(90_000);
    expect(later.known && later.errorMs).toBeGreaterThanOrEqual(50);
  });

  it("notices at once that a clock was set, instead of believing the better samples of before", () => {
    const clocks = new ClockComparison(START_MS);
    for (let at = 0; at < 10; at++) clocks.add(sample(at * 1_000, { there: 1, back: 1 }, 0));
    clocks.add(sample(10_000, { there: 30, back: 30 }, 3_600_000));
    const figure = clocks.offset(10_100);
    expect(figure).toMatchObject({ known: true, value: 3_600_000 });
    expect(figure.known && figure.errorMs).toBeGreaterThanOrEqual(30);
  });

  it("knows nothing before the first answer and a minute after the last", () => {
    const clocks = new ClockComparison(START_MS);
    expect(clocks.offset(0)).toMatchObject({ known: false, sinceMs: START_MS });
    clocks.add(sample(0, { there: 1, back: 1 }, 0));
    expect(clocks.offset(30_000).known).toBe(true);
    expect(clocks.offset(70_000)).toMatchObject({ known: false, sinceMs: START_MS + 2 });
  });

  it("alarms when the clock is certainly off, is silent when it is certainly not, and says so when it cannot tell", () => {
    const offset = (value: number, errorMs: number) => known(value, { atMs: 0, method: "observed", errorMs });
    expect(clockIsOff(offset(-3_600_000, 2))).toBe(true);
    expect(clockIsOff(offset(40, 2))).toBe(false);
    expect(clockIsOff(offset(900, 500))).toBeUndefined();
    expect(clockIsOff(unknown("", 0))).toBeUndefined();
  });
});
