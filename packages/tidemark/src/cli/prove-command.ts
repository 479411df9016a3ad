import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { EXIT } from "../platform/exit-codes.ts";
import { DEFAULT_FAULT, FAULT_NAMES, type FaultName } from "../prove/faults/fault-name.ts";
import { FAULTS } from "../prove/faults/fault-catalogue.ts";
import { ProgressLine } from "../prove/progress-line.ts";
import { LOGS, prove, writeReport } from "../prove/prove-run.ts";
import { signedProof } from "../prove/proof-file.ts";
import { renderHtml } from "../prove/report/html.ts";
import type { ProofReport } from "../prove/report/report.ts";
import { renderSummary, renderVerdict, type Paint } from "../prove/report/terminal.ts";
import { version, type CommandContext } from "./command-line.ts";
import { DEFAULT_STATE_DIR } from "./place.ts";
import { printError } from "./print-error.ts";
import type { Terminal } from "./terminal.ts";

interface ProveFlags {
  readonly fault: FaultName;
  readonly all?: boolean;
  readonly rate: number;
  readonly seconds?: number;
  readonly seed?: number;
  readonly json?: boolean;
  readonly keep?: boolean;
  readonly output?: string;
}

/** How long the load lasts by default; with `--all`, of each. */
const SECONDS = 15;
const SECONDS_OF_EACH = 8;

/** Around the load: start, fault, settling, stop. For the expected end only. */
const AROUND_MS = 12_000;

/** `tidemark prove`. */
export function proveCommand(context: CommandContext): Command {
  return new Command("prove")
    .description(
      "Breaks a fresh stack under load and counts every write: makes the stack in a temporary place, places orders through its HTTP API from a process of its own, injects a fault, and compares the ledger of receipts with the table.",
    )
    .addOption(new Option("-f, --fault <name>", "what to break").choices(FAULT_NAMES).default(DEFAULT_FAULT))
    .option("-a, --all", "every fault in turn, with a table at the end")
    .option("--rate <n>", "orders a second", wholeNumber(1, 20_000), 300)
    .option("--seconds <n>", `how long the load lasts at least (default: ${SECONDS}, with --all ${SECONDS_OF_EACH})`, wholeNumber(5, 3_600))
    .option("--seed <n>", "seed of the load (default: a new one each time)", wholeNumber(0, 0xffff_ffff))
    .option("--json", "print the report as JSON (with --all, a list), progress to standard error")
    .option("--keep", "leave the stack running, and say where")
    .option("-o, --output <folder>", `where ledger, report and proof go (default: ./${DEFAULT_STATE_DIR}/proofs/<time>-<fault>)`)
    .addHelpText("after", `\nFaults:\n${FAULT_NAMES.map((name) => `  ${name.padEnd(26)}${firstSentence(name)}`).join("\n")}\n${HELP_END}`)
    .action(async (flags: ProveFlags, command: Command) => {
      if (flags.all === true && command.getOptionValueSource("fault") === "cli")
        command.error("error: --all runs every fault; it cannot be given with --fault");
      if (flags.all === true && flags.keep === true) command.error("error: --keep leaves one stack running; it cannot be given with --all");
      context.end(await orExplain(runProofs(flags.all === true ? FAULT_NAMES : [flags.fault], flags, context.terminal), context.terminal));
    });
}

const HELP_END = `
Examples:
  tidemark prove
  tidemark prove --fault lagging-standby --rate 500 --seconds 30
  tidemark prove --all

Exit codes: 0 nothing lost or duplicated · 1 something was · 3 lost what was
  known to be lost before (lose-journal; with --all that counts as 0)
  64 usage · 75 could not be run or judged · 130 interrupted`;

/** A proof that could not be run never ends as one that failed: 1 means that something was lost. */
async function orExplain(run: Promise<number>, terminal: Terminal): Promise<number> {
  try {
    return await run;
  } catch (error) {
    const code = printError(error, terminal);
    if (hasCode(error, "TM-PROVE-USAGE")) return EXIT.usage;
    return code === EXIT.failed ? EXIT.temporary : code;
  }
}

interface Done {
  readonly fault: FaultName;
  readonly exitCode: number;
  readonly report?: ProofReport;
  readonly error?: unknown;
}

async function runProofs(faults: readonly FaultName[], flags: ProveFlags, terminal: Terminal): Promise<number> {
  const interrupt = listenForInterrupt(terminal);
  const done: Done[] = [];
  try {
    for (const fault of faults) {
      done.push(await runOne(fault, faults.length > 1, flags, { terminal, signal: interrupt.signal }));
      if (interrupt.signal.aborted) break;
    }
  } finally {
    interrupt.end();
  }
  const [only] = done;
  if (interrupt.signal.aborted) {
    if (interrupt.fault !== undefined) throw interrupt.fault;
    terminal.err("interrupted; everything that was started has been ended");
    return EXIT.interrupted;
  }
  if (faults.length === 1 && only !== undefined) {
    if (only.error !== undefined) throw only.error;
    if (flags.json === true && only.report !== undefined) terminal.out(JSON.stringify(only.report, null, 2));
    return only.exitCode;
  }
  if (flags.json === true)
    terminal.out(
      JSON.stringify(
        done.map(({ fault, exitCode, report, error }) => ({
          fault,
          exitCode,
          ...(report === undefined ? { error: messageOf(error) } : { report }),
        })),
        null,
        2,
      ),
    );
  else
    terminal.out(
      renderSummary(
        done.map(({ error, ...row }) => ({ ...row, ...(error === undefined ? {} : { trouble: messageOf(error) }) })),
        { columns: terminal.columns, paint: painter(terminal) },
      ),
    );
  return worst(done);
}

async function runOne(
  fault: FaultName,
  oneOfMany: boolean,
  flags: ProveFlags,
  { terminal, signal }: { terminal: Terminal; signal: AbortSignal },
): Promise<Done> {
  const output = outputFolder(fault, oneOfMany, flags);
  const seconds = flags.seconds ?? (oneOfMany ? SECONDS_OF_EACH : SECONDS);
  const seed = flags.seed ?? Math.floor(systemRandom.fraction() * 0xffff_ffff);
  const progress = new ProgressLine(
    fault,
    {
      write: (text) => void process.stderr.write(text),
      columns: terminal.columns,
      live: terminal.interactive && process.stderr.isTTY && flags.json !== true,
    },
    seconds * 1_000 + AROUND_MS,
  );
  try {
    const run = `p${Date.now().toString(36)}${Buffer.from(systemRandom.bytes(2)).toString("hex")}`;
    const result = await prove(
      { fault, ratePerSecond: flags.rate, seconds, seed, run, output, keep: flags.keep === true },
      progress,
      signal,
    );
    progress.end();
    const { report } = result;
    const reportText = writeReport(output, report);
    writeFileSync(join(output, "report.html"), renderHtml(report));
    const keysDir = resolve(DEFAULT_STATE_DIR, "keys");
    const proof = await signedProof(
      report,
      { reportText, configuration: result.configuration, keysDir, version: version() },
      { clock: systemClock, random: systemRandom },
    );
    writeFileSync(join(output, "tidemark.yaml"), result.configuration);
    writeFileSync(join(output, "proof.json"), proof);
    if (flags.json !== true) show(report, { output, oneOfMany, kept: result.kept, terminal });
    return { fault, exitCode: report.exitCode, report };
  } catch (error) {
    progress.end();
    removeUnfinished(output, signal.aborted);
    if (existsSync(join(output, LOGS))) terminal.err(`what the stack said lies in ${shownPath(join(output, LOGS))}`);
    if (!signal.aborted && oneOfMany) terminal.err(`${terminal.paint.bad(fault)} could not be run: ${messageOf(error)}`);
    return { fault, exitCode: EXIT.temporary, error };
  }
}

function show(
  report: ProofReport,
  place: { output: string; oneOfMany: boolean; kept: { configFile: string; stateDir: string } | undefined; terminal: Terminal },
): void {
  const { terminal, kept } = place;
  const shown = shownPath(place.output);
  const files = [
    { label: "report", path: join(shown, "report.html") },
    { label: "figures", path: join(shown, "report.json") },
    { label: "proof", path: join(shown, "proof.json") },
  ];
  if (place.oneOfMany) terminal.out(`\n${terminal.paint.strong(report.fault.name)}`);
  terminal.out(renderVerdict(report, files, { columns: terminal.columns, paint: painter(terminal) }));
  if (kept !== undefined)
    terminal.out(
      `\nThe stack still runs. Look at it and stop it with\n  tidemark status --config ${kept.configFile}\n  tidemark down --config ${kept.configFile}`,
    );
}

/** Relative to the working folder where it lies in there. */
function shownPath(path: string): string {
  const way = relative(process.cwd(), path);
  return way.startsWith("..") ? path : way;
}

/** The worst of all: a failure before one that could not be run. The stated loss of lose-journal is what was to be shown. */
function worst(done: readonly Done[]): number {
  const codes = done.map(({ exitCode }) => (exitCode === EXIT.lossStated ? EXIT.ok : exitCode));
  return codes.includes(EXIT.failed) ? EXIT.failed : Math.max(...codes);
}

function outputFolder(fault: FaultName, oneOfMany: boolean, flags: ProveFlags): string {
  const time = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
  const folder =
    flags.output === undefined
      ? resolve(DEFAULT_STATE_DIR, "proofs", `${time}-${fault}`)
      : resolve(flags.output, ...(oneOfMany ? [fault] : []));
  if (existsSync(join(folder, "ledger.ndjson")))
    throw new TidemarkError("TM-PROVE-USAGE", `there is a proof in ${folder} already; name another folder`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** What a proof that came to no verdict leaves: of one that was interrupted nothing, of one that failed the ledger, if it has one. */
function removeUnfinished(output: string, interrupted: boolean): void {
  if (interrupted) rmSync(join(output, "ledger.ndjson"), { force: true });
  if (readdirSync(output).length === 0) rmdirSync(output);
}

interface Interrupt {
  readonly signal: AbortSignal;
  /** Set when it was not a person but a bug that ended the run. */
  readonly fault: unknown;
  end(): void;
}

/** Ctrl-C ends the proof and everything that it started; so does a bug, or nothing would end the stack. */
function listenForInterrupt(terminal: Terminal): Interrupt {
  const controller = new AbortController();
  let fault: unknown;
  const onSignal = (): void => {
    if (!controller.signal.aborted) terminal.err("\nending everything that was started …");
    controller.abort(new Error("interrupted"));
  };
  const onBug = (error: unknown): void => {
    fault ??= error;
    controller.abort(error);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  process.on("uncaughtException", onBug);
  return {
    signal: controller.signal,
    get fault() {
      return fault;
    },
    end: () => {
      for (const signal of signals) process.off(signal, onSignal);
      process.off("uncaughtException", onBug);
    },
  };
}

function painter({ paint }: Terminal): Paint {
  return (tone, text) => {
    switch (tone) {
      case "soft":
        return paint.dim(text);
      case "bold":
        return paint.strong(text);
      case "plain":
        return text;
      case "good":
      case "bad":
      case "warn":
        return paint[tone](text);
    }
  };
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(`a whole number from ${least} to ${most} is expected.`);
    return value;
  };
}

function firstSentence(name: FaultName): string {
  const [first = ""] = FAULTS[name].summary.split(/[.:,] | with SIG/);
  return first.replace(/\.$/, "");
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split("\n")[0] ?? message;
}
