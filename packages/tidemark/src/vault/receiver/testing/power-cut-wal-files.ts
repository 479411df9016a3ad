// Files in memory that keep after a power cut only what was flushed: of the sectors that were not, any subset; of the changes
// to the folder that were not, any number of the first ones. A failed flush behaves as on Linux: the sectors count as clean,
// reads still show them, and the disk may not have them (trap 2). Deterministic for a seed. One folder.
import { basename } from "node:path";
import type { Random } from "@tidemark/kernel/random";
import type { WalFiles } from "../wal-files.ts";

const SECTOR_BYTES = 512;

class Inode {
  seen: Buffer = Buffer.alloc(0);
  disk: Buffer = Buffer.alloc(0);
  dirty = new Set<number>();
  /** Counted as clean after a failed flush. */
  readonly forgotten = new Set<number>();

  resize(size: number): void {
    this.seen = resized(this.seen, size);
  }

  write(bytes: Buffer, position: number): void {
    if (position + bytes.length > this.seen.length) this.resize(position + bytes.length);
    bytes.copy(this.seen, position);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector * SECTOR_BYTES < position + bytes.length; sector++)
      this.dirty.add(sector);
  }

  /** The size goes with any flush, the content with its own sectors. */
  store(sectors: Iterable<number>): void {
    this.disk = resized(this.disk, this.seen.length);
    for (const sector of sectors) this.seen.copy(this.disk, sector * SECTOR_BYTES, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  }
}

function resized(bytes: Buffer, size: number): Buffer {
  return size <= bytes.length ? bytes.subarray(0, size) : Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]);
}

/** What happens at the n-th call that changes something: an error, or the power goes in the middle of it. */
export interface PlannedFault {
  readonly call: number;
  /** Counts only these calls. */
  readonly only?: string;
  readonly what: "power-cut" | { readonly code: string };
}

export class PowerCut extends Error {
  override readonly name = "PowerCut";
}

export class PowerCutWalFiles implements WalFiles {
  /** Calls that changed something so far, by their names: the crash points. */
  readonly calls: string[] = [];
  readonly #random: Random;
  /** The folder as seen, and how it came about since it was flushed; the first entry is durable. */
  #names: ReadonlyMap<string, Inode>[] = [new Map()];
  #open = new Map<number, Inode>();
  #nextFd = 3;
  #fault: PlannedFault | undefined;
  /** Calls until it happens. */
  #left = 0;
  #off = false;

  constructor(random: Random) {
    this.#random = random;
  }

  /** `call: 1` is the next one. */
  plan(fault: PlannedFault): void {
    this.#fault = fault;
    this.#left = fault.call;
  }

  get isOff(): boolean {
    return this.#off;
  }

  /** Starts the machine again with what the disk has. */
  powerOn(): void {
    this.#off = false;
    this.#fault = undefined;
    this.#open.clear();
    this.#names = [this.#names[Math.floor(this.#random.fraction() * this.#names.length)] ?? new Map<string, Inode>()];
    for (const inode of this.#current.values()) {
      if (inode.dirty.size > 0 || inode.disk.length !== inode.seen.length) {
        // The new size may have got there without the content, or not at all.
        if (this.#random.fraction() < 0.7) inode.store([...inode.dirty].filter(() => this.#random.fraction() < 0.5));
      }
      inode.dirty.clear();
      inode.seen = Buffer.from(inode.disk);
    }
  }

  /** The process ends, not the machine (kill -9): everything written is there. */
  killProcess(): void {
    this.#off = false;
    this.#fault = undefined;
    this.#open.clear();
  }

  content(name: string): Buffer | undefined {
    return this.#current.get(name)?.seen;
  }

  makeDirectory(): void {}

  list(): string[] {
    return [...this.#current.keys()];
  }

  open(path: string, mode: "update" | "create"): number {
    const name = basename(path);
    let inode = this.#current.get(name);
    if (mode === "create") {
      this.#changes("create");
      if (inode !== undefined) throw failure("EEXIST");
      inode = new Inode();
      this.#rename((names) => names.set(name, inode as Inode));
    }
    if (inode === undefined) throw failure("ENOENT");
    const fd = this.#nextFd++;
    this.#open.set(fd, inode);
    return fd;
  }

  size(fd: number): number {
    return this.#inode(fd).seen.length;
  }

  read(fd: number, into: Buffer, range: { length: number; position: number }): number {
    return this.#inode(fd).seen.copy(into, 0, range.position, range.position + range.length);
  }

  write(fd: number, bytes: Buffer, range: { from: number; length: number; position: number }): number {
    const inode = this.#inode(fd);
    // The system may take less than it was given.
    const taken = this.#random.fraction() < 0.2 ? Math.ceil(range.length / 2) : range.length;
    const part = bytes.subarray(range.from, range.from + taken);
    this.#changes("write", () => inode.write(part.subarray(0, Math.floor(part.length * this.#random.fraction())), range.position));
    inode.write(part, range.position);
    return taken;
  }

  truncate(fd: number, size: number): void {
    this.#changes("truncate");
    this.#inode(fd).resize(size);
  }

  sync(fd: number): void {
    const inode = this.#inode(fd);
    this.#changes("sync", () => {
      for (const sector of inode.dirty) if (this.#random.fraction() < 0.5) inode.forgotten.add(sector);
      inode.store([...inode.dirty].filter((sector) => !inode.forgotten.has(sector)));
      if (!this.#off) inode.dirty.clear();
    });
    inode.store(inode.dirty);
    inode.dirty.clear();
  }

  async syncLater(fd: number): Promise<void> {
    await Promise.resolve();
    this.sync(fd);
  }

  close(fd: number): void {
    this.#open.delete(fd);
  }

  rename(from: string, to: string): void {
    this.#changes("rename");
    const inode = this.#current.get(basename(from));
    if (inode === undefined) throw failure("ENOENT");
    this.#rename((names) => {
      names.delete(basename(from));
      names.set(basename(to), inode);
    });
  }

  remove(path: string): void {
    this.#changes("remove");
    this.#rename((names) => names.delete(basename(path)));
  }

  syncDirectory(): void {
    this.#changes("sync-folder");
    this.#names = [this.#current];
  }

  async syncDirectoryLater(): Promise<void> {
    await Promise.resolve();
    this.syncDirectory();
  }

  get #current(): ReadonlyMap<string, Inode> {
    return this.#names.at(-1) ?? new Map<string, Inode>();
  }

  #rename(change: (names: Map<string, Inode>) => void): void {
    const names = new Map(this.#current);
    change(names);
    this.#names.push(names);
  }

  #inode(fd: number): Inode {
    if (this.#off) throw new PowerCut("the power is off");
    const inode = this.#open.get(fd);
    if (inode === undefined) throw failure("EBADF");
    return inode;
  }

  /** Counts a call and lets the planned fault happen; `half`: what of it took place then. */
  #changes(what: string, half?: () => void): void {
    if (this.#off) throw new PowerCut("the power is off");
    this.calls.push(what);
    if (this.#fault === undefined || (this.#fault.only ?? what) !== what || --this.#left !== 0) return;
    const { what: fault } = this.#fault;
    if (fault === "power-cut") this.#off = true;
    if (fault === "power-cut" || fault.code !== "ENOSPC") half?.();
    throw fault === "power-cut" ? new PowerCut("the power went") : failure(fault.code);
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
