import { TidemarkError } from "@tidemark/kernel/errors";
import type { Random } from "@tidemark/kernel/random";
import type { FileLock, Files, JournalFile } from "../embedded/files.ts";

const SECTOR_BYTES = 512;

/** A file's content as the operating system shows it, and as the disk has it. */
class Inode {
  seen: Buffer = Buffer.alloc(0);
  disk: Buffer = Buffer.alloc(0);
  /** Sectors written since the last flush. */
  readonly dirty = new Set<number>();
  /** Sectors that the operating system takes for clean after a failed flush, though the disk may not have them. */
  readonly forgotten = new Set<number>();

  write(bytes: Buffer, length: number, position: number): void {
    if (position + length > this.seen.length) this.seen = Buffer.concat([this.seen, Buffer.alloc(position + length - this.seen.length)]);
    bytes.copy(this.seen, position, 0, length);
    for (let at = Math.floor(position / SECTOR_BYTES); at * SECTOR_BYTES < position + length; at++) {
      this.dirty.add(at);
      this.forgotten.delete(at);
    }
  }

  /** Copies `sectors` to the disk, whose file grows as far as they reach. */
  store(sectors: Iterable<number>): void {
    for (const sector of sectors) {
      const end = Math.min((sector + 1) * SECTOR_BYTES, this.seen.length);
      this.#grow(end);
      this.seen.copy(this.disk, sector * SECTOR_BYTES, sector * SECTOR_BYTES, end);
    }
  }

  #grow(length: number): void {
    if (this.disk.length < length) this.disk = Buffer.concat([this.disk, Buffer.alloc(length - this.disk.length)]);
  }

  flush(): void {
    this.#grow(this.seen.length);
    this.store(this.dirty);
    this.dirty.clear();
  }
}

type Names = ReadonlyMap<string, Inode>;

/** What happens at the n-th call that changes something: an error, or the power goes in the middle of it. */
export type PlannedFault =
  | { readonly call: number; readonly kind: "error"; readonly code: string }
  | { readonly call: number; readonly kind: "power-cut" };

/** Thrown by every call after the power went, until `powerOn`. */
class PowerCut extends Error {
  override readonly name = "PowerCut";
}

/**
 * Files in memory that keep after a power cut only what was flushed: of the sectors that were not, any subset, drawn from
 * `random`; of the changes to a folder that were not, any number of the first ones. A failed flush behaves as on Linux:
 * the sectors count as clean, reads still show them, and the disk may not have them. Deterministic for a seed.
 */
export class PowerCutFiles implements Files {
  readonly #random: Random;
  /** Names as seen, and how they came about since each was flushed; the first entry is durable. One folder tree for all. */
  #names: Names[] = [new Map()];
  #calls = 0;
  #life = 0;
  #faults: PlannedFault[] = [];
  #off = false;
  readonly #locks = new Set<string>();
  free: number;

  constructor(options: { random: Random; freeBytes?: number }) {
    this.#random = options.random;
    this.free = options.freeBytes ?? 1_099_511_627_776;
  }

  /** Calls that changed something so far. */
  get calls(): number {
    return this.#calls;
  }

  get isOff(): boolean {
    return this.#off;
  }

  /** Counts from the calls so far: `{ call: 1, … }` is the next one. */
  plan(...faults: readonly PlannedFault[]): void {
    this.#faults = faults.map((fault) => ({ ...fault, call: fault.call + this.#calls }));
  }

  /** The power goes: everything that was not flushed is at the mercy of `random`. */
  cutPower(): void {
    this.#off = true;
  }

  /** Starts the machine again with what the disk has. Handles and locks from before are gone. */
  powerOn(): void {
    this.#off = false;
    this.#life++;
    this.#faults = [];
    this.#locks.clear();
    const kept = this.#names[Math.floor(this.#random.fraction() * this.#names.length)] ?? new Map<string, Inode>();
    this.#names = [kept];
    for (const inode of new Set(kept.values())) {
      inode.store([...inode.dirty, ...inode.forgotten].filter(() => this.#random.fraction() < 0.5));
      inode.dirty.clear();
      inode.forgotten.clear();
      inode.seen = Buffer.from(inode.disk);
    }
  }

  /** Ends the process, not the machine (kill -9), also after a cut: locks and handles are gone, everything written is there. */
  killProcess(): void {
    this.#off = false;
    this.#life++;
    this.#faults = [];
    this.#locks.clear();
  }

  /** Changes bytes of a file, flushed, behind everybody's back. */
  tamper(path: string, change: (bytes: Buffer) => Buffer | void): void {
    const inode = this.#inode(path);
    const changed = change(inode.seen) ?? inode.seen;
    inode.seen = Buffer.from(changed);
    inode.disk = Buffer.from(changed);
  }

  /** The names in the folder tree. */
  paths(): string[] {
    return [...this.#seen.keys()].toSorted();
  }

  makeDirectory(): Promise<void> {
    return Promise.resolve();
  }

  async list(path: string): Promise<string[]> {
    await Promise.resolve();
    this.#checkPower();
    const prefix = `${path}/`;
    return [...this.#seen.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  async open(path: string, mode: "read" | "update" | "create"): Promise<JournalFile> {
    await Promise.resolve();
    this.#checkPower();
    if (mode !== "create") return this.#handle(this.#inode(path));
    if (this.#seen.has(path)) throw systemError("EEXIST", `open ${path}`);
    return this.#change(() => {
      const inode = new Inode();
      this.#names.push(new Map([...this.#seen, [path, inode]]));
      return this.#handle(inode);
    });
  }

  async rename(from: string, to: string): Promise<void> {
    await Promise.resolve();
    const inode = this.#inode(from);
    this.#change(() => {
      const names = new Map(this.#seen);
      names.delete(from);
      this.#names.push(names.set(to, inode));
    });
  }

  async remove(path: string): Promise<void> {
    await Promise.resolve();
    this.#inode(path);
    this.#change(() => {
      const names = new Map(this.#seen);
      names.delete(path);
      this.#names.push(names);
    });
  }

  async syncDirectory(): Promise<void> {
    await Promise.resolve();
    this.#change(() => (this.#names = [this.#seen]));
  }

  async freeBytes(): Promise<number> {
    await Promise.resolve();
    this.#checkPower();
    return this.free;
  }

  async lock(path: string): Promise<FileLock> {
    await Promise.resolve();
    this.#checkPower();
    if (this.#locks.has(path)) throw new TidemarkError("TM-JOURNAL-LOCKED", `another process holds ${path}`);
    this.#locks.add(path);
    const life = this.#life;
    return { release: () => void (life === this.#life && this.#locks.delete(path)) };
  }

  async isLocked(path: string): Promise<boolean> {
    await Promise.resolve();
    return this.#locks.has(path);
  }

  get #seen(): Names {
    return this.#names.at(-1) ?? new Map<string, Inode>();
  }

  #inode(path: string): Inode {
    this.#checkPower();
    const inode = this.#seen.get(path);
    if (inode === undefined) throw systemError("ENOENT", `open ${path}`);
    return inode;
  }

  #handle(inode: Inode): JournalFile {
    const life = this.#life;
    const alive = (): void => {
      this.#checkPower();
      if (life !== this.#life) throw systemError("EBADF", "the process of this file is gone");
    };
    const write = (bytes: Buffer, length: number, position: number): void => {
      alive();
      this.#change(
        () => inode.write(bytes, length, position),
        () => inode.write(bytes, Math.floor(this.#random.fraction() * length), position),
      );
    };
    const sync = (): void => {
      alive();
      this.#change(
        () => inode.flush(),
        () => this.#failFlush(inode),
      );
    };
    return {
      read: async (into, length, position) => {
        await Promise.resolve();
        alive();
        return inode.seen.copy(into, 0, position, Math.min(position + length, inode.seen.length));
      },
      write: async (bytes, length, position) => {
        await Promise.resolve();
        write(bytes, length, position);
      },
      writeDurably: async (bytes, length, position) => {
        await Promise.resolve();
        write(bytes, length, position);
        await Promise.resolve();
        sync();
      },
      sync: async () => {
        await Promise.resolve();
        sync();
      },
      size: async () => {
        await Promise.resolve();
        alive();
        return inode.seen.length;
      },
      close: () => Promise.resolve(),
    };
  }

  /** Any part may have reached the disk; the rest is forgotten, as Linux does it. */
  #failFlush(inode: Inode): void {
    for (const sector of inode.dirty) {
      if (this.#random.fraction() < 0.5) inode.store([sector]);
      else inode.forgotten.add(sector);
    }
    inode.dirty.clear();
  }

  /** A call that changes something; `partly` is what it does when it fails in the middle. */
  #change<T>(whole: () => T, partly?: () => void): T {
    this.#checkPower();
    this.#calls++;
    const fault = this.#faults.find(({ call }) => call === this.#calls);
    if (fault === undefined) return whole();
    if (fault.kind === "error" || this.#random.fraction() < 0.5) partly?.();
    if (fault.kind === "error") throw systemError(fault.code, "call");
    this.cutPower();
    throw new PowerCut("the power went");
  }

  #checkPower(): void {
    if (this.#off) throw new PowerCut("the power is off");
  }
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
