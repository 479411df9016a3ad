// Where a repository's catalogue comes from: the repository's own command, a file that somebody writes its answer to, or an address.
import { spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { garbage } from "./answer.ts";
import { getJson, MOST_ANSWER_BYTES, parsedJson, type HttpTarget } from "./http-json.ts";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";

export type JsonSource =
  | {
      readonly kind: "command";
      /** Program and arguments, as they are: no shell reads them. */
      readonly command: readonly [string, ...string[]];
      /** The command gets these and PATH only: nothing else of this process's environment. */
      readonly environment?: Readonly<Record<string, string>>;
    }
  | { readonly kind: "file"; readonly path: string }
  | ({ readonly kind: "url" } & HttpTarget);

export interface CommandEnd {
  readonly exitCode: number;
  readonly output: string;
}

/** Rejects with a {@link ProbeFault}. A command that ends with another code than 0 is TM-PROBE-FAILED, unless `anyExitCode`. */
export async function readJson(
  source: JsonSource,
  options: { readonly signal: AbortSignal; readonly anyExitCode?: boolean },
): Promise<unknown> {
  switch (source.kind) {
    case "url":
      return getJson(source, options.signal);
    case "file":
      return parsedJson(await boundedFile(source.path, options.signal));
    case "command": {
      const { exitCode, output } = await runCommand(source, options.signal);
      if (exitCode !== 0 && options.anyExitCode !== true)
        throw new ProbeFault("TM-PROBE-FAILED", `the command ended with code ${exitCode}; run it by hand to see what it says`);
      return parsedJson(output);
    }
  }
}

/**
 * Runs a command in a process group of its own, which is killed when `signal` aborts. What it writes to standard error is thrown away: it
 * may hold connection strings. Rejects with a {@link ProbeFault}; a code other than 0 is no fault here.
 */
export function runCommand(source: JsonSource & { readonly kind: "command" }, signal: AbortSignal): Promise<CommandEnd> {
  const [program, ...args] = source.command;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(slow());
      return;
    }
    const child = spawn(program, args, {
      env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C", ...source.environment },
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      settle();
    };
    const giveUp = (fault: ProbeFault): void => {
      killGroup(child.pid);
      child.stdout.destroy();
      end(() => reject(fault));
    };
    const onAbort = (): void => giveUp(slow());
    signal.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MOST_ANSWER_BYTES) giveUp(garbage(`its answer is longer than ${MOST_ANSWER_BYTES} bytes`));
      else chunks.push(chunk);
    });
    child.once("error", (cause: NodeJS.ErrnoException) =>
      end(() => reject(new ProbeFault("TM-PROBE-AWAY", `the command cannot be run (${cause.code ?? "no code"})`, { cause }))),
    );
    child.once("close", (exitCode, killed) =>
      end(() => {
        if (exitCode === null) reject(new ProbeFault("TM-PROBE-FAILED", `the command was ended by ${killed ?? "a signal"}`));
        else resolve({ exitCode, output: Buffer.concat(chunks).toString("utf8") });
      }),
    );
  });
}

function slow(): ProbeFault {
  return new ProbeFault("TM-PROBE-SLOW", "it did not answer in time");
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // Gone by itself meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function boundedFile(path: string, signal: AbortSignal): Promise<string> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      if (size > MOST_ANSWER_BYTES) throw garbage(`the file is longer than ${MOST_ANSWER_BYTES} bytes`);
      return await file.readFile({ encoding: "utf8", signal });
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof ProbeFault) throw error;
    if (signal.aborted) throw slow();
    const { code } = error as NodeJS.ErrnoException;
    throw new ProbeFault(code === "EACCES" ? "TM-PROBE-DENIED" : "TM-PROBE-AWAY", `the file cannot be read (${code ?? "no code"})`, {
      cause: error,
    });
  }
}
