import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { PostgresUser } from "../unprivileged-user.ts";
import { spawnIdentity } from "../unprivileged-user.ts";
import type { DriverTask } from "./postgres-driver-process.ts";

export const DRIVER = fileURLToPath(new URL("postgres-driver-process.ts", import.meta.url));

/** A driver process that runs; `next` gives the lines it prints, undefined at their end. */
export interface Driver {
  readonly child: ChildProcess;
  next(): Promise<Record<string, unknown> | undefined>;
  /** SIGKILL to its whole process group, as a terminal or a supervisor would, and waits for its end. */
  kill(): Promise<void>;
}

export function runDriver(task: DriverTask, options?: { as?: PostgresUser; env?: NodeJS.ProcessEnv }): Driver {
  const child = spawn(
    process.execPath,
    ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", DRIVER, JSON.stringify(task)],
    {
      ...(options?.as === undefined ? {} : spawnIdentity(options.as)),
      env: { ...process.env, ...options?.env, NODE_OPTIONS: "" },
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    async next() {
      const line = await lines.next();
      return line.done === true ? undefined : (JSON.parse(line.value) as Record<string, unknown>);
    },
    async kill() {
      process.kill(-(child.pid ?? 0), "SIGKILL");
      await ended;
    },
  };
}
