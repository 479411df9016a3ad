import { close, constants, fdatasync, fstat, fsync, open, read, write } from "node:fs";
import { mkdir, readdir, rename, statfs, unlink } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { TidemarkError } from "@tidemark/kernel/errors";
import { systemCode, type FileLock, type Files, type JournalFile } from "./files.ts";

/**
 * On Linux a write to a file opened with O_DSYNC is durable when it returns: one trip to the thread pool instead of two.
 * Elsewhere the flag does not reach the drive's cache, so write and flush stay two calls.
 * docs/decisions/journal-commit-path.md has the figures.
 */
const DURABLE_WRITES = process.platform === "linux";
const FLAGS = {
  read: constants.O_RDONLY,
  update: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
} as const;
/** How long taking the lock waits: long enough for somebody who only looks whether it is held (`isLocked`). */
const LOCK_PATIENCE_MS = 200;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** The real file system. */
export const nodeFiles: Files = {
  async makeDirectory(path: string): Promise<void> {
    const made = await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
    if (made === undefined) return;
    for (let at = resolve(path); at.length >= resolve(made).length; at = dirname(at)) await nodeFiles.syncDirectory(dirname(at));
  },

  async list(path: string): Promise<string[]> {
    try {
      return await readdir(path);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return [];
      throw error;
    }
  },

  async open(path: string, mode: "read" | "update" | "create"): Promise<JournalFile> {
    const durable = DURABLE_WRITES && mode === "update" ? constants.O_DSYNC : 0;
    const fd = await new Promise<number>((done, fail) =>
      open(path, FLAGS[mode] | durable, FILE_MODE, (error, opened) => (error === null ? done(opened) : fail(error))),
    );
    return new NodeFile(fd, durable !== 0);
  },

  rename: (from: string, to: string) => rename(from, to),
  remove: (path: string) => unlink(path),

  async syncDirectory(path: string): Promise<void> {
    const directory = await nodeFiles.open(path, "read");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },

  async freeBytes(path: string): Promise<number> {
    const figures = await statfs(path);
    return figures.bavail * figures.bsize;
  },

  /**
   * SQLite's exclusive lock, a lock of the operating system: it ends with the process however it ends, so that there is
   * no stale one to judge by a process number that may have been given to another. Node itself offers no file lock.
   */
  async lock(path: string): Promise<FileLock> {
    await Promise.resolve();
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path);
      database.exec(`PRAGMA busy_timeout = ${LOCK_PATIENCE_MS}; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE`);
    } catch (error) {
      database?.close();
      if (saysLocked(error)) {
        throw new TidemarkError("TM-JOURNAL-LOCKED", `another process holds ${path}`, { cause: error, details: { lock: path } });
      }
      throw error;
    }
    return { release: () => database.close() };
  },

  async isLocked(path: string): Promise<boolean> {
    if (!(await nodeFiles.list(dirname(path))).includes(basename(path))) return false;
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      database.exec("PRAGMA busy_timeout = 0; SELECT count(*) FROM sqlite_schema");
      return false;
    } catch (error) {
      if (saysLocked(error)) return true;
      throw error;
    } finally {
      database.close();
    }
  },
};

function saysLocked(error: unknown): boolean {
  return error instanceof Error && /locked|busy/i.test(error.message);
}

class NodeFile implements JournalFile {
  readonly #fd: number;
  readonly #durableWrites: boolean;

  constructor(fd: number, durableWrites: boolean) {
    this.#fd = fd;
    this.#durableWrites = durableWrites;
  }

  async read(into: Buffer, length: number, position: number): Promise<number> {
    let done = 0;
    while (done < length) {
      const got = await new Promise<number>((resolved, rejected) =>
        read(this.#fd, into, done, length - done, position + done, (error, count) => (error === null ? resolved(count) : rejected(error))),
      );
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  write(bytes: Buffer, length: number, position: number): Promise<void> {
    return new Promise((resolved, rejected) => {
      let done = 0;
      const next = (): void =>
        write(this.#fd, bytes, done, length - done, position + done, (error, count) => {
          if (error !== null) return rejected(error);
          done += count;
          if (done === length) return resolved();
          if (count === 0) return rejected(new Error("the file took none of the bytes"));
          next();
        });
      next();
    });
  }

  async writeDurably(bytes: Buffer, length: number, position: number): Promise<void> {
    await this.write(bytes, length, position);
    if (this.#durableWrites) return;
    await new Promise<void>((resolved, rejected) => fdatasync(this.#fd, (error) => (error === null ? resolved() : rejected(error))));
  }

  sync(): Promise<void> {
    return new Promise((resolved, rejected) => fsync(this.#fd, (error) => (error === null ? resolved() : rejected(error))));
  }

  size(): Promise<number> {
    return new Promise((resolved, rejected) =>
      fstat(this.#fd, (error, stats) => (error === null ? resolved(stats.size) : rejected(error))),
    );
  }

  close(): Promise<void> {
    return new Promise((resolved, rejected) => close(this.#fd, (error) => (error === null ? resolved() : rejected(error))));
  }
}
