import { readdirSync, readFileSync } from "node:fs";
import { TidemarkError } from "@tidemark/kernel/errors";

/** A process as /proc shows it. */
export interface ProcessFacts {
  readonly pid: number;
  readonly parentPid: number;
  /** Start time in clock ticks since boot: with the pid it names one process, for pids are used again. */
  readonly started: string;
  /** R, S, D, Z (ended, not yet collected), T (held by SIGSTOP), … */
  readonly state: string;
}

/** The process with this pid, or undefined when there is none. */
export function readProcess(pid: number): ProcessFacts | undefined {
  const text = readProcFile(pid, "stat");
  return text === undefined ? undefined : parseStat(pid, text);
}

/** Reads /proc/<pid>/stat (proc(5)); the command name stands in parentheses and may hold anything, also parentheses. */
export function parseStat(pid: number, text: string): ProcessFacts | undefined {
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .trim()
    .split(" ");
  const [state, parentPid, started] = [fields[0], fields[1], fields[19]];
  if (state === undefined || parentPid === undefined || started === undefined) return undefined;
  return { pid, parentPid: Number(parentPid), started, state };
}

/** All processes of the machine that can be seen. Throws TM-PROVE-PROCESS where there is no /proc. */
export function listProcesses(): ProcessFacts[] {
  let names: string[];
  try {
    names = readdirSync("/proc");
  } catch (cause) {
    throw new TidemarkError("TM-PROVE-PROCESS", "list the machine's processes from /proc", {
      cause,
      hint: "tidemark prove needs Linux with /proc mounted.",
    });
  }
  return names.flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    return readProcess(Number(name)) ?? [];
  });
}

/** The command line and environment of a process, as far as this user may read them. */
export function readProcFile(pid: number, file: "stat" | "cmdline" | "environ"): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined; // Ended, or not ours.
    throw error;
  }
}
