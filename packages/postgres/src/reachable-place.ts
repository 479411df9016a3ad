// Where a user that is not root can keep files. A clone below a home of mode 0700 is closed to the user that PostgreSQL
// runs as; then binaries and data live in a place that it can reach, and a symbolic link stands where they were wanted.
import { randomBytes } from "node:crypto";
import { execFile } from "node:child_process";
import { chmod, chown, lstat, mkdir, readdir, readlink, realpath, rmdir, symlink, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { PostgresUser } from "./unprivileged-user.ts";
import { spawnIdentity } from "./unprivileged-user.ts";

/** A folder that exists, belongs to the user and has mode 0700. `moved`: it is not the wanted one, which now is a link to it. */
export interface ReachablePlace {
  readonly path: string;
  readonly moved: boolean;
}

/** Folders tried, in order, for what cannot stay where it was wanted; each place in them has a name of its own. */
const OTHER_PLACES = [
  { base: "/var/lib/tidemark", prefix: "" },
  { base: tmpdir(), prefix: "tidemark-" },
] as const;

/**
 * Makes sure that `user` owns a folder it can reach, `wanted` if possible. When it has to move, `wanted` becomes a
 * symbolic link to the place, and only the link leads there: idempotent as long as it stands, and whoever removed it
 * wants to begin anew, not to find the old data beside a new journal. The old place is left as it is.
 * Rejects with TM-PG-UNREACHABLE when data already lies in `wanted` and is closed to the user: it must not look empty,
 * and with TM-PG-DATA-DIR when a file stands there.
 */
export async function reachablePlace(wanted: string, user: PostgresUser): Promise<ReachablePlace> {
  const path = resolve(wanted);
  if (!user.switches) {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return { path: await realpath(path), moved: false };
  }
  const target = await linkTarget(path);
  if (target !== undefined && (await canEnter(dirname(target), user))) {
    await makeOwnFolder(target, user);
    return { path: await realpath(path), moved: true };
  }
  if (target === undefined && (await canEnter(await deepestExisting(dirname(path)), user))) {
    await makeOpenFolders(dirname(path));
    await makeOwnFolder(path, user);
    return { path: await realpath(path), moved: false };
  }
  await makeRoom(path, target);
  const place = await otherPlace(`${basename(path).replaceAll(/[^\w-]/g, "")}-${randomBytes(8).toString("hex")}`.replace(/^-/, ""), user);
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  try {
    await symlink(place, path);
  } catch (error) {
    await rmdir(place);
    // Another role of the same stack was faster: its place counts.
    if ((error as NodeJS.ErrnoException).code === "EEXIST" && (await linkTarget(path)) !== undefined) return reachablePlace(path, user);
    throw error;
  }
  return { path: place, moved: true };
}

/** Whether `user` can pass through `folder` and all folders above: asked of the system, so that ACLs count as well. */
export async function canEnter(folder: string, user: PostgresUser): Promise<boolean> {
  return new Promise((answer) => {
    execFile("/bin/sh", ["-c", 'cd -- "$1"', "sh", folder], { ...spawnIdentity(user), cwd: "/", env: {} }, (error) =>
      answer(error === null),
    );
  });
}

/** Makes a folder and those above it such that everybody may pass through what was made, whatever the umask says. */
export async function makeOpenFolders(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o755 });
  if (first === undefined) return;
  for (let folder = path; folder.length >= first.length; folder = dirname(folder)) await chmod(folder, 0o755);
}

/** Makes the first of the other places that can be made, owned by `user`, mode 0700. */
async function otherPlace(name: string, user: PostgresUser): Promise<string> {
  const faults: string[] = [];
  for (const { base, prefix } of OTHER_PLACES) {
    const place = join(base, prefix + name);
    try {
      await makeOpenFolders(base);
      if (!(await canEnter(base, user))) throw new Error(`${base} is closed to ${user.name} as well`);
      await makeOwnFolder(place, user);
      return place;
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new TidemarkError("TM-PG-UNREACHABLE", `found no folder that user ${user.name} can reach: ${faults.join("; ")}`);
}

/** In a folder that everybody may write to, the name could have been taken by somebody else: a link, or his folder. */
async function makeOwnFolder(path: string, user: PostgresUser): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
    await chown(path, user.uid, user.gid);
    return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const facts = await lstat(path);
  if (!facts.isDirectory()) throw new TidemarkError("TM-PG-DATA-DIR", `${path} should be a folder and is none`);
  if (facts.uid === user.uid) {
    await chmod(path, 0o700);
  } else if (facts.uid === process.getuid?.() && (await readdir(path)).length === 0) {
    await chown(path, user.uid, user.gid);
    await chmod(path, 0o700);
  } else {
    throw new TidemarkError("TM-PG-DATA-DIR", `${path} belongs to user id ${facts.uid}, not to ${user.name}`);
  }
}

/** Takes away what the link replaces: an empty folder, or a link to an empty or absent one that is closed to the user. Data is never hidden behind a link. */
async function makeRoom(path: string, closedTarget: string | undefined): Promise<void> {
  const facts = await lstat(path).catch(() => undefined);
  if (facts === undefined) return;
  // Another role of the same stack made it meanwhile.
  if (facts.isSymbolicLink() && (await linkTarget(path)) !== closedTarget) return;
  const content = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code === "ENOTDIR") throw new TidemarkError("TM-PG-DATA-DIR", `${path} should be a folder and is none`);
    throw error;
  });
  if (content.length === 0) return facts.isSymbolicLink() ? unlink(path) : rmdir(path);
  throw new TidemarkError("TM-PG-UNREACHABLE", `${path} holds data and a folder above it is closed to the user that PostgreSQL runs as`);
}

async function linkTarget(path: string): Promise<string | undefined> {
  const facts = await lstat(path).catch(() => undefined);
  return facts?.isSymbolicLink() === true ? resolve(dirname(path), await readlink(path)) : undefined;
}

async function deepestExisting(path: string): Promise<string> {
  const exists = await lstat(path).then(
    () => true,
    () => false,
  );
  return exists || dirname(path) === path ? path : deepestExisting(dirname(path));
}
