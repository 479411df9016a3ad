// Writes WAL into segment files so that a kill or a power cut at any instant leaves no hole (NO-HOLE): it may end early. The
// order that makes it so:
//   1. bytes go into `<segment>.partial`, which has its full size from the beginning and reads as zeros past them;
//   2. `flush` makes them durable (fdatasync; then the folder, where a file was made or renamed in it), and only then does
//      `flushed`, the position that may be acknowledged, move (ACK-DURABLE, trap 1);
//   3. a full segment is flushed, renamed to its final name, and the folder flushed; only then is it told as sealed, and
//      only then does `flushed` pass its end.
// While the server is far ahead, step 3 happens beside the receiving of the next segment, for one segment at a time:
// there are two partial files then, and all that is known to be durable ends in the older one.
//
// A failed write or flush is the end (FAIL-STOP, trap 2): nothing is tried again on the descriptor, `flushed` stays, and every
// later call throws. A full disk is not a failure (trap 13): `write` takes less than it was given, and goes on when called
// again with room.
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError, assert } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { WalFolder } from "../wal-folder.ts";
import type { HeldBytes } from "./open-segment.ts";
import { openSegment } from "./open-segment.ts";
import type { WalFiles } from "./wal-files.ts";

export interface SegmentWriterOptions {
  readonly folder: WalFolder;
  readonly files: WalFiles;
  readonly timeline: Timeline;
  /** Where the next byte goes. Within a segment only where its partial file holds what comes before. */
  readonly start: Lsn;
  /**
   * All WAL from here to `start` is here, along the timelines that lead to it. Equal to `start` where a run begins. A partial
   * file in between is full, and is sealed at the opening; one before belongs to an earlier run and is left alone.
   */
  readonly contiguousFrom: Lsn;
  /**
   * WAL from `start` to `to`, at most to the segment's end, is here already, in the file of `timeline`: the server must
   * send the same bytes again (traps 3, 10). On a new timeline that is the part of its first segment before the fork.
   */
  readonly held?: { readonly timeline: Timeline; readonly to: Lsn };
}

export interface SealedSegment {
  readonly timeline: Timeline;
  readonly start: Lsn;
}

export interface WriterEvents {
  /** A segment is whole, durable and under its final name; `flushed` may have moved. In the order of positions. */
  sealed(segment: SealedSegment): void;
  /** What held `write` up ("sealing") is over. */
  free(): void;
  /** FAIL-STOP. */
  failed(error: TidemarkError): void;
}

/** Why `write` took less than it was given. */
export type Obstacle = "full" | "sealing";

interface PartialFile {
  readonly fd: number;
  readonly path: string;
}

export class SegmentWriter {
  readonly timeline: Timeline;
  /** The server is far ahead: segments are sealed beside the receiving, and `flush` may be left out between. */
  catchingUp = false;
  readonly #options: SegmentWriterOptions;
  readonly #segmentBytes: number;
  #events: WriterEvents | undefined;
  /** The segment that is written, and how much of it is. */
  #segment: Lsn;
  #offset: number;
  /** Its file; undefined before its first byte. */
  #file: PartialFile | undefined;
  #held: HeldBytes | undefined;
  #flushed: Lsn;
  #dirty = false;
  /** A file was made or renamed, and the folder not flushed since. */
  #folderDirty = false;
  /** Sealed but for the flush of the folder. */
  #renamed: SealedSegment[] = [];
  #sealing: Promise<void> | undefined;
  #obstacle: Obstacle | undefined;
  #failure: TidemarkError | undefined;
  #closed = false;
  // The position as two halves, to be compared with a message's without making an object.
  #high: number;
  #low: number;

  /**
   * Opens the place where `start` lies. A leftover of a kill is put right: full partial files before it are sealed, partial
   * files after it are removed (nothing in them was acknowledged), and what stands in its own file past `start` and `held`
   * is zeroed. Everything before `start` is durable when it returns. Throws TM-VAULT-POSITION when `start` would leave a
   * hole or lie within what is sealed, TM-VAULT-FAIL-STOP when a write or a flush fails.
   */
  static open(options: SegmentWriterOptions): SegmentWriter {
    return new SegmentWriter(options);
  }

  private constructor(options: SegmentWriterOptions) {
    this.#options = options;
    this.timeline = options.timeline;
    this.#segmentBytes = options.folder.segmentBytes;
    assert((this.#segmentBytes & (this.#segmentBytes - 1)) === 0, "a segment's size is a power of two");
    const { start } = options;
    this.#segment = segmentStart(start, this.#segmentBytes);
    this.#offset = Number(start - this.#segment);
    this.#flushed = start;
    this.#high = Number(start >> 32n);
    this.#low = Number(start & 0xffff_ffffn);
    const opened = this.#guard("opened the segment of", () => openSegment(options));
    this.#file = opened.file;
    this.#held = opened.held;
    this.#renamed = opened.sealed;
  }

  /** Whom to tell; segments that were sealed at the opening are told at once. */
  listen(events: WriterEvents): void {
    this.#events = events;
    this.#tellSealed();
    if (this.#failure !== undefined) events.failed(this.#failure);
  }

  /** Where the next byte goes. */
  get position(): Lsn {
    return (this.#segment + BigInt(this.#offset)) as Lsn;
  }

  /** Everything before it is durable. */
  get flushed(): Lsn {
    return this.#flushed;
  }

  /** Why the last `write` took less than it was given. */
  get obstacle(): Obstacle | undefined {
    return this.#obstacle;
  }

  /** Whether the next byte's position has these two halves. */
  isAt(high: number, low: number): boolean {
    return this.#low === low && this.#high === high;
  }

  /**
   * Writes `bytes[from, to)` at the position; how many bytes it took. Less than all: see `obstacle`, and call again with
   * the rest after `free`, or after a while when the disk is full. Throws TM-VAULT-FAIL-STOP, and TM-VAULT-OTHER-BYTES before
   * it writes what differs from what is held.
   */
  write(bytes: Buffer, from: number, to: number): number {
    this.#check();
    this.#obstacle = undefined;
    let at = from;
    while (at < to) {
      if (this.#offset === this.#segmentBytes && !this.#finish(this.catchingUp)) break;
      this.#file ??= this.#begin();
      if (this.#file === undefined) break;
      const length = Math.min(to - at, this.#segmentBytes - this.#offset);
      if (this.#held !== undefined) this.#compare(this.#held, bytes, { from: at, length });
      const written = this.#put(this.#file, bytes, { from: at, length, position: this.#offset });
      at += written;
      this.#advance(written);
      if (written < length) break;
    }
    if (this.#offset === this.#segmentBytes && this.#sealing === undefined) this.#finish(this.catchingUp);
    return at - from;
  }

  /**
   * Makes everything that was written durable. False: a segment is being sealed beside, and `flushed` moves when that is
   * told. Throws TM-VAULT-FAIL-STOP.
   */
  flush(): boolean {
    this.#check();
    if (this.#sealing !== undefined) return false;
    if (this.#offset === this.#segmentBytes) this.#finish(false);
    const { files, folder } = this.#options;
    const file = this.#file;
    if (this.#dirty && file !== undefined) this.#guard("flushed", () => files.sync(file.fd));
    this.#dirty = false;
    if (this.#folderDirty) this.#guard("flushed the folder of", () => files.syncDirectory(folder.wal));
    this.#folderDirty = false;
    this.#flushed = this.position;
    this.#tellSealed();
    return true;
  }

  /** Resolves when nothing is being sealed beside. */
  async settled(): Promise<void> {
    await this.#sealing;
  }

  /** Lets go of the files; flushes nothing. Resolves when nothing is being done any more. */
  async close(): Promise<void> {
    await this.#sealing;
    if (!this.#closed && this.#file !== undefined) this.#options.files.close(this.#file.fd);
    this.#closed = true;
  }

  #put(file: PartialFile, bytes: Buffer, range: { from: number; length: number; position: number }): number {
    const { files } = this.#options;
    let done = 0;
    while (done < range.length) {
      try {
        const { from, length, position } = range;
        done += files.write(file.fd, bytes, { from: from + done, length: length - done, position: position + done });
      } catch (error) {
        this.#refused("wrote", error);
        break;
      }
    }
    if (done > 0) this.#dirty = true;
    return done;
  }

  #advance(count: number): void {
    this.#offset += count;
    this.#low += count;
    if (this.#low < 0x1_0000_0000) return;
    this.#low -= 0x1_0000_0000;
    this.#high += 1;
  }

  /** Makes the segment's file; undefined when the disk has no room for it. */
  #begin(): PartialFile | undefined {
    const { files, folder } = this.#options;
    const path = folder.segment({ timeline: this.timeline, lsn: this.#segment }, false);
    let fd: number | undefined;
    try {
      fd = files.open(path, "create");
      this.#folderDirty = true;
      files.truncate(fd, this.#segmentBytes);
      return { fd, path };
    } catch (error) {
      if (fd !== undefined) {
        files.close(fd);
        files.remove(path);
      }
      return this.#refused("made the file of", error);
    }
  }

  /** Seals the full segment, now or beside; false when the one before is still being sealed. */
  #finish(beside: boolean): boolean {
    const { files, folder } = this.#options;
    if (this.#sealing !== undefined) {
      this.#obstacle = "sealing";
      return false;
    }
    const file = this.#file;
    assert(file !== undefined, "a full segment has a file");
    const sealed = { timeline: this.timeline, start: this.#segment };
    const path = folder.segment({ timeline: this.timeline, lsn: this.#segment }, true);
    if (beside) {
      this.#sealing = this.#sealBeside(file, sealed, path);
    } else {
      this.#guard("sealed", () => {
        if (this.#dirty) files.sync(file.fd);
        files.rename(file.path, path);
        files.close(file.fd);
      });
      this.#folderDirty = true;
      this.#renamed.push(sealed);
    }
    this.#dirty = false;
    this.#file = undefined;
    this.#held = undefined;
    this.#segment = (this.#segment + BigInt(this.#segmentBytes)) as Lsn;
    this.#offset = 0;
    return true;
  }

  async #sealBeside(file: PartialFile, segment: SealedSegment, path: string): Promise<void> {
    const { files, folder } = this.#options;
    try {
      await files.syncLater(file.fd);
      files.rename(file.path, path);
      await files.syncDirectoryLater(folder.wal);
      files.close(file.fd);
    } catch (error) {
      this.#sealing = undefined;
      this.#events?.failed(this.#fail("sealed", error));
      return;
    }
    this.#sealing = undefined;
    this.#renamed.push(segment);
    this.#flushed = (segment.start + BigInt(this.#segmentBytes)) as Lsn;
    this.#tellSealed();
    if (this.#obstacle !== "sealing") return;
    this.#obstacle = undefined;
    this.#events?.free();
  }

  #tellSealed(): void {
    if (this.#events === undefined) return;
    const sealed = this.#renamed;
    this.#renamed = [];
    for (const segment of sealed) this.#events.sealed(segment);
  }

  #compare(held: HeldBytes, bytes: Buffer, range: { from: number; length: number }): void {
    const end = Math.min(this.#offset + range.length, held.to);
    if (this.#offset >= end) return;
    const mine = held.bytes.subarray(this.#offset - held.from, end - held.from);
    const theirs = bytes.subarray(range.from, range.from + mine.length);
    if (mine.equals(theirs)) return;
    let same = 0;
    while (mine[same] === theirs[same]) same += 1;
    const lsn = formatLsn((this.position + BigInt(same)) as Lsn);
    throw new TidemarkError("TM-VAULT-OTHER-BYTES", `the server sent other WAL at ${lsn} than is here; nothing was overwritten`, {
      details: { timeline: this.timeline, lsn, to: formatLsn((this.#segment + BigInt(held.to)) as Lsn) },
    });
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    assert(!this.#closed, "the writer is open");
  }

  /** No room is an obstacle, everything else the end. */
  #refused(what: string, error: unknown): undefined {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw this.#fail(what, error);
    this.#obstacle = "full";
  }

  #guard<T>(what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw error instanceof TidemarkError ? error : this.#fail(what, error);
    }
  }

  #fail(what: string, cause: unknown): TidemarkError {
    const lsn = formatLsn(this.#flushed);
    this.#failure ??= new TidemarkError(
      "TM-VAULT-FAIL-STOP",
      `${what} WAL after ${lsn}, which failed; nothing after it counts as durable`,
      {
        cause,
        details: { timeline: this.timeline, flushed: lsn, folder: this.#options.folder.wal },
      },
    );
    return this.#failure;
  }
}
