import { TidemarkError, assert } from "@tidemark/kernel/errors";
import { MAX_PAYLOAD_BYTES, type JournalEntry } from "../journal.ts";
import { HEADER_BYTES, MAX_KEY_BYTES, MAX_RECORD_BYTES, SECTOR_BYTES, recordBytes } from "../segment-format.ts";
import { GROUP_BYTES } from "./group-line.ts";

/** What may refuse an append, decided before anything is laid out. Pure. */

/** Bytes that wait for the disk, at most; beyond it appends are refused with TM-JOURNAL-BUSY. Also the most of one append. */
const PENDING_BYTES = 64 * 1_048_576;

/** Bytes of an append's records. Throws TM-JOURNAL-TOO-LARGE or TM-JOURNAL-BUSY. */
export function admitSizes(entries: readonly JournalEntry[], limits: { segmentBytes: number; pendingBytes: number }): number {
  const largest = Math.min(MAX_RECORD_BYTES, limits.segmentBytes - HEADER_BYTES - SECTOR_BYTES);
  let total = 0;
  for (const { key, payload, acceptedAtMs } of entries) {
    assert(Number.isSafeInteger(acceptedAtMs) && acceptedAtMs >= 0, "acceptedAtMs is a whole number of milliseconds");
    const keyBytes = Buffer.byteLength(key, "utf8");
    const bytes = recordBytes(keyBytes, payload.length);
    if (payload.length > MAX_PAYLOAD_BYTES || bytes > largest)
      throw tooLarge(`a payload of ${payload.length} bytes`, Math.min(MAX_PAYLOAD_BYTES, largest));
    if (keyBytes > MAX_KEY_BYTES) throw tooLarge(`a key of ${keyBytes} bytes`, MAX_KEY_BYTES);
    total += bytes;
  }
  if (total > PENDING_BYTES) throw tooLarge(`an append of ${total} bytes`, PENDING_BYTES);
  if (limits.pendingBytes + total > PENDING_BYTES) {
    throw new TidemarkError("TM-JOURNAL-BUSY", `append of ${total} bytes refused: ${limits.pendingBytes} bytes wait for the disk`);
  }
  return total;
}

/** Where records may still go. */
export interface Room {
  /** Bytes left for records in the segment that is being planned. */
  readonly here: number;
  /** Sizes of the prepared segments, in order. */
  readonly ready: readonly { readonly bytes: number }[];
  /** How many more may be made. */
  readonly creatable: () => number;
  readonly segmentBytes: number;
}

/** What writes leave free in the last segment for verdicts: 1 MiB, some thousands of them, or a sixteenth of a small segment. */
export function verdictReserveBytes(segmentBytes: number): number {
  return Math.min(1_048_576, Math.floor(segmentBytes / 16));
}

/** Walks the records over the segments that there are and that may be made. Counts padding generously: what is admitted fits. */
export function fits(entries: readonly JournalEntry[], total: number, room: Room): boolean {
  // A group that is sealed because its buffer is full wastes less than a sector.
  const padding = SECTOR_BYTES * Math.floor(Math.min(total, room.segmentBytes) / (GROUP_BYTES - MAX_RECORD_BYTES));
  let left = room.here - SECTOR_BYTES - padding;
  if (total <= left) return true;
  let ready = 0;
  let creatable = room.creatable();
  for (const { key, payload } of entries) {
    const bytes = recordBytes(Buffer.byteLength(key, "utf8"), payload.length);
    if (bytes > left) {
      const prepared = room.ready[ready++];
      if (prepared === undefined && creatable-- <= 0) return false;
      left = (prepared?.bytes ?? room.segmentBytes) - HEADER_BYTES - SECTOR_BYTES - padding;
    }
    left -= bytes;
  }
  return true;
}

function tooLarge(what: string, most: number): TidemarkError {
  return new TidemarkError("TM-JOURNAL-TOO-LARGE", `${what} was refused, at most ${most} are taken`);
}
