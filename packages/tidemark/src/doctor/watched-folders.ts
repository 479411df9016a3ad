// The folders in which this machine keeps what must not run full.
import { join } from "node:path";
import type { Config } from "../config/config.ts";

export interface WatchedFolder {
  readonly what: string;
  readonly path: string;
  /** Below so much free space something stops, bytes. */
  readonly neededBytes?: number;
}

/** Of nodes, vaults, their archives in folders, the journal and the state; none where Tidemark runs nothing. */
export function watchedFolders(config: Pick<Config, "stores" | "journal" | "stateDir">): WatchedFolder[] {
  const stores = Object.values(config.stores);
  if (stores.length === 0) return [];
  return [
    ...stores.flatMap(({ nodes }) => nodes.map(({ name, dataDir }) => ({ what: `data folder of ${name}`, path: dataDir }))),
    ...stores.flatMap(({ vaults }) =>
      vaults.flatMap(({ name, directory, archive }) => [
        { what: `folder of ${name}`, path: directory },
        ...archive.stores.flatMap((store) =>
          store.options.kind === "folder" ? [{ what: `archive ${name}/${store.name}`, path: store.options.directory }] : [],
        ),
      ]),
    ),
    { what: "journal", path: config.journal.directory, neededBytes: config.journal.minimumFreeBytes },
    { what: "state of control", path: join(config.stateDir, "control") },
  ];
}
