// Runs a development task under Node 24, whatever Node npm itself runs under. Usage: node tools/run.mjs <task> [args]
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { findNode, runtimeEnvironment } from "../packages/tidemark/bin/node-runtime.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const module_ = (path) => join(root, "node_modules", path);
const node = findNode();
const source = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"];
const [task, ...rest] = process.argv.slice(2);

/** Each task is a list of command lines, run in order; the first failure ends it. */
const tasks = {
  typecheck: [[module_("typescript/bin/tsc"), "-b"]],
  lint: [[module_("oxlint/bin/oxlint"), "--type-aware", "--deny-warnings"]],
  format: [[module_("oxfmt/bin/oxfmt"), "."]],
  "format-check": [[module_("oxfmt/bin/oxfmt"), "--check", "."]],
  knip: [[module_("knip/bin/knip.js"), "--no-config-hints"]],
  test: [[module_("vitest/vitest.mjs"), "run"]],
  bench: [[...source, "benchmarks/main.ts"]],
  "bench:wal": [[...source, "benchmarks/wal/main.ts"]],
  "bench:probes": [[...source, "benchmarks/probes/main.ts"]],
  "error-docs": [[...source, "tools/generate-error-docs.ts"]],
  "metric-docs": [[...source, "tools/generate-metric-docs.ts"]],
  build: [[module_("typescript/bin/tsc"), "-b"]],
};
// All major versions of PostgreSQL, for the tests of what differs between them; elsewhere 18 and one other in turn. Files may be named; by
// default all that ask which versions to run on.
const askForMajors = () =>
  readdirSync(join(root, "packages"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".pg.test.ts") && !path.includes("node_modules"))
    .map((path) => join("packages", path))
    .filter((path) => readFileSync(join(root, path), "utf8").includes("/test-majors"));
tasks["test-majors"] = [
  [module_("vitest/vitest.mjs"), "run", "--project", "postgres", ...(task === "test-majors" && rest.length === 0 ? askForMajors() : [])],
];
const environments = { "test-majors": [{ TIDEMARK_TEST_PG_MAJORS: process.env.TIDEMARK_TEST_PG_MAJORS || "15,16,17,18" }] };
// Whole clusters and the applier, which take one version a run, on those that `npm test` does not take: one line for each.
const otherMajors = (process.env.TIDEMARK_TEST_PG_MAJORS || "15,16,17").split(",");
const wholePath = ["packages/tidemark/src/cluster/", "packages/tidemark/src/applier/"];
tasks["test-cluster-majors"] = otherMajors.map(() => [module_("vitest/vitest.mjs"), "run", "--project", "postgres", ...wholePath]);
environments["test-cluster-majors"] = otherMajors.map((major) => ({ TIDEMARK_TEST_PG_MAJOR: major }));
tasks.check = [
  ...tasks.typecheck,
  ...tasks.lint,
  ...tasks["format-check"],
  ...tasks.knip,
  [module_("vitest/vitest.mjs"), "run", "--project", "tidy"],
];

if (task === undefined || !(task in tasks)) {
  process.stderr.write(`Usage: node tools/run.mjs <${Object.keys(tasks).join("|")}> [arguments]\n`);
  process.exit(64);
}
for (const [index, line] of tasks[task].entries()) {
  const extra = index === tasks[task].length - 1 ? rest : [];
  const code = await new Promise((resolve) => {
    const child = spawn(node, [...line, ...extra], {
      cwd: root,
      stdio: "inherit",
      env: { ...runtimeEnvironment(), ...environments[task]?.[index], PATH: `${join(node, "..")}:${process.env.PATH}` },
    });
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
    child.on("exit", (status, signal) => resolve(status ?? (signal === "SIGINT" ? 130 : 143)));
  });
  if (code !== 0) process.exit(code);
}
