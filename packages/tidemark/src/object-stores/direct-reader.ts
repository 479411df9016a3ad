// Reads files past the page cache: what was just written must be read from the disk, or a re-read proves nothing (trap 14).
// O_DIRECT wants buffer, position and length aligned to the disk's blocks. WebAssembly memory is page aligned by its
// making, which no Buffer promises; it is one, small, and files take turns at it.
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { TidemarkError } from "@tidemark/kernel/errors";
import { isErrno } from "./folder-errors.ts";

/** What is read in one call, in bytes; also what this process holds for it. */
const WINDOW_BYTES = 4 * 1_048_576;

/** No disk has larger blocks. A file system that wants more is read through its cache, and says so. */
const ALIGNMENT = 4_096;

const WASM_PAGE_BYTES = 65_536;

/** The part of WebAssembly that is used here; the type checker's libraries for Node leave it out. */
interface PageAlignedMemory {
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
}

/** The bytes of a file that are wanted: from `start` up to `end`, cut at its end. */
export interface FileRange {
  readonly start: number;
  readonly end: number;
  /** More bytes than this are refused with TM-OBJECT-TOO-LARGE before they are held. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** `direct`: past the page cache or not at all; `cached`: through it; `try`: past it where the file system lets us. */
export type ReadWay = "direct" | "cached" | "try";

/** Reads files past the page cache or through it. One read at a time. Its memory is taken at the first read. */
export class DirectReader {
  #way: ReadWay;
  #window: Uint8Array | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(way: ReadWay) {
    this.#way = way;
  }

  /** Rejects with the system call's error, with TM-OBJECT-TOO-LARGE, or with TM-OBJECT-STORE-FAULT when the file is shorter than it says. */
  read(file: string, range: FileRange): Promise<Uint8Array> {
    const result = this.#turn.then(() => this.#readNow(file, range));
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #readNow(file: string, range: FileRange): Promise<Uint8Array> {
    range.signal?.throwIfAborted();
    try {
      return await this.#readBy(this.#way, file, range);
    } catch (error) {
      if (this.#way !== "try" || !cannotDirect(error)) throw error;
      this.#way = "cached";
      return this.#readBy(this.#way, file, range);
    }
  }

  async #readBy(way: ReadWay, file: string, range: FileRange): Promise<Uint8Array> {
    // NONBLOCK: a named pipe in the place of an object must not hang the open.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handle = await open(file, way === "cached" ? flags : flags | constants.O_DIRECT);
    try {
      const facts = await handle.stat();
      if (!facts.isFile()) throw new TidemarkError("TM-OBJECT-MISSING", `could not read ${file}: it is no file`);
      const end = Math.min(range.end, facts.size);
      const start = Math.min(range.start, end);
      if (end - start > range.maxBytes)
        throw new TidemarkError(
          "TM-OBJECT-TOO-LARGE",
          `could not read ${file}: ${end - start} bytes, at most ${range.maxBytes} are allowed`,
        );
      return await this.#fill(handle, { file, start, end, signal: range.signal });
    } finally {
      await handle.close();
    }
  }

  async #fill(
    handle: FileHandle,
    part: { file: string; start: number; end: number; signal: AbortSignal | undefined },
  ): Promise<Uint8Array> {
    this.#window ??= makeWindow();
    const out = Buffer.allocUnsafeSlow(part.end - part.start);
    let position = part.start;
    while (position < part.end) {
      part.signal?.throwIfAborted();
      const from = position - (position % ALIGNMENT);
      const wanted = Math.min(WINDOW_BYTES, Math.ceil((part.end - from) / ALIGNMENT) * ALIGNMENT);
      const { bytesRead } = await handle.read(this.#window, 0, wanted, from);
      const until = Math.min(from + bytesRead, part.end);
      if (until <= position)
        throw new TidemarkError("TM-OBJECT-STORE-FAULT", `could not read ${part.file}: it ended at ${position} of ${part.end} bytes`);
      out.set(this.#window.subarray(position - from, until - from), position - part.start);
      position = until;
    }
    return out;
  }
}

function makeWindow(): Uint8Array {
  const pages = WINDOW_BYTES / WASM_PAGE_BYTES;
  const { Memory } = (globalThis as unknown as { readonly WebAssembly: PageAlignedMemory }).WebAssembly;
  return new Uint8Array(new Memory({ initial: pages, maximum: pages }).buffer);
}

/** Whether `error` says that this file system does not do O_DIRECT, or that there is no aligned memory to be had. */
export function cannotDirect(error: unknown): boolean {
  return error instanceof RangeError || isErrno(error, "EINVAL", "ENOTSUP", "EOPNOTSUPP");
}
