/**
 * The file system as the embedded journal sees it. Adapters: the real one (node-files.ts) and one that drops what was not
 * flushed when the power goes (../simulated/power-cut-files.ts). Everything rejects with Node's errors (`code`: ENOENT,
 * ENOSPC, EIO, …). Nothing is retried here: after a failed flush, what became of the bytes is not known (FAIL-STOP).
 */
export interface Files {
  /** Makes the folder and its parents, durably. */
  makeDirectory(path: string): Promise<void>;
  /** Names in a folder, in no order; none when the folder is not there. */
  list(path: string): Promise<string[]>;
  /** `create` makes a new file and rejects with EEXIST when there is one. */
  open(path: string, mode: "read" | "update" | "create"): Promise<JournalFile>;
  /** Replaces `to`. Durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  /** Durable after `syncDirectory`. */
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals in the folder durable. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that may still be written on the file system of `path`. */
  freeBytes(path: string): Promise<number>;
  /** A lock that ends with its holder's process. Rejects with TM-JOURNAL-LOCKED while another one holds it. */
  lock(path: string): Promise<FileLock>;
  /** Whether somebody holds the lock. */
  isLocked(path: string): Promise<boolean>;
}

export interface FileLock {
  release(): void;
}

export interface JournalFile {
  /** Bytes into `into[0, length)` from `position`; fewer only at the end of the file. */
  read(into: Buffer, length: number, position: number): Promise<number>;
  /** All of `bytes[0, length)` at `position`, not yet durable. */
  write(bytes: Buffer, length: number, position: number): Promise<void>;
  /**
   * The commit path: all of `bytes[0, length)` at `position`, durable when it resolves. The caller leaves the bytes alone
   * until then. After a rejection nothing is known about them.
   */
  writeDurably(bytes: Buffer, length: number, position: number): Promise<void>;
  /** Makes what was written durable, with the file's size. */
  sync(): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** The `code` of an error of the operating system. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Reads a whole file. */
export async function readWhole(files: Files, path: string): Promise<Buffer> {
  const file = await files.open(path, "read");
  try {
    const bytes = Buffer.alloc(await file.size());
    const read = await file.read(bytes, bytes.length, 0);
    return bytes.subarray(0, read);
  } finally {
    await file.close();
  }
}
