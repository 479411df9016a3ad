// The objects of a folder in the order of their keys' bytes, which is not the order of a walk: `a-b` comes before `a/c`,
// because `-` comes before `/`. So within a folder names are compared as if folders ended in `/`.
import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "./folder-errors.ts";
import { isKeyPart } from "./object-key.ts";
import type { ObjectFacts } from "./object-store.ts";

/** Files whose facts are asked for at a time. The names of one folder are held as a whole: 65,000 segments are 1 TiB of WAL. */
const PAGE_FILES = 256;

export interface ListingOrder {
  readonly prefix: string;
  /** Only keys greater than this. */
  readonly after: string;
  readonly signal: AbortSignal | undefined;
}

/** Rejects with the error of the system call that failed. Files and folders that vanish meanwhile are left out. */
export async function* listFolder(root: string, order: ListingOrder): AsyncGenerator<ObjectFacts> {
  const base = order.prefix.slice(0, order.prefix.lastIndexOf("/") + 1);
  yield* listBelow(root, base, order);
}

/** `base` is empty or ends in `/`. */
async function* listBelow(root: string, base: string, order: ListingOrder): AsyncGenerator<ObjectFacts> {
  order.signal?.throwIfAborted();
  const entries = await entriesOf(join(root, base));
  const wanted = entries
    .filter((entry) => isKeyPart(entry.name) && (entry.isFile() || entry.isDirectory()))
    .map((entry) => (entry.isFile() ? `${base}${entry.name}` : `${base}${entry.name}/`))
    .filter((path) => (path.endsWith("/") ? mayHold(path, order) : path.startsWith(order.prefix) && path > order.after))
    .sort((left, right) => (left < right ? -1 : 1));
  let page: string[] = [];
  for (const path of wanted) {
    if (!path.endsWith("/")) page.push(path);
    if (page.length > 0 && (path.endsWith("/") || page.length === PAGE_FILES)) {
      yield* await factsOf(root, page, order.signal);
      page = [];
    }
    if (path.endsWith("/")) yield* listBelow(root, path, order);
  }
  yield* await factsOf(root, page, order.signal);
}

/** Whether keys that begin with `folder` (ending in `/`) can be asked for. */
function mayHold(folder: string, order: ListingOrder): boolean {
  return (folder.startsWith(order.prefix) || order.prefix.startsWith(folder)) && (order.after < folder || order.after.startsWith(folder));
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

async function factsOf(root: string, keys: readonly string[], signal: AbortSignal | undefined): Promise<ObjectFacts[]> {
  signal?.throwIfAborted();
  const facts = await Promise.all(
    keys.map(async (key) => {
      try {
        const found = await lstat(join(root, key));
        return found.isFile() ? { key, bytes: found.size, modifiedAtMs: found.mtimeMs } : undefined;
      } catch (error) {
        if (isErrno(error, "ENOENT")) return undefined;
        throw error;
      }
    }),
  );
  return facts.filter((fact) => fact !== undefined);
}
