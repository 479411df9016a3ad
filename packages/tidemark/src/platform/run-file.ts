// `<stateDir>/run.json`: what runs here, for `status`, `down`, tests and the next `up`. Replaced as a whole on each change.
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { isAlive, type ProcessIdentity } from "./process-identity.ts";

/** What a role is; `applier` is a child of the gateway. */
export type RoleKind = "control" | "agent" | "vault" | "gateway" | "applier";

/**
 * `starting`: the process runs and is not ready. `ready`. `waiting`: it died and will be started again. `stopped`: it
 * ended for good (FAIL-STOP) and is not started again. `stopping`, `ended`: the stack goes down.
 */
export type RoleState = "starting" | "ready" | "waiting" | "stopped" | "stopping" | "ended";

export interface RunningRole {
  /** `control`, `gateway`, `agent-pg1`, `vault-vault1`, `applier`. */
  readonly name: string;
  readonly kind: RoleKind;
  readonly node?: string;
  readonly vault?: string;
  readonly state: RoleState;
  /** Of the process that runs; 0 while there is none. */
  readonly pid: number;
  /** With the pid, the identity of the process; empty while there is none. */
  readonly started: string;
  /** Wall time, milliseconds. */
  readonly startedAtMs: number;
  /** How often it was started again. */
  readonly restarts: number;
  /** Where it listens, as `host:port`, once it is ready. */
  readonly address?: string;
  readonly log: string;
  /** Code and message when `stopped`. */
  readonly reason?: { readonly code: string; readonly message: string };
}

export interface RunFile {
  readonly formatVersion: 1;
  readonly supervisor: ProcessIdentity;
  readonly startedAtMs: number;
  readonly configFile: string;
  readonly stateDir: string;
  /** `ready` once every role was ready. */
  readonly state: "starting" | "ready" | "stopping";
  /** Base URLs, as configured. */
  readonly gatewayUrl: string;
  readonly controlUrl: string;
  readonly roles: readonly RunningRole[];
}

function runFilePath(stateDir: string): string {
  return join(stateDir, "run.json");
}

/** What run.json says, or undefined when there is none. Rejects with TM-PLATFORM-RUN-FILE when it cannot be read. */
export async function readRunFile(stateDir: string): Promise<RunFile | undefined> {
  const file = runFilePath(stateDir);
  try {
    const run = JSON.parse(await readFile(file, "utf8")) as RunFile;
    if (run.formatVersion !== 1) throw new Error(`version ${String(run.formatVersion)} is not known`);
    return run;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TidemarkError("TM-PLATFORM-RUN-FILE", `could not read ${file}`, { cause });
  }
}

/** The same when its supervisor lives; undefined when it is stale or absent. */
export async function readLivingRun(stateDir: string): Promise<RunFile | undefined> {
  const run = await readRunFile(stateDir);
  return run !== undefined && isAlive(run.supervisor) ? run : undefined;
}

/** Replaces run.json, atomically. Not fsynced: after a power cut nothing of it is true anyhow. */
export async function writeRunFile(run: RunFile): Promise<void> {
  const file = runFilePath(run.stateDir);
  await mkdir(dirname(file), { recursive: true });
  const temporary = `${file}.${run.supervisor.pid}.new`;
  const handle = await open(temporary, "w", 0o644);
  try {
    await handle.writeFile(`${JSON.stringify(run, null, 2)}\n`);
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

export async function removeRunFile(stateDir: string): Promise<void> {
  await rm(runFilePath(stateDir), { force: true });
}
