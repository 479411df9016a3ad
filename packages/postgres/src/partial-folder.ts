// A data directory is made beside its place and renamed when it is whole, so that a clone or an initdb that was killed
// halfway is never mistaken for a data directory. What earlier attempts left is removed when the next one begins.
import { chown, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { makeOpenFolders } from "./reachable-place.ts";
import { processState } from "./process-table.ts";
import { syncFolder } from "./server-settings.ts";
import type { PostgresUser } from "./unprivileged-user.ts";

export interface PartialFolder {
  /** Where to work: empty, mode 0700, owned by the user. */
  readonly path: string;
  /** Moves the finished folder into its place, durably. Rejects with TM-PG-DATA-DIR when something else took the place. */
  publish(): Promise<void>;
  /** Removes it. */
  discard(): Promise<void>;
}

/** Begins a folder that will stand at `target`, which must be absent or empty (TM-PG-DATA-DIR otherwise). */
export async function beginPartialFolder(target: string, user: PostgresUser): Promise<PartialFolder> {
  await refuseTaken(target);
  const parent = dirname(target);
  await makeOpenFolders(parent);
  await removeLeftovers(target);
  const path = `${target}.partial-${process.pid}`;
  await mkdir(path, { mode: 0o700 });
  if (user.switches) await chown(path, user.uid, user.gid);
  return {
    path,
    async publish() {
      await syncFolder(path);
      try {
        await rename(path, target);
      } catch (cause) {
        throw new TidemarkError("TM-PG-DATA-DIR", `could not move the finished folder to ${target}`, { cause });
      }
      await syncFolder(parent);
    },
    discard: () => rm(path, { recursive: true, force: true }),
  };
}

async function refuseTaken(target: string): Promise<void> {
  const entries = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new TidemarkError("TM-PG-DATA-DIR", `${target} cannot become a data directory`, { cause: error });
  });
  if (entries.length > 0) throw new TidemarkError("TM-PG-DATA-DIR", `${target} is not empty`, { details: { folder: target } });
}

/** Removes the partial folders of this target whose maker is no longer alive, and one of our own that an earlier attempt left. */
async function removeLeftovers(target: string): Promise<void> {
  const prefix = `${basename(target)}.partial-`;
  for (const name of await readdir(dirname(target))) {
    if (!name.startsWith(prefix)) continue;
    const maker = Number(name.slice(prefix.length));
    if (maker === process.pid || (await processState(maker)) === "gone")
      await rm(join(dirname(target), name), { recursive: true, force: true });
  }
}
