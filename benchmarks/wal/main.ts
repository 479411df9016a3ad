// `npm run bench:wal`: the vault beside pg_receivewal, in one run, on one disk, with fsync on. docs/benchmarks.md says how and
// keeps the last run.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeMachine } from "../machine.ts";
import { putIntoPage } from "../page.ts";
import { readWalOptions, USAGE, type WalBenchOptions } from "./wal-options.ts";
import { WalPrimary } from "./wal-primary.ts";
import { renderWalReport, type WalReport } from "./wal-report.ts";
import { runWalSuite } from "./wal-suite.ts";

const MARKS = { begin: "<!-- begin of the last run of bench:wal -->", end: "<!-- end of the last run of bench:wal -->" };

async function main(): Promise<number> {
  let options: WalBenchOptions | "help";
  try {
    options = readWalOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 64;
  }
  if (options === "help") {
    process.stdout.write(USAGE);
    return 0;
  }
  const folder = mkdtempSync(join(options.dir, "tidemark-bench-wal-"));
  // PostgreSQL's user must be able to enter it, or its data would be put elsewhere and stay behind.
  chmodSync(folder, 0o711);
  let primary: WalPrimary | undefined;
  const clearUp = async (): Promise<void> => {
    await primary?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void clearUp().finally(() => process.exit(1)));
  try {
    const machine = describeMachine(folder);
    primary = await WalPrimary.start(folder);
    const suite = await runWalSuite(primary, { options, folder, say: (line) => void process.stderr.write(`${line}\n`) });
    const report: WalReport = { at: new Date().toISOString(), rounds: options.rounds, seconds: options.seconds, machine, ...suite };
    const text = renderWalReport(report);
    process.stdout.write(text);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
    if (options.write) putIntoPage(text, MARKS);
    return 0;
  } finally {
    await clearUp();
  }
}

process.exitCode = await main();
