// Suites by what a test needs: x.test.ts (pure, fast), x.sim.test.ts (simulated world), x.fuzz.test.ts (random input),
// x.pg.test.ts (a real PostgreSQL), x.e2e.ts (the whole stack as processes), tools/tidy (the repository itself).
import { defineConfig } from "vitest/config";

// Not "module": bundlers' builds under that name (the AWS SDK's) are no modules that Node can load.
const conditions = ["@tidemark/source", "node", "import", "default"];
const shared = { resolve: { conditions }, ssr: { resolve: { conditions, externalConditions: conditions } } };
const node = {
  environment: "node" as const,
  execArgv: ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"],
  pool: "forks" as const,
};

export default defineConfig({
  ...shared,
  test: {
    maxWorkers: 2,
    reporters: ["default", "./tools/count-reporter.ts"],
    passWithNoTests: false,
    projects: [
      {
        ...shared,
        test: {
          ...node,
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "benchmarks/**/*.test.ts"],
          exclude: ["**/*.pg.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          ...node,
          name: "postgres",
          include: ["packages/*/src/**/*.pg.test.ts", "benchmarks/**/*.pg.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        ...shared,
        test: {
          ...node,
          name: "e2e",
          include: ["packages/*/src/**/*.e2e.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      { ...shared, test: { ...node, name: "tidy", include: ["tools/tidy/*.test.ts"], testTimeout: 60_000 } },
    ],
  },
});
