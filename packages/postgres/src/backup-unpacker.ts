import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { chown, mkdir, open, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { FileFacts } from "./backup-manifest.ts";
import { TarDecoder } from "./protocol/tar-decoder.ts";
import { syncFolder } from "./server-settings.ts";
import type { PostgresUser } from "./unprivileged-user.ts";

/** Files up to this size are written while the next ones are received, bytes: most of a small cluster's thousand files, at one page each. */
const SMALL_FILE_BYTES = 131_072;

/** How many small files are written at the same time: enough to keep the pool's threads busy. */
const SMALL_FILES_AT_ONCE = 8;

/** How many files are synced at the same time; more than the threads of libuv's pool is of no use. */
const SYNCS_AT_ONCE = 4;

/** The file that is being received. A small one is collected and written at its end, a larger one as it comes. */
interface OpenFile {
  readonly path: string;
  readonly handle: FileHandle | undefined;
  readonly collected: Buffer;
  readonly hash: Hash;
  sizeBytes: number;
}

/** Writes a main archive into a folder, files 0600 and folders 0700, all owned by the server's user, hashing as it goes. */
export class BackupUnpacker {
  readonly #folder: string;
  readonly #user: PostgresUser;
  readonly #decoder = new TarDecoder();
  readonly #files = new Map<string, FileFacts>();
  readonly #folders = new Set<string>();
  #open: OpenFile | undefined;
  readonly #writing = new Set<Promise<void>>();
  #failed: { readonly error: unknown } | undefined;

  constructor(folder: string, user: PostgresUser) {
    this.#folder = folder;
    this.#user = user;
  }

  /** What was unpacked so far, by path within the folder. */
  get files(): ReadonlyMap<string, FileFacts> {
    return this.#files;
  }

  /** Takes the next piece of the archive. Rejects with TM-PG-BACKUP, or with the file system's error. */
  async write(chunk: Buffer): Promise<void> {
    for (const event of this.#decoder.push(chunk)) {
      if (this.#failed !== undefined) throw this.#failed.error;
      if (event.kind === "data") await this.#append(event.bytes);
      else if (event.kind === "file") await this.#begin(event.path, event.sizeBytes);
      else if (event.kind === "file-end") await this.#end();
      else if (event.kind === "folder") await this.#makeFolder(event.path);
      else throw new TidemarkError("TM-PG-TABLESPACE", `the backup holds the link ${event.path}, which points out of the data directory`);
    }
  }

  /** The archive is complete, and every file of it written. Rejects with TM-PG-BACKUP when it is not, or with the file system's error. */
  async finish(): Promise<void> {
    this.#decoder.finish();
    await Promise.all(this.#writing);
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  /** Closes the files that are open, after a fault. */
  async abandon(): Promise<void> {
    await Promise.all(this.#writing);
    await this.#open?.handle?.close();
    this.#open = undefined;
  }

  async #begin(path: string, sizeBytes: number): Promise<void> {
    if (this.#files.has(path)) throw new TidemarkError("TM-PG-BACKUP", `unpacked a base backup: it holds ${path} twice`);
    const parent = dirname(path);
    if (parent !== ".") await this.#makeFolder(parent);
    const small = sizeBytes <= SMALL_FILE_BYTES;
    const handle = small ? undefined : await this.#create(path);
    this.#open = { path, handle, collected: Buffer.allocUnsafe(small ? sizeBytes : 0), hash: createHash("sha256"), sizeBytes: 0 };
  }

  async #create(path: string): Promise<FileHandle> {
    const handle = await open(join(this.#folder, path), "wx", 0o600);
    try {
      if (this.#user.switches) await handle.chown(this.#user.uid, this.#user.gid);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return handle;
  }

  async #append(bytes: Buffer): Promise<void> {
    const file = this.#open;
    if (file === undefined) throw new TidemarkError("TM-PG-BACKUP", "unpacked a base backup: data without a file");
    file.hash.update(bytes);
    if (file.handle === undefined) bytes.copy(file.collected, file.sizeBytes);
    else await writeAll(file.handle, bytes);
    file.sizeBytes += bytes.length;
  }

  async #end(): Promise<void> {
    const file = this.#open;
    if (file === undefined) return;
    this.#open = undefined;
    if (file.handle === undefined) await this.#writeBeside(file.path, file.collected);
    else await file.handle.close();
    this.#files.set(file.path, { sizeBytes: file.sizeBytes, sha256: file.hash.digest("hex") });
  }

  /** Writes a small file while others are received. Resolves when there is room for one more. */
  async #writeBeside(path: string, bytes: Buffer): Promise<void> {
    const written = this.#writeSmall(path, bytes)
      .catch((error: unknown) => void (this.#failed ??= { error }))
      .finally(() => this.#writing.delete(written));
    this.#writing.add(written);
    if (this.#writing.size >= SMALL_FILES_AT_ONCE) await Promise.race(this.#writing);
  }

  async #writeSmall(path: string, bytes: Buffer): Promise<void> {
    const handle = await this.#create(path);
    try {
      await writeAll(handle, bytes);
    } finally {
      await handle.close();
    }
  }

  async #makeFolder(path: string): Promise<void> {
    if (this.#folders.has(path)) return;
    const parent = dirname(path);
    if (parent !== ".") await this.#makeFolder(parent);
    await mkdir(join(this.#folder, path), { mode: 0o700 });
    if (this.#user.switches) await chown(join(this.#folder, path), this.#user.uid, this.#user.gid);
    this.#folders.add(path);
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let offset = 0; offset < bytes.length;) offset += (await handle.write(bytes, offset)).bytesWritten;
}

/**
 * Makes everything below a folder durable, files before the folders that name them. Done at the end and not file by file:
 * the first sync then carries most of the others' metadata along.
 */
export async function syncTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  for (const paths of [files, folders]) {
    const queue = paths.values();
    await Promise.all(
      Array.from({ length: SYNCS_AT_ONCE }, async () => {
        for (const path of queue) await syncFolder(path);
      }),
    );
  }
  await syncFolder(folder);
}
