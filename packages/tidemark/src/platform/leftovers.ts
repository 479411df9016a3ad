// What an earlier run left behind: roles of a killed supervisor that have not ended yet, and servers whose agent was
// killed. Roles end by themselves when their channel closes; servers are adopted by the next agents.
import { join } from "node:path";
import { postgresProcesses } from "@tidemark/postgres/process-table";
import { sleep, type Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Config } from "../config/config.ts";
import { isAlive, signalProcess } from "./process-identity.ts";
import type { RunFile, RunningRole } from "./run-file.ts";

/** How long leftover roles may take to end by themselves, then after SIGTERM, before they are killed. */
const BY_THEMSELVES_MS = 5_000;
const AFTER_SIGTERM_MS = 15_000;
const AFTER_SIGKILL_MS = 5_000;
const LOOK_MS = 20;

/** Ends the living roles of a run whose supervisor is gone. Rejects with TM-PLATFORM-NOT-DOWN when one cannot be ended. */
export async function endLeftoverRoles(run: RunFile, world: { clock: Clock; logger: Logger }): Promise<void> {
  const steps = [
    { signal: undefined, waitMs: BY_THEMSELVES_MS },
    { signal: "SIGTERM", waitMs: AFTER_SIGTERM_MS },
    { signal: "SIGKILL", waitMs: AFTER_SIGKILL_MS },
  ] as const;
  for (const { signal, waitMs } of steps) {
    const left = living(run);
    if (left.length === 0) return;
    world.logger.info({ roles: left.map((role) => role.name), signal }, "roles of an earlier run have not ended yet");
    if (signal !== undefined) for (const role of left) signalProcess(role, signal);
    await waitUntil(() => living(run).length === 0, waitMs, world.clock);
  }
  const left = living(run);
  if (left.length > 0)
    throw new TidemarkError(
      "TM-PLATFORM-NOT-DOWN",
      `${left.map((role) => `${role.name} (pid ${role.pid})`).join(", ")} of an earlier run cannot be ended`,
    );
}

/** The roles of a run whose processes live. */
export function living(run: RunFile): RunningRole[] {
  return run.roles.filter((role) => role.pid !== 0 && isAlive(role));
}

/** The pids of PostgreSQL processes at work in the data folders of a configuration. */
export async function livingServers(config: Config): Promise<number[]> {
  const pids: number[] = [];
  for (const store of Object.values(config.stores)) {
    for (const node of store.nodes) pids.push(...(await postgresProcesses(node.dataDir, undefined)));
  }
  return pids;
}

/** Asks every server of a configuration for an immediate shutdown: for a stop in a hurry that killed their agents. */
export async function stopServers(config: Config, clock: Clock): Promise<void> {
  for (const store of Object.values(config.stores)) {
    for (const node of store.nodes) {
      for (const pid of await postgresProcesses(node.dataDir, undefined)) {
        // SIGQUIT to a postmaster is an immediate shutdown, to a backend an immediate end: both are recovered from.
        try {
          process.kill(pid, "SIGQUIT");
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
        }
      }
    }
  }
  let servers = await livingServers(config);
  const deadlineMs = clock.monotonicMs() + AFTER_SIGKILL_MS;
  while (servers.length > 0 && clock.monotonicMs() < deadlineMs) {
    await sleep(clock, LOOK_MS);
    servers = await livingServers(config);
  }
}

async function waitUntil(condition: () => boolean, waitMs: number, clock: Clock): Promise<void> {
  const deadlineMs = clock.monotonicMs() + waitMs;
  while (!condition() && clock.monotonicMs() < deadlineMs) await sleep(clock, LOOK_MS);
}

/** Where the supervisor of a state folder holds its lock. */
export function supervisorLockPath(stateDir: string): string {
  return join(stateDir, "run.lock");
}
