import type { AppendedRecord } from "../journal.ts";
import {
  HEADER_BYTES,
  SECTOR_BYTES,
  encodeHeader,
  encodeRecord,
  toSector,
  type RecordPlace,
  type SegmentHeader,
} from "../segment-format.ts";
import type { WriteSegment } from "./segment-store.ts";

/** An append that waits for the group with its last record. */
export interface Waiter {
  readonly appended: AppendedRecord[];
  readonly resolve: (appended: AppendedRecord[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Records that one write makes durable together, laid out as they will stand in their segment. */
export class Group {
  readonly segment: WriteSegment;
  /** Where it goes in the segment; a multiple of a sector. */
  readonly offset: number;
  readonly buffer: Buffer;
  readonly waiters: Waiter[] = [];
  readonly firstSequence: number;
  /** Of its last record; `firstSequence - 1` while it has none, and in a mark's group. */
  lastSequence: number;
  firstAcceptedAtMs = 0;
  newestAcceptedAtMs = 0;
  #length = 0;

  constructor(place: { segment: WriteSegment; offset: number; buffer: Buffer; firstSequence: number }) {
    this.segment = place.segment;
    this.offset = place.offset;
    this.buffer = place.buffer;
    this.firstSequence = place.firstSequence;
    this.lastSequence = place.firstSequence - 1;
  }

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** Where the next record would begin in the segment. */
  get end(): number {
    return this.offset + this.#length;
  }

  /** Whether it begins its segment and so carries the header. */
  get begins(): boolean {
    return this.offset === 0;
  }

  /** Whether a record of `bytes` fits in the buffer and in the segment, whose last sector is kept for a mark. */
  hasRoom(bytes: number): boolean {
    return toSector(this.#length + bytes) <= this.buffer.length && this.end + bytes <= this.segment.bytes - SECTOR_BYTES;
  }

  addHeader(header: SegmentHeader): void {
    encodeHeader(header, this.buffer, 0);
    this.#length = HEADER_BYTES;
  }

  add(content: { place: RecordPlace; key: string; keyBytes: number; payload: Uint8Array }): void {
    const { sequence, acceptedAtMs, kind } = content.place;
    this.#length = encodeRecord(this.buffer, this.#length, content);
    if (kind === "mark") return;
    if (this.lastSequence < this.firstSequence) this.firstAcceptedAtMs = acceptedAtMs;
    if (acceptedAtMs > this.newestAcceptedAtMs) this.newestAcceptedAtMs = acceptedAtMs;
    this.lastSequence = sequence;
  }

  /** Fills its last sector with zeros; nothing is added after it. */
  seal(): void {
    const end = toSector(this.#length);
    this.buffer.fill(0, this.#length, end);
    this.#length = end;
  }
}
