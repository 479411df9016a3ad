import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Names one process for good: pids are used again, a pid with a start time is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the system's own words (clock ticks since boot where there is /proc). */
  readonly started: string;
}

/** The process that has this pid now, or undefined when there is none (or it has ended and is not collected yet). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return process.platform === "linux" ? fromProc(pid) : fromPs(pid);
}

/** Whether this very process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.started === identity.started;
}

/** Sends a signal to this very process; false when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** proc(5): the name in parentheses may hold anything; behind it the state is field 1 and the start time field 20. */
function fromProc(pid: number): ProcessIdentity | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined; // No such process: that is the answer.
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, started] = [fields[0], fields[19]];
  if (state === "Z" || state === "X" || started === undefined) return undefined;
  return { pid, started };
}

function fromPs(pid: number): ProcessIdentity | undefined {
  try {
    const [state, ...started] = execFileSync("ps", ["-o", "state=,lstart=", "-p", String(pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, LC_ALL: "C" },
    })
      .trim()
      .split(/\s+/);
    if (state === undefined || state === "" || state.startsWith("Z")) return undefined;
    return { pid, started: started.join(" ") };
  } catch {
    return undefined; // ps ends with 1 when there is no such process.
  }
}
