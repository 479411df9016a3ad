// What the operating system knows about the processes of one data directory. PostgreSQL's backends each make a session
// of their own, so the postmaster's process group does not hold them, and when the postmaster is killed they lose their
// parent; what they keep is the data directory as working directory. That is how they are found on Linux. Where there is
// no /proc, the children of a living postmaster are found by their parent.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import { promisify } from "node:util";

const isLinux = process.platform === "linux";

/** `stopped`: held by SIGSTOP or a debugger. A zombie counts as gone: nothing of it runs, and init may never reap it. */
export type ProcessState = "running" | "stopped" | "gone";

export async function processState(pid: number): Promise<ProcessState> {
  const letter = isLinux ? await linuxState(pid) : await psState(pid);
  if (letter === undefined || letter === "Z" || letter === "X") return "gone";
  return letter === "T" || letter === "t" ? "stopped" : "running";
}

/**
 * Whether `pid` is a postgres process at work in `dataDir`. A process id from a file may have been given to another
 * process since. Where there is no /proc, a process named postgres is believed.
 */
export async function isPostgresOf(pid: number, dataDir: string): Promise<boolean> {
  if ((await processState(pid)) === "gone") return false;
  if (!isLinux) return /\bpostgres\b/.test(await ps(["-o", "comm=", "-p", String(pid)]));
  return (await isNamedPostgres(pid)) && (await worksIn(pid, await identityOf(dataDir)));
}

/** The postgres processes of `dataDir`, the postmaster and its backends, also those that outlived their postmaster (on Linux). */
export async function postgresProcesses(dataDir: string, postmaster: number | undefined): Promise<number[]> {
  if (!isLinux) return postmaster === undefined ? [] : psFamily(postmaster);
  const folder = await identityOf(dataDir);
  if (folder === undefined) return [];
  const found: number[] = [];
  for (const name of await readdir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || !(await isNamedPostgres(pid)) || !(await worksIn(pid, folder))) continue;
    if ((await processState(pid)) !== "gone") found.push(pid);
  }
  return found;
}

/**
 * The children of a postmaster as the kernel lists them, read at once; undefined where it does not (CONFIG_PROC_CHILDREN), or `pid` is no process
 * of PostgreSQL's any more.
 */
export function childrenOf(pid: number): number[] | undefined {
  try {
    if (!isPostgresName(readFileSync(`/proc/${pid}/comm`, "utf8"))) return undefined;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return undefined;
  }
}

/** Sends a signal; false when there is no such process any more. Rejections other than that are the caller's bug or lack of rights. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** Device and inode: the same folder under whatever name. */
async function identityOf(folder: string): Promise<string | undefined> {
  return stat(folder).then(
    (facts) => `${facts.dev}:${facts.ino}`,
    () => undefined,
  );
}

async function worksIn(pid: number, folder: string | undefined): Promise<boolean> {
  return folder !== undefined && (await identityOf(`/proc/${pid}/cwd`)) === folder;
}

async function isNamedPostgres(pid: number): Promise<boolean> {
  return isPostgresName(await readFile(`/proc/${pid}/comm`, "utf8").catch(() => ""));
}

function isPostgresName(comm: string): boolean {
  return comm === "postgres\n" || comm === "postmaster\n";
}

async function linuxState(pid: number): Promise<string | undefined> {
  // pid (command) state …: the command may hold spaces and parentheses, so the last one counts.
  const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return line?.slice(line.lastIndexOf(")") + 2).charAt(0);
}

async function psState(pid: number): Promise<string | undefined> {
  const state = (await ps(["-o", "state=", "-p", String(pid)])).trim().charAt(0);
  return state === "" ? undefined : state;
}

async function psFamily(postmaster: number): Promise<number[]> {
  const lines = (await ps(["-axo", "pid=,ppid="])).split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return lines.filter(([pid, parent]) => pid === postmaster || parent === postmaster).map(([pid]) => pid ?? 0);
}

async function ps(parameters: string[]): Promise<string> {
  // ps exits with 1 when nothing matches.
  return promisify(execFile)("ps", parameters).then(
    (result) => result.stdout,
    () => "",
  );
}
