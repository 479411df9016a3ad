import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lagOf, watchOf, type PositionSample } from "./position-watch.ts";

const sample = (askedMs: number, position: bigint, flushed: bigint | null = null): PositionSample => ({
  askedMs,
  answeredMs: askedMs + 2,
  position,
  commits: null,
  replicas: [{ pid: 1, flushed }],
});
const SAMPLES = [sample(0, 100n), sample(200, 200n), sample(400, 300n), sample(600, 400n)];

describe("watched positions", () => {
  it("say how far behind a replica is, within half a sample and the round trips", () => {
    expect(lagOf(SAMPLES, 400n)).toEqual({ kind: "known", ms: 0, errorMs: 2 });
    expect(lagOf(SAMPLES, 250n)).toEqual({ kind: "known", ms: 300, errorMs: 102 });
  });

  it("say at least, never a number, when the replica was behind before the watch began", () => {
    expect(lagOf(SAMPLES, 99n)).toEqual({ kind: "at-least", ms: 598 });
  });

  it("are unknown without a position, and when the server went back", () => {
    expect(lagOf(SAMPLES, null).kind).toBe("unknown");
    expect(lagOf([], 1n).kind).toBe("unknown");
    expect(lagOf([sample(0, 900n), sample(200, 100n)], 50n).kind).toBe("unknown");
    expect(watchOf([sample(0, 1n)])).toBeUndefined();
    expect(watchOf([sample(0, 900n), sample(200, 100n)])?.walBytesPerSecond).toBe(0);
  });

  it("contain the truth within their bound, whatever the server wrote in between", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { minLength: 3, maxLength: 40 }), fc.nat(), (written, pick) => {
        // The server writes at each millisecond of the list, and is asked every third one; an answer is there at once.
        let position = 0n;
        const at = written.map((bytes) => (position += BigInt(bytes)));
        const samples = at.flatMap((reached, ms) =>
          ms % 3 === 0 ? [{ askedMs: ms, answeredMs: ms, position: reached, commits: null, replicas: [] }] : [],
        );
        const end = (samples.length - 1) * 3;
        const held = pick % (end + 1);
        const flushed = at[held] ?? 0n;
        const lag = lagOf(samples, flushed);
        // What it lacks first was written in the millisecond after the last one that it holds whole.
        const lastWhole = at.findLastIndex((reached, ms) => ms <= end && reached <= flushed);
        const truth = end - lastWhole;
        if (lag.kind === "known") expect(Math.abs(lag.ms - truth)).toBeLessThanOrEqual(lag.errorMs);
        else expect(lag).toMatchObject({ kind: "at-least" });
      }),
    );
  });
});
