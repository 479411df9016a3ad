import type { JournalId, Partition, Sequence } from "@tidemark/kernel/brands";
import { assert } from "@tidemark/kernel/errors";
import { formatUuid } from "@tidemark/kernel/random";
import { crc32c } from "@tidemark/kernel/crc32c";
import { MAX_PAYLOAD_BYTES, type JournalRecord, type RecordKind } from "./journal.ts";

/** The bytes of a segment, both ways and without I/O. The specification is docs/journal-format.md. */

export const FORMAT_VERSION = 1;
/** A sector: written whole or not at all. Groups begin on its multiples. */
export const SECTOR_BYTES = 512;
/** One sector, and so written whole or not at all. */
export const HEADER_BYTES = 512;
/** The smallest segment that can be configured. */
export const LEAST_SEGMENT_BYTES = 4_096;
const RECORD_HEADER_BYTES = 40;
export const RECORD_ALIGNMENT = 8;
export const MAX_KEY_BYTES = 1_024;
export const MAX_RECORD_BYTES = RECORD_HEADER_BYTES + MAX_KEY_BYTES + MAX_PAYLOAD_BYTES;

const MAGIC = Buffer.from("TMJOURNL", "latin1");
const HEADER = {
  version: 8,
  seed: 12,
  journal: 16,
  segment: 32,
  firstSequence: 40,
  createdAtMs: 48,
  generation: 56,
  partitions: 60,
  segmentBytes: 64,
  end: 72,
  crc: 508,
} as const;
const RECORD = {
  crc: 0,
  length: 4,
  sequence: 8,
  place: 16,
  kind: 20,
  zero: 21,
  keyLength: 22,
  acceptedAtMs: 24,
  generation: 32,
  partition: 36,
  content: 40,
} as const;
const TWO_32 = 0x1_0000_0000;

/** `mark` stands in files only: it says that everything before it was durable. */
export type StoredKind = RecordKind | "mark";

const KIND_CODE: Readonly<Record<StoredKind, number>> = { write: 1, verdict: 2, generation: 3, mark: 4 };
const KIND_OF_CODE: readonly (StoredKind | undefined)[] = [undefined, "write", "verdict", "generation", "mark"];

export interface SegmentHeader {
  readonly version: number;
  readonly seed: number;
  readonly journal: JournalId;
  readonly segment: number;
  /** Sequences are plain numbers below the port: 2^53 of them last for centuries. */
  readonly firstSequence: number;
  readonly createdAtMs: number;
  readonly generation: number;
  readonly partitions: number;
  /** Size of the file: a shorter one has been cut off. */
  readonly segmentBytes: number;
}

/** What stands where a header should be. `unknown-version` has its CRC right: it is whole, and newer than this code. */
export type HeaderReading =
  | { readonly kind: "header"; readonly header: SegmentHeader }
  | { readonly kind: "zero" }
  | { readonly kind: "bad" }
  | { readonly kind: "unknown-version"; readonly version: number };

/** The next multiple of a sector. */
export function toSector(offset: number): number {
  return Math.ceil(offset / SECTOR_BYTES) * SECTOR_BYTES;
}

export function encodeHeader(header: SegmentHeader, out: Buffer, at: number): void {
  out.fill(0, at, at + HEADER_BYTES);
  MAGIC.copy(out, at);
  out.writeUInt32LE(header.version, at + HEADER.version);
  out.writeUInt32LE(header.seed, at + HEADER.seed);
  out.write(header.journal.replaceAll("-", ""), at + HEADER.journal, 16, "hex");
  writeNumber64(out, header.segment, at + HEADER.segment);
  writeNumber64(out, header.firstSequence, at + HEADER.firstSequence);
  writeNumber64(out, header.createdAtMs, at + HEADER.createdAtMs);
  out.writeUInt32LE(header.generation, at + HEADER.generation);
  out.writeUInt32LE(header.partitions, at + HEADER.partitions);
  writeNumber64(out, header.segmentBytes, at + HEADER.segmentBytes);
  out.writeUInt32LE(crc32c(out, at, at + HEADER.crc), at + HEADER.crc);
}

export function decodeHeader(bytes: Buffer): HeaderReading {
  if (bytes.length < HEADER_BYTES) return { kind: "bad" };
  if (isZero(bytes, 0, HEADER_BYTES)) return { kind: "zero" };
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return { kind: "bad" };
  if (bytes.readUInt32LE(HEADER.crc) !== crc32c(bytes, 0, HEADER.crc)) return { kind: "bad" };
  const version = bytes.readUInt32LE(HEADER.version);
  if (version !== FORMAT_VERSION) return { kind: "unknown-version", version };
  if (!isZero(bytes, HEADER.end, HEADER.crc)) return { kind: "bad" };
  return {
    kind: "header",
    header: {
      version,
      seed: bytes.readUInt32LE(HEADER.seed),
      journal: formatUuid(bytes.subarray(HEADER.journal, HEADER.journal + 16)) as JournalId,
      segment: readNumber64(bytes, HEADER.segment),
      firstSequence: readNumber64(bytes, HEADER.firstSequence),
      createdAtMs: readNumber64(bytes, HEADER.createdAtMs),
      generation: bytes.readUInt32LE(HEADER.generation),
      partitions: bytes.readUInt32LE(HEADER.partitions),
      segmentBytes: readNumber64(bytes, HEADER.segmentBytes),
    },
  };
}

/** What a record needs besides its content. */
export interface RecordPlace {
  readonly seed: number;
  readonly sequence: number;
  /** Sequence of the first record of its group. */
  readonly groupStart: number;
  readonly kind: StoredKind;
  readonly generation: number;
  readonly partition: number;
  readonly acceptedAtMs: number;
}

/** Bytes that a record takes in a segment, padding included. */
export function recordBytes(keyBytes: number, payloadBytes: number): number {
  return (RECORD_HEADER_BYTES + keyBytes + payloadBytes + RECORD_ALIGNMENT - 1) & -RECORD_ALIGNMENT;
}

/** Writes a record at `at` and returns the offset behind it. `keyBytes` is the UTF-8 length of `key`; `out` must have room. */
export function encodeRecord(
  out: Buffer,
  at: number,
  content: { place: RecordPlace; key: string; keyBytes: number; payload: Uint8Array },
): number {
  const { place, key, keyBytes, payload } = content;
  const end = at + recordBytes(keyBytes, payload.length);
  const payloadAt = at + RECORD.content + keyBytes;
  out.writeUInt32LE(RECORD_HEADER_BYTES + keyBytes + payload.length, at + RECORD.length);
  writeNumber64(out, place.sequence, at + RECORD.sequence);
  out.writeUInt32LE(place.sequence - place.groupStart, at + RECORD.place);
  out[at + RECORD.kind] = KIND_CODE[place.kind];
  out[at + RECORD.zero] = 0;
  out.writeUInt16LE(keyBytes, at + RECORD.keyLength);
  writeNumber64(out, place.acceptedAtMs, at + RECORD.acceptedAtMs);
  out.writeUInt32LE(place.generation, at + RECORD.generation);
  out.writeUInt32LE(place.partition, at + RECORD.partition);
  if (keyBytes > 0) out.write(key, at + RECORD.content, keyBytes, "utf8");
  out.set(payload, payloadAt);
  for (let pad = payloadAt + payload.length; pad < end; pad++) out[pad] = 0;
  out.writeUInt32LE(crc32c(out, at + RECORD.length, end, place.seed), at + RECORD.crc);
  return end;
}

/** What stands at a place where a record could begin. */
export const NO_RECORD = 0;
export const BAD_RECORD = -1;
/** The record, if it is one, goes beyond the bytes at hand. */
export const CUT_RECORD = -2;

/**
 * Bytes that the record at `at` takes, or {@link NO_RECORD} (eight zero bytes: the group has ended), {@link BAD_RECORD},
 * or {@link CUT_RECORD}. A positive answer means that the CRC and every field are right.
 */
export function measureRecord(bytes: Buffer, at: number, end: number, seed: number): number {
  if (at + 8 > end) return CUT_RECORD;
  const length = bytes.readUInt32LE(at + RECORD.length);
  if (length === 0) return bytes.readUInt32LE(at + RECORD.crc) === 0 ? NO_RECORD : BAD_RECORD;
  if (length < RECORD_HEADER_BYTES || length > MAX_RECORD_BYTES) return BAD_RECORD;
  const total = (length + RECORD_ALIGNMENT - 1) & -RECORD_ALIGNMENT;
  if (at + total > end) return CUT_RECORD;
  if (bytes.readUInt32LE(at + RECORD.crc) !== crc32c(bytes, at + RECORD.length, at + total, seed)) return BAD_RECORD;
  const keyBytes = bytes.readUInt16LE(at + RECORD.keyLength);
  const kind = KIND_OF_CODE[bytes[at + RECORD.kind] as number];
  if (kind === undefined || bytes[at + RECORD.zero] !== 0 || keyBytes > MAX_KEY_BYTES || RECORD_HEADER_BYTES + keyBytes > length)
    return BAD_RECORD;
  if (kind === "mark" && length !== RECORD_HEADER_BYTES) return BAD_RECORD;
  return total;
}

/** Fields of a record that {@link measureRecord} found whole. */
export const recordFields = {
  sequence: (bytes: Buffer, at: number): number => readNumber64(bytes, at + RECORD.sequence),
  groupStart: (bytes: Buffer, at: number): number => readNumber64(bytes, at + RECORD.sequence) - bytes.readUInt32LE(at + RECORD.place),
  kind: (bytes: Buffer, at: number): StoredKind => KIND_OF_CODE[bytes[at + RECORD.kind] as number] as StoredKind,
  acceptedAtMs: (bytes: Buffer, at: number): number => readNumber64(bytes, at + RECORD.acceptedAtMs),
  generation: (bytes: Buffer, at: number): number => bytes.readUInt32LE(at + RECORD.generation),
  partition: (bytes: Buffer, at: number): number => bytes.readUInt32LE(at + RECORD.partition),
  isMark: (bytes: Buffer, at: number): boolean => bytes[at + RECORD.kind] === KIND_CODE.mark,
};

/** The record at `at`, found whole by {@link measureRecord}. Its payload is a view into `bytes`: do not reuse them. */
export function decodeRecord(bytes: Buffer, at: number): JournalRecord {
  const kind = recordFields.kind(bytes, at);
  assert(kind !== "mark", "a mark is not a record of the port");
  const keyBytes = bytes.readUInt16LE(at + RECORD.keyLength);
  const payloadAt = at + RECORD.content + keyBytes;
  return {
    kind,
    key: keyBytes === 0 ? "" : bytes.toString("utf8", at + RECORD.content, payloadAt),
    partition: recordFields.partition(bytes, at) as Partition,
    acceptedAtMs: recordFields.acceptedAtMs(bytes, at),
    payload: bytes.subarray(payloadAt, at + bytes.readUInt32LE(at + RECORD.length)),
    sequence: BigInt(recordFields.sequence(bytes, at)) as Sequence,
    generation: recordFields.generation(bytes, at),
  };
}

/** The content of a `generation` record (R12). */
export interface GenerationPayload {
  readonly v: 1;
  readonly partitions: number;
  readonly before: number;
}

const ZEROS = Buffer.alloc(65_536);

/** Whether `bytes[from, to)` are all zero. */
export function isZero(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at += ZEROS.length) {
    const end = Math.min(to, at + ZEROS.length);
    if (bytes.compare(ZEROS, 0, end - at, at, end) !== 0) return false;
  }
  return true;
}

function writeNumber64(out: Buffer, value: number, at: number): void {
  out.writeUInt32LE(value % TWO_32, at);
  out.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

/** May exceed 2^53 on bytes that are not ours; every use compares it with a value that does not. */
function readNumber64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32;
}
