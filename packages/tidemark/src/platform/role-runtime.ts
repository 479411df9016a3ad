// What every role's process has in common: its log, its signals, its channel to the supervisor, and how it ends.
import { pino } from "pino";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import type { Config } from "../config/config.ts";
import { ConfigError } from "../config/config-problem.ts";
import { formatAddress } from "../config/listen-address.ts";
import { loadConfig } from "../config/load-config.ts";
import { prepareStateDir, withRealDataDirs } from "./data-place.ts";
import { EXIT } from "./exit-codes.ts";
import type { FromRole } from "./role-link.ts";
import { keepCompiled } from "./compile-cache.ts";

/** How long a role may take to stop after its supervisor is gone or a signal came, before it ends anyway. */
const STOP_LIMIT_MS = 90_000;

/** What a role is run with. */
export interface RoleContext {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborts when the role shall stop cleanly. */
  readonly signal: AbortSignal;
  /** Aborts when it shall stop waiting for what a clean stop waits for (a second signal). */
  readonly hurry: AbortSignal;
  /** To be called once, when the role does its work. */
  readonly onReady: (facts?: { readonly host?: string; readonly port?: number; readonly url?: string }) => void;
  /** To be called when a process of its own starts, and with null when it has ended. */
  readonly onChild: (name: string, pid: number | null) => void;
}

export interface RoleOptions {
  readonly role: string;
  readonly configFile: string;
  readonly stateDir?: string;
}

/** Runs a role until it stops, and answers the exit code: FAIL-STOP and wrong configurations are final, other faults may pass. */
export async function runRoleProcess(options: RoleOptions, run: (context: RoleContext) => Promise<void>): Promise<number> {
  const logger = openLogger(options.role);
  const stop = new AbortController();
  const hurry = new AbortController();
  listen(stop, hurry, logger);
  try {
    const written = await loadConfig(options.configFile, options.stateDir === undefined ? {} : { stateDir: options.stateDir });
    await prepareStateDir(written);
    await run({
      config: await withRealDataDirs(written),
      logger,
      clock: systemClock,
      random: systemRandom,
      signal: stop.signal,
      hurry: hurry.signal,
      onReady: (facts) => {
        // Whoever starts a role by hand sees that it works, and where.
        logger.info(addressOf(facts), "ready");
        tell({ type: "ready", ...addressOf(facts) });
        keepCompiled();
      },
      onChild: (name, pid) => tell({ type: "child", name, pid }),
    });
    logger.info({}, "stopped");
    return EXIT.ok;
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) return EXIT.ok;
    return explain(error, logger);
  }
}

/** The exit code for the error that ended a role: what the same attempt cannot cure is final (FAIL-STOP among it). */
function roleExitCode(error: unknown): number {
  if (error instanceof ConfigError) return EXIT.configuration;
  if (isUnknownRole(error)) return EXIT.usage;
  if (error instanceof TidemarkError) return error.retry === "never" ? EXIT.failStop : EXIT.temporary;
  return EXIT.failed;
}

function isUnknownRole(error: unknown): boolean {
  return error instanceof TidemarkError && error.code === "TM-PLATFORM-ROLE-UNKNOWN";
}

function explain(error: unknown, logger: Logger): number {
  const code = roleExitCode(error);
  if (error instanceof TidemarkError) {
    // What somebody wrote wrong has places, and no stack that would help anybody.
    const more = error instanceof ConfigError ? { problems: error.problems } : isUnknownRole(error) ? {} : { err: error };
    logger.error({ code: error.code, ...more, hint: error.hint }, error.message);
    tell({ type: "failed", code: error.code, message: error.message, hint: error.hint });
  } else {
    // A bug, or a fault that nobody gave a code to: the stack is in the log, and starting again may help.
    logger.error({ err: error }, "ended by an unexpected error");
    tell({ type: "failed", code: "", message: error instanceof Error ? error.message : String(error), hint: "" });
  }
  return code;
}

function openLogger(role: string): Logger {
  return pino(
    { level: process.env["TIDEMARK_LOG_LEVEL"] ?? "info", base: { role, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 1, sync: true }),
  );
}

function listen(stop: AbortController, hurry: AbortController, logger: Logger): void {
  const ask = (why: string): void => {
    if (stop.signal.aborted) {
      hurry.abort(new Error(`asked again to stop: ${why}`));
      return;
    }
    logger.info({ why }, "stopping");
    stop.abort(new Error(`asked to stop: ${why}`));
    setTimeout(() => {
      logger.error({ limitMs: STOP_LIMIT_MS }, "has not stopped in time, ending");
      process.exit(EXIT.temporary);
    }, STOP_LIMIT_MS).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ask(signal));
  if (process.channel !== undefined) {
    process.on("disconnect", () => ask("the supervisor is gone"));
    // The channel must not keep a role alive that has nothing left to do.
    process.channel.unref();
  }
}

/** Where a role says that it listens, as `host:port`. */
function addressOf(facts: { readonly host?: string; readonly port?: number } | undefined): { address?: string } {
  return facts?.host === undefined || facts.port === undefined ? {} : { address: formatAddress({ host: facts.host, port: facts.port }) };
}

/** Tells the supervisor, where there is one. A channel that closed meanwhile is no fault: the role stops anyway. */
function tell(message: FromRole): void {
  if (process.connected) process.send?.(message, () => undefined);
}
