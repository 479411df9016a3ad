import { describe, expect, it } from "vitest";
import { MUTATIONS } from "./mutation.ts";
import type { Mutation } from "./mutation.ts";
import { World, optionsFor } from "./world.ts";

/** TIDEMARK_SIM_SEED shifts the seeds, TIDEMARK_SIM_RUNS sets how many each shape gets. */
const first = Number(process.env["TIDEMARK_SIM_SEED"] ?? "1");
const runs = Number(process.env["TIDEMARK_SIM_RUNS"] ?? "24");

const SHAPES = [
  { nodes: 2, required: 1 },
  { nodes: 3, required: 1 },
  { nodes: 3, required: 2 },
  { nodes: 2, required: 0 },
  { nodes: 3, required: 0 },
] as const;

/** How many seeds a mutation may take to show itself, over its shapes. */
const MOST_SEEDS = 150;

/** Where a rule matters, when not everywhere. */
const SHAPES_OF: Readonly<Partial<Record<Mutation, readonly (typeof SHAPES)[number][]>>> = {
  "R4-vote-received": [SHAPES[1]],
  "begin-with-members": [SHAPES[1]],
  "R5-no-wait": [SHAPES[3], SHAPES[4]],
};

describe("the failover protocol in the simulator", () => {
  it.each(SHAPES)(
    "has one writer, loses nothing and comes back: $nodes nodes, $required required",
    ({ nodes, required }) => {
      for (let seed = first; seed < first + runs; seed++) {
        const options = optionsFor(seed, nodes, required);
        const result = new World(seed, options).run();
        expect(result.violations, `seed ${seed}, ${JSON.stringify({ ...options, slow: [...options.slow] })}`).toEqual([]);
        expect(result.acknowledged).toBeGreaterThan(0);
      }
    },
    120_000,
  );

  it("gives the same run for the same seed", () => {
    const run = (): unknown => new World(7, optionsFor(7, 3, 1)).run();
    expect(run()).toEqual(run());
  });

  it("goes through failovers, and states losses where copies are asynchronous", () => {
    let reigns = 0;
    let stated = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const result = new World(seed, optionsFor(seed, 2, 0)).run();
      reigns += result.reigns;
      stated += result.statedLosses;
    }
    expect(reigns).toBeGreaterThan(8);
    expect(stated).toBeGreaterThan(0);
  });

  it.each(MUTATIONS)(
    "breaks without the rule: %s",
    (mutation) => {
      const shapes = SHAPES_OF[mutation] ?? SHAPES;
      for (let seed = 1; seed <= MOST_SEEDS; seed++) {
        for (const { nodes, required } of shapes) {
          if (new World(seed, optionsFor(seed, nodes, required), mutation).run().violations.length > 0) return;
        }
      }
      expect.unreachable(`${MOST_SEEDS} seeds did not show that ${mutation} matters`);
    },
    120_000,
  );
});
