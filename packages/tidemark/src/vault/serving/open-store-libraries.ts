// The object stores of a store's vaults, opened for reading without a vault. Loaded only when a vault does not answer.
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import { parseTimelineHistory } from "@tidemark/postgres/timeline-history";
import type { VaultConfig } from "../../config/config.ts";
import { openObjectStore } from "../../object-stores/open-object-store.ts";
import type { ObjectStore } from "../../object-stores/object-store.ts";
import type { ObjectStoreWorld } from "../../object-stores/object-store-world.ts";
import type { KeyRing } from "../sealing/key-ring.ts";
import { openKeyRing } from "../sealing/open-key-ring.ts";
import { readSealedStart, SEALED_START_BYTES } from "../sealing/sealed-frame.ts";
import { unsealObject } from "../sealing/sealed-object.ts";
import { surveyStore, type SystemSurvey } from "./store-survey.ts";
import { StoreLibrary, type OpenedObject } from "./store-library.ts";

export interface OpenedLibrary {
  readonly vault: string;
  /** The store's name in the configuration. */
  readonly name: string;
  readonly library: StoreLibrary;
  close(): Promise<void>;
}

/** A store that is opened when it is asked first: one that is away must not keep the others from answering. */
export function openStoreLibraries(
  vaults: readonly VaultConfig[],
  world: ObjectStoreWorld,
  systemIdentifier: SystemIdentifier | undefined,
): OpenedLibrary[] {
  return vaults.flatMap((vault) => {
    const keys = once(() => openKeyRing(vault.archive.encryption, world));
    return vault.archive.stores.map(({ name, options }): OpenedLibrary => {
      const store = once(() => openObjectStore(options, world, "read"));
      const library = new StoreLibrary({
        name,
        store: lateStore(store),
        open: async (object) => openObject(object, await keys()),
        ...(systemIdentifier === undefined ? {} : { systemIdentifier }),
      });
      return { vault: vault.name, name, library, close: async () => (await store()).close() };
    });
  });
}

/** Looks into the stores of a vault; each is opened when its survey is called. */
export function openSurveys(
  vault: VaultConfig,
  world: ObjectStoreWorld,
): { readonly name: string; readonly survey: () => Promise<SystemSurvey[]> }[] {
  const keys = once(() => openKeyRing(vault.archive.encryption, world));
  return vault.archive.stores.map(({ name, options }) => ({
    name,
    survey: async () => {
      const store = await openObjectStore(options, world, "read");
      try {
        return await surveyStore({
          store,
          name,
          nowMs: world.clock.wallMs(),
          header: async (key) => readSealedStart(await store.get(key, { range: { start: 0, end: SEALED_START_BYTES } })).header,
          history: async (key) => {
            const { raw } = await unsealObject(await store.get(key), { keys: await keys() });
            return parseTimelineHistory(Buffer.from(raw).toString("utf8"));
          },
        });
      } finally {
        await store.close();
      }
    },
  }));
}

async function openObject(object: Uint8Array, keys: KeyRing): Promise<OpenedObject> {
  const { raw, header } = await unsealObject(object, { keys });
  const { systemIdentifier, timeline, range } = header.facts;
  return { raw, systemIdentifier, timeline, ...range };
}

function lateStore(open: () => Promise<ObjectStore>): Pick<ObjectStore, "get" | "list"> {
  return {
    get: async (key, options) => (await open()).get(key, options),
    list: async function* list(prefix, options) {
      yield* (await open()).list(prefix, options);
    },
  };
}

/** Opens at the first call; a failure is not remembered. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}
