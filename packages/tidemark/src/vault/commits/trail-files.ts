// Reads the bytes along a trail from the vault's files. Synchronous on purpose: what was just received is in the page cache,
// and the hop to a thread and back costs more than the read. The caller keeps the pieces small.
import { closeSync, openSync, readSync } from "node:fs";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { WalFolder } from "../wal-folder.ts";
import type { WalTrail } from "./wal-trail.ts";

export class TrailFiles {
  readonly #folder: WalFolder;
  #open: { readonly timeline: Timeline; readonly segment: Lsn; readonly descriptor: number } | undefined;

  constructor(folder: WalFolder) {
    this.#folder = folder;
  }

  /**
   * Reads from `lsn` on into `buffer`, at most up to `to`, the segment's end or the end of its timeline. `received` says how
   * far the file of the newest timeline may be read. Returns the bytes read; 0 when no file holds the place.
   */
  read(trail: WalTrail, span: { lsn: Lsn; to: Lsn; received: Lsn }, buffer: Uint8Array): number {
    const { lsn } = span;
    const segment = segmentStart(lsn, this.#folder.segmentBytes);
    const piece = trail.pieceAt(lsn);
    const own = this.#descriptor(piece.timeline, segment);
    if (own !== undefined) {
      const mostlyTo = piece === trail.newest ? span.received : (piece.to as Lsn);
      return this.#read(own, { ...span, to: mostlyTo < span.to ? mostlyTo : span.to, segment }, buffer);
    }
    // The first segment of a later timeline repeats what comes before the fork.
    const later = trail.pieces.find(
      (one) => one.from > piece.from && segmentStart(one.from, this.#folder.segmentBytes) === segment && this.#has(one.timeline, segment),
    );
    if (later === undefined) return 0;
    const limit = later === trail.newest && span.received < span.to ? span.received : span.to;
    return this.#read(this.#descriptor(later.timeline, segment) as number, { ...span, to: limit, segment }, buffer);
  }

  /** Lets go of the file: to be called when another one may stand in its place. */
  close(): void {
    if (this.#open !== undefined) closeSync(this.#open.descriptor);
    this.#open = undefined;
  }

  #read(descriptor: number, span: { lsn: Lsn; to: Lsn; segment: Lsn }, buffer: Uint8Array): number {
    const offset = Number(span.lsn - span.segment);
    const most = Math.min(buffer.length, this.#folder.segmentBytes - offset, Number(span.to - span.lsn));
    return most <= 0 ? 0 : readSync(descriptor, buffer, 0, most, offset);
  }

  #has(timeline: Timeline, segment: Lsn): boolean {
    return this.#descriptor(timeline, segment) !== undefined;
  }

  #descriptor(timeline: Timeline, segment: Lsn): number | undefined {
    if (this.#open?.timeline === timeline && this.#open.segment === segment) return this.#open.descriptor;
    const place = { timeline, lsn: segment };
    // A file may get its final name between two looks.
    const descriptor =
      openIfThere(this.#folder.segment(place, true)) ??
      openIfThere(this.#folder.segment(place, false)) ??
      openIfThere(this.#folder.segment(place, true));
    if (descriptor === undefined) return undefined;
    this.close();
    this.#open = { timeline, segment, descriptor };
    return descriptor;
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
