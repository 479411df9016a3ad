// A folder as an object store. Durable before it is told: the whole object is written and fdatasynced under a temporary
// name, then renamed into place (linked, where it must not replace anything), then every folder from there up to the root
// is fsynced. A crash leaves the old object, or the new one, or a temporary file, which the next opening clears away.
import { constants, type Stats } from "node:fs";
import { link, lstat, mkdir, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { DirectReader } from "./direct-reader.ts";
import { folderError, isErrno } from "./folder-errors.ts";
import { listFolder } from "./folder-listing.ts";
import { clearLeftovers, probeFolder, temporaryName, WORK_FOLDER, type FolderProbe } from "./folder-work.ts";
import { checkKeyPrefix, checkObjectKey } from "./object-key.ts";
import type { FolderStoreOptions } from "./object-store-options.ts";
import type { ObjectStoreWorld, StoreAccess } from "./object-store-world.ts";
import {
  MAX_OBJECT_BYTES,
  type GetOptions,
  type ObjectFacts,
  type ObjectStore,
  type ObjectStoreAbilities,
  type PutOptions,
} from "./object-store.ts";

/** Written in one call, in bytes; between two of them an abort is noticed. */
const WRITE_BYTES = 4 * 1_048_576;

/** Folders whose entries up to the root are known to be durable; with more the memory is emptied and they are fsynced again. */
const MOST_DURABLE_FOLDERS = 1_024;

/**
 * Opens the store in `options.directory`, makes the folder when it is absent (not what it lies in), clears away what crashes
 * left, and probes what the file system can do. Rejects with TM-OBJECT-NO-STORE when it is not there and TM-OBJECT-STORE-*.
 */
export async function openFolderStore(
  options: FolderStoreOptions,
  world: ObjectStoreWorld,
  access: StoreAccess = "read-write",
): Promise<ObjectStore> {
  const attempt = `open the folder store ${options.directory}`;
  try {
    if (access === "read-write") await makeRoot(options.directory);
    const root = await realpath(options.directory);
    const facts = await stat(root);
    if (!facts.isDirectory()) throw new TidemarkError("TM-OBJECT-NO-STORE", `could not ${attempt}: it is no folder`);
    if (access === "read-write") {
      await mkdir(join(root, WORK_FOLDER), { mode: 0o700 }).catch((error: unknown) => {
        if (!isErrno(error, "EEXIST")) throw error;
      });
      await clearLeftovers(root, world);
    }
    const probe = await probeFolder(root, world, access);
    if (probe.why !== undefined)
      world.logger.warn(
        { store: options.directory, why: probe.why },
        "objects of this store are read through the page cache: a re-read does not prove what the disk holds",
      );
    return new FolderStore({ root, facts, probe, access, world });
  } catch (error) {
    if (isErrno(error, "ENOENT")) throw new TidemarkError("TM-OBJECT-NO-STORE", `could not ${attempt}: it is not there`, { cause: error });
    throw folderError(error, attempt);
  }
}

async function makeRoot(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
    await syncFolder(dirname(directory));
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

class FolderStore implements ObjectStore {
  readonly name: string;
  readonly abilities: ObjectStoreAbilities;
  readonly lockForMs = undefined;
  readonly #root: string;
  readonly #rootFacts: Stats;
  readonly #access: StoreAccess;
  readonly #world: ObjectStoreWorld;
  readonly #reader: DirectReader;
  readonly #durableFolders = new Set<string>();

  constructor(given: { root: string; facts: Stats; probe: FolderProbe; access: StoreAccess; world: ObjectStoreWorld }) {
    this.name = `folder ${given.root}`;
    this.#root = given.root;
    this.#rootFacts = given.facts;
    this.#access = given.access;
    this.#world = given.world;
    this.#reader = new DirectReader(given.probe.reads);
    this.abilities = { conditional: given.probe.links, lock: false, coldReads: given.probe.coldReads };
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<void> {
    checkObjectKey(key);
    if (options.lockedUntilMs !== undefined)
      throw new TidemarkError("TM-OBJECT-UNSUPPORTED", `could not store ${key} in ${this.name}: a folder cannot lock objects`);
    if (body.length > MAX_OBJECT_BYTES)
      throw new TidemarkError(
        "TM-OBJECT-TOO-LARGE",
        `could not store ${key} in ${this.name}: ${body.length} bytes, at most ${MAX_OBJECT_BYTES} are allowed`,
      );
    await this.#doing(`store ${key} in ${this.name}`, async () => {
      await this.#checkWritable();
      const folder = dirname(this.#pathOf(key));
      const temporary = join(this.#root, WORK_FOLDER, temporaryName(this.#world.random));
      try {
        await writeDurably(temporary, body, options.signal);
        await this.#makeFolders(folder);
        await this.#publish(temporary, key, options.ifAbsent === true);
      } finally {
        await unlink(temporary).catch((error: unknown) => {
          if (!isErrno(error, "ENOENT")) this.#world.logger.warn({ err: error, file: temporary }, "could not remove a temporary file");
        });
      }
      await this.#syncUpFrom(folder);
    });
  }

  get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    checkObjectKey(key);
    return this.#doing(`read ${key} from ${this.name}`, async () => {
      await this.#checkRoot();
      const file = this.#pathOf(key);
      const range = options.range ?? { start: 0, end: Number.MAX_SAFE_INTEGER };
      try {
        await this.#checkInside(dirname(file));
        return await this.#reader.read(file, { ...range, maxBytes: options.maxBytes ?? MAX_OBJECT_BYTES, signal: options.signal });
      } catch (error) {
        // A folder under this name, or a file where a folder of it should be: no object in either case.
        const absent = isErrno(error, "ENOTDIR") || (isErrno(error, "EINVAL", "EISDIR") && (await lstat(file)).isDirectory());
        if (absent)
          throw new TidemarkError("TM-OBJECT-MISSING", `could not read ${key} from ${this.name}: there is none`, { cause: error });
        throw error;
      }
    });
  }

  head(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<ObjectFacts | undefined> {
    checkObjectKey(key);
    return this.#doing(`look for ${key} in ${this.name}`, async () => {
      options.signal?.throwIfAborted();
      await this.#checkRoot();
      const file = this.#pathOf(key);
      try {
        await this.#checkInside(dirname(file));
        const facts = await lstat(file);
        return facts.isFile() ? { key, bytes: facts.size, modifiedAtMs: facts.mtimeMs } : undefined;
      } catch (error) {
        if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
        throw error;
      }
    });
  }

  async *list(prefix: string, options: { readonly after?: string; readonly signal?: AbortSignal } = {}): AsyncIterable<ObjectFacts> {
    checkKeyPrefix(prefix);
    try {
      await this.#checkRoot();
      yield* listFolder(this.#root, { prefix, after: options.after ?? "", signal: options.signal });
      // A disk that went away while it was listed would look like the end of the list.
      await this.#checkRoot();
    } catch (error) {
      throw folderError(error, `list ${prefix === "" ? "everything" : prefix} in ${this.name}`);
    }
  }

  delete(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    checkObjectKey(key);
    return this.#doing(`delete ${key} in ${this.name}`, async () => {
      options.signal?.throwIfAborted();
      await this.#checkWritable();
      const file = this.#pathOf(key);
      try {
        await this.#checkInside(dirname(file));
        await unlink(file);
        await syncFolder(dirname(file));
      } catch (error) {
        if (isErrno(error, "ENOENT", "ENOTDIR")) return;
        if (isErrno(error, "EISDIR", "EPERM") && (await lstat(file)).isDirectory()) return;
        throw error;
      }
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #publish(temporary: string, key: string, ifAbsent: boolean): Promise<void> {
    const file = this.#pathOf(key);
    if (!ifAbsent) return rename(temporary, file);
    if (this.abilities.conditional) {
      try {
        return await link(temporary, file);
      } catch (error) {
        if (!isErrno(error, "EEXIST")) throw error;
      }
    } else if ((await lstat(file).catch(absentIsUndefined)) === undefined) {
      return rename(temporary, file);
    }
    if ((await lstat(file)).isDirectory())
      throw new TidemarkError("TM-OBJECT-KEY", `could not store ${key} in ${this.name}: it is a folder there`);
    // Who finds an object must find it after a crash as well, though another process may not have come to its fsync.
    await this.#syncUpFrom(dirname(file));
    throw new TidemarkError("TM-OBJECT-EXISTS", `could not store ${key} in ${this.name}: there is one`);
  }

  /** fsyncs `folder` and every folder above it up to the root, these once: their entries do not change again. */
  async #syncUpFrom(folder: string): Promise<void> {
    await syncFolder(folder);
    const above: string[] = [];
    for (let at = folder; at !== this.#root && !this.#durableFolders.has(at); at = dirname(at)) above.push(at);
    for (const made of above) await syncFolder(dirname(made));
    if (this.#durableFolders.size + above.length > MOST_DURABLE_FOLDERS) this.#durableFolders.clear();
    for (const made of above) this.#durableFolders.add(made);
  }

  #pathOf(key: string): string {
    return join(this.#root, key);
  }

  /** Step by step: a symbolic link on the way would have the rest made elsewhere. */
  async #makeFolders(folder: string): Promise<void> {
    if ((await realpath(folder).catch(absentIsUndefined)) === folder) return;
    let at = this.#root;
    for (const part of folder
      .slice(this.#root.length)
      .split("/")
      .filter((name) => name !== "")) {
      await this.#checkInside(at);
      at = join(at, part);
      await mkdir(at, { mode: 0o700 }).catch((error: unknown) => {
        if (!isErrno(error, "EEXIST")) throw error;
      });
    }
    await this.#checkInside(folder);
  }

  /** Symbolic links below the root are never followed: they could lead out of the store. */
  async #checkInside(folder: string): Promise<void> {
    if ((await realpath(folder)) !== folder)
      throw new TidemarkError("TM-OBJECT-STORE-DENIED", `${folder} is reached by a symbolic link; the store follows none`);
  }

  async #checkWritable(): Promise<void> {
    if (this.#access === "read") throw new TidemarkError("TM-OBJECT-STORE-DENIED", `${this.name} was opened for reading only`);
    await this.#checkRoot();
  }

  /** A disk that was unmounted leaves an empty folder: that is no empty store. */
  async #checkRoot(): Promise<void> {
    const now = await stat(this.#root).catch(absentIsUndefined);
    if (now === undefined || now.dev !== this.#rootFacts.dev || now.ino !== this.#rootFacts.ino)
      throw new TidemarkError(
        "TM-OBJECT-NO-STORE",
        `${this.name} is ${now === undefined ? "gone" : "another folder than when it was opened"}`,
      );
  }

  async #doing<T>(attempt: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw folderError(error, attempt);
    }
  }
}

function absentIsUndefined(error: unknown): undefined {
  if (isErrno(error, "ENOENT")) return undefined;
  throw error;
}

async function writeDurably(file: string, body: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    for (let written = 0; written < body.length;) {
      signal?.throwIfAborted();
      const { bytesWritten } = await handle.write(body, written, Math.min(WRITE_BYTES, body.length - written), written);
      written += bytesWritten;
    }
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
