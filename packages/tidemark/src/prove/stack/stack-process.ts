import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TidemarkError } from "@tidemark/kernel/errors";
import { MARK } from "./own-processes.ts";
import { FILES } from "./prove-config.ts";

/** `tidemark up` of a proof. */
export interface StackProcess {
  readonly pid: number;
  /** Rejects when it ends; never resolves. */
  readonly ended: Promise<never>;
  /** Lets this process end while the stack goes on. */
  release(): void;
}

/** How many last lines of the supervisor's output an error shows. */
const LINES_SHOWN = 12;

/**
 * Starts `tidemark up` in the folder of a proof, in a session of its own: Ctrl-C in a terminal reaches the prover only,
 * which then ends the stack in its own order. A prover that is killed cannot do that: the stack then ends by itself, when
 * the channel between the two closes. What it says goes to `up.log` there.
 */
export function startStack(folder: string, mark: string): StackProcess {
  const log = join(folder, FILES.log);
  const main = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../../main.ts" : "../../main.js", import.meta.url));
  const output = openSync(log, "a");
  let child;
  try {
    child = spawn(
      process.execPath,
      [
        ...process.execArgv,
        main,
        "up",
        "--with-parent",
        "--config",
        join(folder, FILES.config),
        "--state-dir",
        join(folder, FILES.stateDir),
      ],
      {
        cwd: folder,
        env: { ...process.env, [MARK]: mark, NO_COLOR: "1" },
        stdio: ["ignore", output, output, "ipc"],
        detached: true,
      },
    );
  } finally {
    closeSync(output);
  }
  const { pid } = child;
  if (pid === undefined) throw new TidemarkError("TM-PROVE-STACK", "start `tidemark up`: no process was made");
  const ended = new Promise<never>((_, reject) => {
    child.on("error", (cause) => reject(new TidemarkError("TM-PROVE-STACK", "start `tidemark up`", { cause })));
    child.on("exit", (code, signal) =>
      reject(new TidemarkError("TM-PROVE-STACK", `\`tidemark up\` ended with ${signal ?? `code ${code}`}\n${lastLines(log)}`)),
    );
  });
  ended.catch(() => undefined); // Whoever waits races against it; after a fault nobody does.
  const release = (): void => {
    child.send("stay", () => child.disconnect());
    child.unref();
  };
  return { pid, ended, release };
}

/** The end of a log, for an error message. */
export function lastLines(path: string): string {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").slice(-LINES_SHOWN).join("\n");
  } catch (error) {
    return `(${path} cannot be read: ${(error as Error).message})`;
  }
}
