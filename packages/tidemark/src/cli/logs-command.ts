import { open, readdir, stat, watch } from "node:fs/promises";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { TidemarkError } from "@tidemark/kernel/errors";
import { didYouMean } from "../config/did-you-mean.ts";
import type { CommandContext } from "./command-line.ts";
import { formatLogLine } from "./log-line.ts";
import { findPlace, stateDirOf, withPlace, type PlaceOptions } from "./place.ts";
import type { Terminal } from "./terminal.ts";

/** The end of a log that is looked at for its last lines. */
const TAIL_BYTES = 1_048_576;
const MOST_LINES = 100_000;

interface LogsOptions extends PlaceOptions {
  readonly follow?: boolean;
  readonly lines: number;
  readonly json?: boolean;
}

/** `tidemark logs [role]`. */
export function logsCommand(context: CommandContext): Command {
  return withPlace(new Command("logs"))
    .description("Shows what the roles say, of all of them in order of time, or of one.")
    .argument("[role]", "control, gateway, agent-<node>, vault-<vault>, supervisor")
    .option("-f, --follow", "go on showing what comes")
    .option("-n, --lines <number>", "the last so many lines of each role", lineCount, 20)
    .option("--json", "print the lines as they are, JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark logs\n  tidemark logs gateway -n 100\n  tidemark logs agent-pg1 --follow\n\nExit codes: 0 shown · 64 there is no such role · 69 there are no logs here",
    )
    .action(async (role: string | undefined, options: LogsOptions) => showLogs(context.terminal, role, options));
}

function lineCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0 || count > MOST_LINES)
    throw new InvalidArgumentError(`a whole number from 0 to ${MOST_LINES}.`);
  return count;
}

async function showLogs(terminal: Terminal, role: string | undefined, options: LogsOptions): Promise<void> {
  const folder = join(await stateDirOf(await findPlace(options)), "logs");
  const names = await logNames(folder);
  if (names.length === 0) throw new TidemarkError("TM-PLATFORM-NOT-UP", `show the logs in ${folder}: there are none`);
  const chosen = role === undefined ? names : names.filter((name) => name === role);
  if (chosen.length === 0) {
    const meant = didYouMean(role ?? "", names);
    throw new TidemarkError("TM-PLATFORM-ROLE-UNKNOWN", `show the log of "${role}", which is not there`, {
      hint: meant === undefined ? `There are logs of ${names.join(", ")}.` : `Did you mean ${meant}?`,
    });
  }
  const print = (name: string, line: string): void =>
    terminal.out(options.json === true ? line : formatLogLine(line, { role: chosen.length > 1 ? name : undefined, paint: terminal.paint }));
  const tails = await Promise.all(chosen.map(async (name) => ({ name, ...(await readTail(join(folder, `${name}.log`), options.lines)) })));
  const lines = tails.flatMap(({ name, lines: own }) => own.map((line, index) => ({ name, line, index, time: timeOf(line) })));
  // Lines without a time (a crash's stack) stay behind the line before them: the sort is stable within a role.
  for (const { name, line } of lines.toSorted((a, b) => (a.name === b.name ? a.index - b.index : a.time - b.time))) print(name, line);
  if (options.follow === true) await follow(folder, new Map(tails.map(({ name, size }) => [name, size])), print);
}

async function logNames(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder))
      .filter((name) => name.endsWith(".log"))
      .map((name) => name.slice(0, -4))
      .toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function readTail(file: string, count: number): Promise<{ lines: string[]; size: number }> {
  const { size } = await stat(file);
  const text = await readRange(file, Math.max(0, size - TAIL_BYTES), size);
  const lines = text.split("\n").slice(size > TAIL_BYTES ? 1 : 0);
  if (lines.at(-1) === "") lines.pop();
  return { lines: count === 0 ? [] : lines.slice(-count), size };
}

async function readRange(file: string, from: number, to: number): Promise<string> {
  const handle = await open(file, "r");
  try {
    const bytes = Buffer.alloc(to - from);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, from);
    return bytes.subarray(0, bytesRead).toString("utf8");
  } finally {
    await handle.close();
  }
}

/** Shows what is appended, from the sizes seen so far; a log that was put aside begins anew. Ends with the process. */
async function follow(folder: string, seen: Map<string, number>, print: (name: string, line: string) => void): Promise<void> {
  const rest = new Map<string, string>();
  const look = async (): Promise<void> => {
    for (const [name, before] of seen) {
      const file = join(folder, `${name}.log`);
      const { size } = await stat(file);
      if (size === before) continue;
      const text = (rest.get(name) ?? "") + (await readRange(file, size < before ? 0 : before, size));
      seen.set(name, size);
      const lines = text.split("\n");
      rest.set(name, lines.pop() ?? "");
      for (const line of lines) print(name, line);
    }
  };
  const changes = watch(folder);
  await look();
  for await (const _ of changes) await look();
}

function timeOf(line: string): number {
  const match = /"time":(?:"([^"]+)"|(\d+))/.exec(line);
  return match === null ? 0 : match[1] === undefined ? Number(match[2]) : Date.parse(match[1]);
}
