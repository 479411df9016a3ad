import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { TidemarkError } from "@tidemark/kernel/errors";

/**
 * Who PostgreSQL runs as. PostgreSQL refuses root; as root we drop to this user, as an ordinary user we stay who we are.
 * `switches` says whether uid and gid must be given to spawned processes and files.
 */
export interface PostgresUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly switches: boolean;
}

/** Tried in this order when we are root and TIDEMARK_PG_USER names nobody else. */
const CANDIDATES = ["postgres", "nobody"];

/** Finds the user: the one named by TIDEMARK_PG_USER, an existing `postgres`, or `nobody`. Throws TM-PG-USER. */
export function choosePostgresUser(env: NodeJS.ProcessEnv = process.env): PostgresUser {
  const uid = process.getuid?.() ?? -1;
  if (uid !== 0) return { name: env["USER"] ?? String(uid), uid, gid: process.getgid?.() ?? -1, switches: false };
  const wanted = env["TIDEMARK_PG_USER"];
  for (const name of wanted === undefined || wanted === "" ? CANDIDATES : [wanted]) {
    const found = lookUp(name);
    if (found !== undefined && found.uid !== 0) return { name, ...found, switches: true };
  }
  const tried = wanted === undefined || wanted === "" ? CANDIDATES.join(" and ") : wanted;
  throw new TidemarkError("TM-PG-USER", `looked for a user to run PostgreSQL as (${tried}) and found none that is not root`);
}

/**
 * What to give to `spawn` so that the process runs as `user`: on a change of uid, libuv also empties the supplementary
 * groups, so that none of root's rights remain.
 */
export function spawnIdentity(user: PostgresUser): { uid?: number; gid?: number } {
  return user.switches ? { uid: user.uid, gid: user.gid } : {};
}

/** A clean environment: PG* variables of the caller (PGDATA, PGPORT, …) must not steer a server that is not his. */
export function serverEnvironment(user: PostgresUser, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const kept: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith("PG") && name !== "NODE_OPTIONS" && value !== undefined) kept[name] = value;
  }
  // Messages are parsed where a start fails, so they must be in English.
  return { ...kept, LC_ALL: "C", LANG: "C", ...(user.switches ? { USER: user.name, LOGNAME: user.name, HOME: "/" } : {}) };
}

function lookUp(name: string): { uid: number; gid: number } | undefined {
  const line = readPasswd().find((entry) => entry.startsWith(`${name}:`));
  if (line !== undefined) {
    const fields = line.split(":");
    return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  // Users of a directory service are not in the file; a name that could be an option is none.
  if (!/^[a-zA-Z_][\w.-]*$/.test(name)) return undefined;
  try {
    const ask = (flag: string): number =>
      Number(execFileSync("id", [flag, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
    return { uid: ask("-u"), gid: ask("-g") };
  } catch {
    return undefined; // `id` says that there is no such user: the caller tries the next or explains.
  }
}

function readPasswd(): string[] {
  try {
    return readFileSync("/etc/passwd", "utf8").split("\n");
  } catch {
    return []; // Not every system has one; `id` is asked instead.
  }
}
