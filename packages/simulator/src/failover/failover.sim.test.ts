import { describe, expect, it } from "vitest";
import { MUTATIONS } from "./mutation.ts";
import type { Mutation } from "./mutation.ts";
import type { Shape } from "./world.ts";
import { World, optionsFor } from "./world.ts";

/** TIDEMARK_SIM_SEED shifts the seeds, TIDEMARK_SIM_RUNS sets how many each shape gets. */
const first = Number(process.env["TIDEMARK_SIM_SEED"] ?? "1");
const runs = Number(process.env["TIDEMARK_SIM_RUNS"] ?? "24");

const SHAPES = [
  { nodes: 2, vaults: 0, required: 1 },
  { nodes: 3, vaults: 0, required: 1 },
  { nodes: 3, vaults: 0, required: 2 },
  { nodes: 2, vaults: 0, required: 0 },
  { nodes: 3, vaults: 0, required: 0 },
  { nodes: 2, vaults: 1, required: 1 },
  { nodes: 2, vaults: 1, required: 2 },
  { nodes: 3, vaults: 1, required: 2 },
  { nodes: 2, vaults: 2, required: 2 },
  { nodes: 1, vaults: 1, required: 1 },
  { nodes: 2, vaults: 1, required: 0 },
] as const satisfies Shape[];

const WITH_VAULTS = SHAPES.filter((shape) => shape.vaults > 0 && shape.nodes > 1 && shape.required > 0);

/** How many seeds a mutation may take to show itself, over its shapes. */
const MOST_SEEDS = 150;

/** Where a rule matters, when not everywhere. */
const SHAPES_OF: Readonly<Partial<Record<Mutation, readonly Shape[]>>> = {
  "R4-vote-received": [SHAPES[1]],
  "begin-with-members": [SHAPES[1]],
  "R5-no-wait": [SHAPES[3], SHAPES[4]],
  "NO-LOSS-not-completed": WITH_VAULTS,
  "R4-vault-votes-received": [SHAPES[5]],
  "R3-vault-acknowledges-on": WITH_VAULTS,
  "R6-wiped-vault-keeps-identity": WITH_VAULTS,
};

describe("the failover protocol in the simulator", () => {
  it.each(SHAPES)(
    "has one writer, loses nothing and comes back: $nodes nodes, $vaults vaults, $required required",
    (shape) => {
      for (let seed = first; seed < first + runs; seed++) {
        const options = optionsFor(seed, shape);
        const result = new World(seed, options).run();
        expect(result.violations, `seed ${seed}, ${JSON.stringify({ ...options, slow: [...options.slow] })}`).toEqual([]);
        expect(result.acknowledged).toBeGreaterThan(0);
      }
    },
    120_000,
  );

  it("gives the same run for the same seed", () => {
    const run = (): unknown => new World(7, optionsFor(7, SHAPES[7])).run();
    expect(run()).toEqual(run());
  });

  it("goes through failovers, and states losses where copies are asynchronous", () => {
    let reigns = 0;
    let stated = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const result = new World(seed, optionsFor(seed, SHAPES[3])).run();
      reigns += result.reigns;
      stated += result.statedLosses;
    }
    expect(reigns).toBeGreaterThan(8);
    expect(stated).toBeGreaterThan(0);
  });

  it("completes candidates from vaults, and loses primaries for good, with a vault and without", () => {
    let completions = 0;
    const burnt = new Set<number>();
    for (let seed = 1; seed <= 24; seed++) {
      const result = new World(seed, optionsFor(seed, SHAPES[6])).run();
      completions += result.completions;
      burnt.add(result.burnt.length);
    }
    expect(completions).toBeGreaterThan(3);
    expect([...burnt]).toEqual(expect.arrayContaining([1, 2]));
  });

  it.each(MUTATIONS)(
    "breaks without the rule: %s",
    (mutation) => {
      const shapes = SHAPES_OF[mutation] ?? SHAPES;
      for (let seed = 1; seed <= MOST_SEEDS; seed++) {
        for (const shape of shapes) {
          if (new World(seed, optionsFor(seed, shape), mutation).run().violations.length > 0) return;
        }
      }
      expect.unreachable(`${MOST_SEEDS} seeds did not show that ${mutation} matters`);
    },
    120_000,
  );
});
