import { describe, expect, it } from "vitest";
import { MUTATIONS, type Mutation } from "./mutation.ts";
import { simulateWrites } from "./writes-simulation.ts";

const SEEDS = Number(process.env["TIDEMARK_SIM_SEEDS"] ?? 60);
const FIRST = Number(process.env["TIDEMARK_SIM_SEED"] ?? 1);
/** Seeds within which a switched off rule must be found. */
const WITHIN = 150;

describe("the write protocol, simulated", () => {
  it(`loses, doubles, reorders and misjudges nothing (${SEEDS} seeds from ${FIRST})`, { timeout: 300_000 }, async () => {
    let failovers = 0;
    let crashes = 0;
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      const result = await simulateWrites({ seed, mutation: "none" });
      expect(result.violations, result.drawn).toEqual([]);
      failovers += result.failovers;
      crashes += result.crashes;
    }
    // The seeds must draw what the rules are for.
    expect(failovers).toBeGreaterThan(SEEDS / 2);
    expect(crashes).toBeGreaterThan(SEEDS / 2);
  });

  it("is decided by its seed alone", async () => {
    const [first, second] = [await simulateWrites({ seed: 7, mutation: "none" }), await simulateWrites({ seed: 7, mutation: "none" })];
    expect(first).toEqual(second);
  });

  for (const mutation of Object.keys(MUTATIONS) as Mutation[]) {
    if (mutation === "none") continue;
    it(`finds out within ${WITHIN} seeds when ${MUTATIONS[mutation]}`, { timeout: 300_000 }, async () => {
      for (let seed = 1; seed <= WITHIN; seed++) {
        const { violations } = await simulateWrites({ seed, mutation });
        if (violations.length > 0) return;
      }
      expect.fail("no checker noticed");
    });
  }
});
