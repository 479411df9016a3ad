/**
 * The file system as the receiver's thread sees it. Calls wait for the disk: the thread has nothing else to do meanwhile, and
 * a hop to the thread pool costs more than the write (docs/decisions/wal-receiver.md). The two that end in `Later` do take
 * the hop, for what commits must not wait for. Everything throws Node's errors (`code`: ENOSPC, EIO, …). Nothing is tried
 * again here: after a failed flush, what became of the bytes is not known (FAIL-STOP).
 */
export interface WalFiles {
  /** Makes the folder and its parents, durably. */
  makeDirectory(path: string): void;
  /** Names in a folder, in no order. */
  list(path: string): string[];
  /** Opens for reading and writing; `create` makes a new file and throws EEXIST when there is one. */
  open(path: string, mode: "update" | "create"): number;
  size(fd: number): number;
  /** Bytes into `into[0, length)` from `position`; fewer only at the end of the file. */
  read(fd: number, into: Buffer, range: { length: number; position: number }): number;
  /** `bytes[from, from + length)` at `position`; how many were written, at least 1. */
  write(fd: number, bytes: Buffer, range: { from: number; length: number; position: number }): number;
  /** Sets the size; what is added reads as zeros and takes no room. */
  truncate(fd: number, size: number): void;
  /** Makes what was written durable, with the size. */
  sync(fd: number): void;
  /** The same in the thread pool. */
  syncLater(fd: number): Promise<void>;
  close(fd: number): void;
  /** Durable after `syncDirectory`. */
  rename(from: string, to: string): void;
  /** Durable after `syncDirectory`. */
  remove(path: string): void;
  /** Makes creations, renames and removals in the folder durable. */
  syncDirectory(path: string): void;
  /** The same in the thread pool. */
  syncDirectoryLater(path: string): Promise<void>;
}
