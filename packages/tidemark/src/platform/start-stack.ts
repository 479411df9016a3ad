import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { FileLock } from "../audit/file-lock.ts";
import type { Config } from "../config/config.ts";
import { formatAddress } from "../config/listen-address.ts";
import { gatewayUrl } from "../cluster/gateway-reach.ts";
import { loadConfig } from "../config/load-config.ts";
import { prepareStateDir, withRealDataDirs } from "./data-place.ts";
import { endLeftoverRoles, stopServers, supervisorLockPath } from "./leftovers.ts";
import { checkPorts } from "./port-check.ts";
import { planRoles, type RolePlan } from "./role-plan.ts";
import { readRunFile, removeRunFile, type RunningRole } from "./run-file.ts";
import type { RoleHappening } from "./supervised-role.ts";
import { Supervisor } from "./supervisor.ts";

export interface StackOptions {
  readonly configFile: string;
  readonly stateDir?: string;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly onHappening?: (happening: RoleHappening) => void;
  /** The roles to run. Default: those of the configuration. */
  readonly plan?: (config: Config) => readonly RolePlan[];
  /** Looks whether the roles' ports are free. Default: {@link checkPorts}. */
  readonly checkPorts?: (config: Config) => Promise<void>;
}

/** A stack that this process supervises. */
export interface Stack {
  readonly config: Config;
  readonly supervisorPid: number;
  /** What runs now, the applier with it. */
  roles(): RunningRole[];
  /** Resolves when every role was ready once, or one ended for good before: then with why. */
  settled(): Promise<{ role: string; code: string; message: string; hint: string } | undefined>;
  /** Stops everything in order; resolves when all has ended. Idempotent. */
  stop(): Promise<void>;
  /** Stops waiting for clean stops. */
  hurry(): void;
}

/**
 * Starts the whole stack of a configuration on this machine, each role as a process of its own, supervised by this
 * process. Ends what a killed supervisor left behind. Rejects with TM-CONFIG-*, TM-PLATFORM-STATE-DIR, or
 * TM-PLATFORM-ALREADY-UP when another supervisor uses the state folder, or TM-PLATFORM-PORT-IN-USE; then nothing was
 * started.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const clock = options.clock ?? systemClock;
  const { logger } = options;
  const config = await loadConfig(options.configFile, options.stateDir === undefined ? {} : { stateDir: options.stateDir });
  await prepareStateDir(config);
  const lock = await lockStateDir(config.stateDir, clock);
  try {
    const before = await readRunFile(config.stateDir);
    if (before !== undefined) {
      await endLeftoverRoles(before, { clock, logger });
      await removeRunFile(config.stateDir);
    }
    await (options.checkPorts ?? checkPorts)(config);
  } catch (error) {
    lock.close();
    throw error;
  }
  const supervisor = new Supervisor({
    plans: (options.plan ?? planRoles)(config),
    stateDir: config.stateDir,
    configFile: config.file,
    gatewayUrl: gatewayUrl(config.gateway),
    controlUrl: `http://${formatAddress(config.control)}`,
    clock,
    logger,
    ...(options.onHappening === undefined ? {} : { onHappening: options.onHappening }),
  });
  const stopping = new AbortController();
  let hurried = false;
  const run = async (): Promise<void> => {
    try {
      await supervisor.run(stopping.signal);
      if (hurried) await stopServers(await withRealDataDirs(config), clock);
    } finally {
      lock.close();
    }
  };
  const ended = run();
  return {
    config,
    supervisorPid: process.pid,
    roles: () => supervisor.roles(),
    settled: async () => {
      await supervisor.settled();
      return supervisor.stopped();
    },
    stop: () => {
      stopping.abort();
      return ended;
    },
    hurry: () => {
      hurried = true;
      supervisor.hurry();
    },
  };
}

async function lockStateDir(stateDir: string, clock: Clock): Promise<FileLock> {
  let lock: FileLock | undefined;
  try {
    lock = new FileLock(supervisorLockPath(stateDir), clock);
    if (await lock.acquire(0)) return lock;
  } catch (cause) {
    lock?.close();
    throw new TidemarkError("TM-PLATFORM-STATE-DIR", `could not lock the state folder ${stateDir}`, { cause });
  }
  lock.close();
  const run = await readRunFile(stateDir);
  const who = run === undefined ? "a supervisor that is just starting" : `the supervisor with pid ${run.supervisor.pid}`;
  throw new TidemarkError("TM-PLATFORM-ALREADY-UP", `start in ${stateDir}: ${who} uses it`, { details: { pid: run?.supervisor.pid } });
}
