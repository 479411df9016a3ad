// A Node process that a part of the benchmark runs beside itself: it talks in lines, ends with its standard input, and is measured from
// outside by what the kernel counts.
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Clock ticks a second in /proc: USER_HZ, which is 100 on every Linux. */
const TICKS_A_SECOND = 100;
const ENDS_WITHIN_MS = 10_000;

export class RunningProcess implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<unknown>;
  #onLine: (line: string) => void = () => undefined;

  /** @param file beside this one; `flags` of Node itself. */
  constructor(file: string, args: readonly string[], flags: readonly string[] = []) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    const node = [...flags, "--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"];
    this.#child = spawn(process.execPath, [...node, path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = once(this.#child, "exit");
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#onLine(line));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Told of each line from now on. */
  onLine(listener: (line: string) => void): void {
    this.#onLine = listener;
  }

  /** The next line that `wanted` accepts. Rejects when the process ends before, or after `withinMs`. */
  line(wanted: (line: string) => boolean = () => true, withinMs = 60_000): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`nothing from process ${this.pid} within ${withinMs} ms`)), withinMs);
      this.#onLine = (line) => {
        if (!wanted(line)) return;
        clearTimeout(timer);
        resolve(line);
      };
      void this.#ended.then(() => reject(new Error(`process ${this.pid} ended with ${this.#child.exitCode}`)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.on("error", () => undefined).end();
    const late = setTimeout(() => this.#child.kill("SIGKILL"), ENDS_WITHIN_MS);
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.#ended;
    clearTimeout(late);
  }
}

/** Processor time of a process so far, all its threads, milliseconds. */
export function processorMs(pid: number): number {
  // Its name stands in parentheses and may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_A_SECOND;
}

/** Processor time of a process of one thread so far, by the scheduler, milliseconds: finer than ticks. */
export function scheduledMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
}

/** The most memory that a process had so far, bytes. */
export function peakMemory(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? Number.NaN) * 1_024;
}
