import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, openSync, closeSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, join } from "node:path";

export { freePort } from "@tidemark/kernel/platform/free-ports";

const alive = new Set<PeerProcess>();

/** Ends every server that still runs, for a benchmark that is interrupted. */
export async function stopPeers(): Promise<void> {
  await Promise.all([...alive].map((peer) => peer.stop()));
}

/** A server that the benchmark started and will end, in a process group of its own. */
export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #exited: Promise<void>;
  #running = true;

  /** @param log file that takes its output. */
  constructor(command: string, args: readonly string[], options: { log: string; env?: NodeJS.ProcessEnv; cwd?: string }) {
    const fd = openSync(options.log, "a");
    this.#log = options.log;
    this.#child = spawn(command, args, {
      stdio: ["ignore", fd, fd],
      detached: true,
      env: options.env ?? process.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    closeSync(fd);
    alive.add(this);
    this.#exited = new Promise((resolve) => {
      const ended = (): void => {
        this.#running = false;
        alive.delete(this);
        resolve();
      };
      this.#child.once("exit", ended);
      this.#child.once("error", ended);
    });
  }

  /** Resolves when something accepts connections on `port`; rejects with the end of its log when the process ends or `timeoutMs` passes before. */
  async listening(port: number, timeoutMs = 60_000): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    while (this.#running && performance.now() < endMs) {
      if (await accepts(port)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const log = readFileSync(this.#log, "utf8").slice(-2_000);
    throw new Error(`${this.#child.spawnfile} does not listen on port ${port}; the end of its log: ${log}`);
  }

  /** Ends the process group: SIGTERM, and SIGKILL after `graceMs`. */
  async stop(graceMs = 10_000): Promise<void> {
    const pid = this.#child.pid;
    if (pid === undefined || !this.#running) return;
    signalGroup(pid, "SIGTERM");
    const timer = setTimeout(() => signalGroup(pid, "SIGKILL"), graceMs);
    await this.#exited;
    clearTimeout(timer);
    signalGroup(pid, "SIGKILL");
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** The first of `candidates` (absolute paths, or names looked up in PATH) that can be executed. */
export function findExecutable(...candidates: readonly string[]): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return candidates
    .flatMap((candidate) => (candidate.startsWith("/") ? [candidate] : folders.map((folder) => join(folder, candidate))))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
