import { describe, expect, it } from "vitest";
import type { Lsn } from "@tidemark/kernel/lsn";
import { errorOf, trueMoments, truthAt } from "./true-exposure.ts";

const commit = (atMs: number, lsn: number) => ({ atMs, lsn: BigInt(lsn) as Lsn });

describe("true exposure", () => {
  it("is the age of the oldest acknowledged commit that is not flushed, and 0 where all are", () => {
    const commits = [commit(100, 10), commit(200, 20), commit(300, 30)];
    const samples = [commit(50, 0), commit(150, 10), commit(250, 10), commit(350, 10), commit(400, 30)];
    expect(trueMoments(commits, samples)).toEqual([
      // Not acknowledged yet.
      { atMs: 50, exposureMs: 0 },
      { atMs: 150, exposureMs: 0 },
      { atMs: 250, exposureMs: 50 },
      { atMs: 350, exposureMs: 150 },
      { atMs: 400, exposureMs: 0 },
    ]);
  });

  it("is the newest one known at a moment", () => {
    const truth = [
      { atMs: 10, exposureMs: 1 },
      { atMs: 20, exposureMs: 2 },
    ];
    expect([9, 10, 19, 25].map((atMs) => truthAt(truth, atMs)?.exposureMs)).toEqual([undefined, 1, 1, 2]);
  });
});

describe("the error of what was said", () => {
  // A stall from 0 to 5 s, sampled every 100 ms, and nothing missing after it.
  const truth = Array.from({ length: 101 }, (_, at) => ({ atMs: at * 100, exposureMs: at <= 50 ? at * 100 : 0 }));

  it("is the difference in value while the truth moves slowly", () => {
    expect(errorOf({ atMs: 4_000, exposureMs: 4_600 }, truth)).toBe(600);
    expect(errorOf({ atMs: 4_000, exposureMs: 4_000 }, truth)).toBe(0);
  });

  it("is the delay after the truth has fallen, and not the height from which it fell", () => {
    expect(errorOf({ atMs: 5_700, exposureMs: 5_000 }, truth)).toBe(700);
    expect(errorOf({ atMs: 5_700, exposureMs: 5_300 }, truth)).toBe(700);
    expect(errorOf({ atMs: 5_200, exposureMs: 5_900 }, truth)).toBe(900);
    expect(errorOf({ atMs: 9_000, exposureMs: 5_000 }, truth)).toBe(4_000);
  });

  it("is as large as what is missing when somebody says that nothing is", () => {
    expect(errorOf({ atMs: 3_000, exposureMs: 0 }, truth)).toBe(1_500);
  });

  it("is not known where the truth is not", () => {
    expect(errorOf({ atMs: -1, exposureMs: 0 }, truth)).toBeUndefined();
  });
});
