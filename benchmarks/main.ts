// `npm run bench`: measures Tidemark beside what people use today, in one run, on one disk, with fsync on. docs/benchmarks.md
// says how and keeps the last run.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readOptions, USAGE, type BenchOptions } from "./bench-options.ts";
import { measureFailover } from "./failover.ts";
import { describeMachine } from "./machine.ts";
import { measureMemory } from "./memory.ts";
import { stopPeers } from "./contenders/peer-process.ts";
import { putIntoPage } from "./page.ts";
import { renderReport, type BenchReport } from "./report.ts";
import { BenchStack } from "./stack/bench-stack.ts";
import { Suite } from "./suite.ts";

const MARKS = { begin: "<!-- begin of the last run -->", end: "<!-- end of the last run -->" };

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function measure(options: BenchOptions, folder: string): Promise<BenchReport> {
  const base = {
    at: new Date().toISOString(),
    rounds: options.rounds,
    seconds: options.measureMs / 1_000,
    machine: describeMachine(folder),
  };
  const suite = options.noTable ? undefined : await new Suite({ options, folder, say }).run();
  const memory = options.memory ? await withStack(join(folder, "memory"), (stack) => measureMemory(stack, say)) : undefined;
  const failover = options.failover ? await measureFailover(folder, say) : undefined;
  return {
    ...base,
    ...(suite === undefined ? {} : { suite }),
    ...(memory === undefined ? {} : { memory }),
    ...(failover === undefined ? {} : { failover }),
  };
}

async function withStack<T>(folder: string, work: (stack: BenchStack) => Promise<T>): Promise<T> {
  const stack = await BenchStack.start(folder);
  try {
    return await work(stack);
  } finally {
    await stack.close();
  }
}

/** What was measured until then is of no use; what was started must not stay. */
function leave(folder: string, code: number): never {
  rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}

async function main(): Promise<number> {
  let options: BenchOptions | "help";
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 64;
  }
  if (options === "help") {
    process.stdout.write(USAGE);
    return 0;
  }
  const folder = mkdtempSync(join(options.dir, "tidemark-bench-"));
  // PostgreSQL's user must be able to enter it, or its data would be put elsewhere and stay behind.
  chmodSync(folder, 0o711);
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => void stopPeers().finally(() => leave(folder, code)));
  }
  try {
    const report = await measure(options, folder);
    const text = renderReport(report);
    process.stdout.write(text);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
    if (options.write) putIntoPage(text, MARKS);
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
