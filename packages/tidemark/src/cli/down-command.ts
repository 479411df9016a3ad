import { Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "@tidemark/kernel/duration";
import { TidemarkError } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { sleep } from "@tidemark/kernel/clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { Config } from "../config/config.ts";
import { EXIT } from "../platform/exit-codes.ts";
import { endLeftoverRoles, living, livingServers, stopServers } from "../platform/leftovers.ts";
import { withRealDataDirs } from "../platform/data-place.ts";
import { isAlive, signalProcess } from "../platform/process-identity.ts";
import { readRunFile, removeRunFile } from "../platform/run-file.ts";
import { loadConfig } from "../config/load-config.ts";
import type { CommandContext } from "./command-line.ts";
import { findPlace, stateDirOf, withPlace, type PlaceOptions } from "./place.ts";
import type { Terminal } from "./terminal.ts";

const LOOK_MS = 50;

/** For commander: a duration option. */
export function durationOption(text: string): number {
  try {
    return parseDuration(text);
  } catch {
    throw new InvalidArgumentError("write a number with a unit: ms, s, m or h, such as 30s.");
  }
}

/** `tidemark down`. */
export function downCommand(context: CommandContext): Command {
  return withPlace(new Command("down"))
    .description("Stops the stack in order (the gateway drains, PostgreSQL stops, control ends) and waits until all has ended.")
    .addOption(new Option("--timeout <duration>", "how long to wait").argParser(durationOption).default(90_000, "90s"))
    .option("--json", "print what was done as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark down\n  tidemark down --timeout 5m\n\nExit codes: 0 everything has ended · 69 nothing runs here · 75 not all has ended",
    )
    .action(async (options: PlaceOptions & { timeout: number; json?: boolean }) => context.end(await takeDown(context.terminal, options)));
}

async function takeDown(terminal: Terminal, options: PlaceOptions & { timeout: number; json?: boolean }): Promise<number> {
  const stateDir = await stateDirOf(await findPlace(options));
  const run = await readRunFile(stateDir);
  if (run === undefined) throw new TidemarkError("TM-PLATFORM-NOT-UP", `stop the stack in ${stateDir}: nothing runs there`);
  const startedMs = systemClock.monotonicMs();
  const say = (text: string): void => {
    if (options.json !== true) terminal.out(text);
  };
  if (isAlive(run.supervisor)) {
    say(`stopping ${run.roles.length} roles (supervisor ${run.supervisor.pid})`);
    signalProcess(run.supervisor, "SIGTERM");
    const deadlineMs = startedMs + options.timeout;
    while (isAlive(run.supervisor)) {
      if (systemClock.monotonicMs() > deadlineMs) {
        const left = living((await readRunFile(stateDir)) ?? run).map((role) => role.name);
        throw new TidemarkError(
          "TM-PLATFORM-NOT-DOWN",
          `stop the stack in ${stateDir}: after ${options.timeout} ms still running: ${left.join(", ") || "the supervisor"}`,
        );
      }
      await sleep(systemClock, LOOK_MS);
    }
  } else {
    // A killed supervisor left these; without it nobody would start them again, nor stop the servers whose agents died.
    say("the supervisor is gone; ending what it left");
    await endLeftoverRoles(run, { clock: systemClock, logger: silentLogger });
    const config = await readConfig(run.configFile, stateDir);
    if (config !== undefined && (await livingServers(config)).length > 0) await stopServers(config, systemClock);
    await removeRunFile(stateDir);
  }
  const tookMs = Math.round(systemClock.monotonicMs() - startedMs);
  if (options.json === true) terminal.out(JSON.stringify({ stopped: run.roles.map((role) => role.name), tookMs }));
  else terminal.out(`${terminal.paint.good("✓")} everything has ended (${tookMs} ms)`);
  return EXIT.ok;
}

/** The configuration that the run used, if it can still be read: it may have been edited into something wrong since. */
async function readConfig(configFile: string, stateDir: string): Promise<Config | undefined> {
  try {
    return await withRealDataDirs(await loadConfig(configFile, { stateDir }));
  } catch (error) {
    if (error instanceof TidemarkError) return undefined;
    throw error;
  }
}
