// `npm run bench:probes`: how right, how fast and how cheap measuring is. docs/benchmarks.md says how and keeps the last run.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeMachine } from "../machine.ts";
import { putIntoPage } from "../page.ts";
import { benchHistory } from "./history-bench.ts";
import { runOnPair } from "./pair-run.ts";
import { readProbesOptions, USAGE, type ProbesBenchOptions } from "./probes-options.ts";
import { renderProbesReport, type ProbesReport } from "./probes-report.ts";
import { measureScale } from "./scale.ts";

const MARKS = { begin: "<!-- begin of the last run of bench:probes -->", end: "<!-- end of the last run of bench:probes -->" };

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function measure(options: ProbesBenchOptions, folder: string): Promise<ProbesReport> {
  const { parts } = options;
  const base = { at: new Date().toISOString(), machine: describeMachine(folder) };
  const needsPair = ["backends", "truth", "breach", "scale"].some((part) => (parts as ReadonlySet<string>).has(part));
  const found = needsPair ? await runOnPair({ ...options, folder, say }) : undefined;
  const { tape, ...pair } = found ?? {};
  let scale: ProbesReport["scale"];
  if (parts.has("scale") && tape !== undefined) {
    const place = join(folder, "scale");
    mkdirSync(place);
    scale = await measureScale(tape, { stores: options.stores, seconds: options.scaleSeconds, folder: place, say });
  }
  if (parts.has("history")) say("history: 90 days are made");
  const history = parts.has("history") ? benchHistory(options.history) : undefined;
  return {
    ...base,
    ...(found === undefined ? {} : { pair: pair as NonNullable<ProbesReport["pair"]> }),
    ...(scale === undefined ? {} : { scale }),
    ...(history === undefined ? {} : { history }),
  };
}

async function main(): Promise<number> {
  let options: ProbesBenchOptions | "help";
  try {
    options = readProbesOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 64;
  }
  if (options === "help") {
    process.stdout.write(USAGE);
    return 0;
  }
  const folder = mkdtempSync(join(options.dir, "tidemark-bench-probes-"));
  // PostgreSQL's user must be able to enter it, or its data would be put elsewhere and stay behind.
  chmodSync(folder, 0o711);
  try {
    const report = await measure(options, folder);
    const text = renderProbesReport(report);
    process.stdout.write(text);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
    if (options.write) putIntoPage(text, MARKS);
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
