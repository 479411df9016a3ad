import { mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { reachablePlace } from "@tidemark/postgres/reachable-place";
import { choosePostgresUser } from "@tidemark/postgres/unprivileged-user";
import type { Config, NodeConfig } from "../config/config.ts";

/**
 * Makes the state folder and, in it, `data`: where the user that PostgreSQL runs as cannot get there (below a home of
 * mode 0700, when we are root), `data` becomes a link to a folder that it can reach. Idempotent. Rejects with
 * TM-PLATFORM-STATE-DIR, or TM-PG-UNREACHABLE.
 */
export async function prepareStateDir(config: Config): Promise<void> {
  try {
    await mkdir(config.stateDir, { recursive: true, mode: 0o755 });
  } catch (cause) {
    throw new TidemarkError("TM-PLATFORM-STATE-DIR", `could not make the state folder ${config.stateDir}`, { cause });
  }
  const inStateDir = allNodes(config).some((node) => isBelow(node.dataDir, join(config.stateDir, "data")));
  // A folder as object store may lack one level, not two: a mistyped path must not become an archive.
  const archives = join(config.stateDir, "archives");
  if (folderStores(config).some((folder) => isBelow(folder, archives))) await mkdir(archives, { recursive: true, mode: 0o700 });
  if (inStateDir) await reachablePlace(join(config.stateDir, "data"), choosePostgresUser());
}

/** The configuration with every link above a node's data folder resolved, as PostgreSQL's user must see it. */
export async function withRealDataDirs(config: Config): Promise<Config> {
  const stores: Record<string, Config["stores"][string]> = {};
  for (const [name, store] of Object.entries(config.stores)) {
    stores[name] = {
      ...store,
      nodes: await Promise.all(store.nodes.map(async (node) => ({ ...node, dataDir: await resolved(node.dataDir) }))),
    };
  }
  return { ...config, stores };
}

/** Resolves the links of the part of a path that exists. */
async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(path) === path) throw error;
    return join(await resolved(dirname(path)), basename(path));
  }
}

function allNodes(config: Config): NodeConfig[] {
  return Object.values(config.stores).flatMap((store) => store.nodes);
}

function folderStores(config: Config): string[] {
  const vaults = Object.values(config.stores).flatMap((store) => store.vaults);
  return vaults.flatMap(({ archive }) => archive.stores.flatMap(({ options }) => (options.kind === "folder" ? [options.directory] : [])));
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`);
}
