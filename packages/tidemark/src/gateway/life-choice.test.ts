import { seededRandom } from "@tidemark/kernel/random";
import { describe, expect, it } from "vitest";
import { LifeChoice } from "./life-choice.ts";

/** Seconds of so many requests each; answers how many were chosen in each second. */
function seconds(
  choice: LifeChoice,
  rates: readonly number[],
  tookMs: (index: number) => number = () => 1,
): { chance: number; slow: number }[] {
  return rates.map((rate, second) => {
    const counted = { chance: 0, slow: 0 };
    for (let index = 0; index < rate; index++) {
      const chosen = choice.choose(tookMs(index));
      if (chosen === "by-chance") counted.chance++;
      if (chosen === "slow") counted.slow++;
    }
    choice.tick((second + 1) * 1_000);
    return counted;
  });
}

describe("the choice of writes whose lives are recorded", () => {
  it("takes every one of a few, and about ten a second of many", () => {
    const [first, ...others] = seconds(new LifeChoice(seededRandom(1)), [5, ...Array.from({ length: 40 }, () => 20_000)]);
    expect(first?.chance).toBe(5);
    const chosen = others.slice(1).reduce((sum, { chance }) => sum + chance, 0);
    expect(chosen / 39).toBeGreaterThan(8);
    expect(chosen / 39).toBeLessThan(12);
  });

  it("is not taken by surprise by a rush, and forgets it when it is over", () => {
    const counted = seconds(new LifeChoice(seededRandom(2)), [2, 50_000, 50_000, 3, 3, 3]);
    expect(counted[1]?.chance).toBeLessThan(200);
    expect(counted.at(-1)?.chance).toBe(3);
  });

  it("gives each request the same chance, wherever it stands in a rhythm", () => {
    const choice = new LifeChoice(seededRandom(3));
    const byPlace = Array.from({ length: 4 }, () => 0);
    for (let second = 0; second < 400; second++) {
      for (let index = 0; index < 1_000; index++) if (choice.choose(0) === "by-chance") byPlace[index % 4] = (byPlace[index % 4] ?? 0) + 1;
      choice.tick(second * 1_000);
    }
    const all = byPlace.reduce((sum, one) => sum + one, 0);
    for (const one of byPlace) expect(one / all).toBeGreaterThan(0.22);
  });

  it("takes what was slower than the slowest of its minute, and begins anew with the next one", () => {
    const choice = new LifeChoice(seededRandom(4));
    seconds(choice, [10_000], (index) => index % 7);
    for (let index = 0; index < 1_000; index++) choice.choose(1);
    const slow = Array.from({ length: 50 }, (_, index) => choice.choose(1_000 + index));
    expect(slow.every((chosen) => chosen !== undefined)).toBe(true);
    expect(seconds(choice, [10_000]).map((counted) => counted.slow)).toEqual([0]);
    for (let second = 0; second < 61; second++) choice.tick(second * 1_000 + 10_000);
    expect(seconds(choice, [200], (index) => index)[0]?.slow).toBeGreaterThan(0);
  });
});
