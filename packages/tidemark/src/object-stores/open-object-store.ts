import type { ObjectStoreOptions } from "./object-store-options.ts";
import type { ObjectStoreWorld, StoreAccess } from "./object-store-world.ts";
import type { ObjectStore } from "./object-store.ts";
import { openFolderStore } from "./folder-store.ts";
import { LateStore } from "./late-store.ts";

/** Opens a store as the configuration says, asks what it can do, and clears away what crashes left. Rejects with TM-OBJECT-*; who can wait uses {@link lateObjectStore}. */
export async function openObjectStore(
  options: ObjectStoreOptions,
  world: ObjectStoreWorld,
  access: StoreAccess = "read-write",
): Promise<ObjectStore> {
  switch (options.kind) {
    case "folder":
      return openFolderStore(options, world, access);
    case "s3": {
      // The SDK takes a quarter of a second to load; who has no such store does not wait for it.
      const { openS3Store } = await import("./s3-store.ts");
      return openS3Store(options, world, access);
    }
  }
}

/** How a store is called in messages and figures, before it is open and after. */
export function objectStoreName(options: ObjectStoreOptions): string {
  return options.kind === "folder" ? `folder ${options.directory}` : `s3://${options.bucket}/${options.prefix}`;
}

/** The store of the configuration, opened when it is first needed. */
export function lateObjectStore(options: ObjectStoreOptions, world: ObjectStoreWorld, access: StoreAccess = "read-write"): LateStore {
  return new LateStore({
    name: objectStoreName(options),
    lockForMs: options.kind === "s3" ? options.lock?.forMs : undefined,
    open: () => openObjectStore(options, world, access),
  });
}
