import type { JournalId } from "@tidemark/kernel/brands";
import { FORMAT_VERSION, HEADER_BYTES, encodeHeader, encodeRecord, recordBytes, toSector } from "../segment-format.ts";

/** A segment's bytes by hand, for tests of the format: groups of texts, all of key `k`. */
export function segmentBytes(
  groups: readonly (readonly string[])[],
  options: { firstSequence?: number; bytes?: number; mark?: boolean } = {},
): { bytes: Buffer; offsets: number[]; end: number } {
  const firstSequence = options.firstSequence ?? 1;
  const size = options.bytes ?? 8_192;
  const bytes = Buffer.alloc(size);
  encodeHeader(
    {
      version: FORMAT_VERSION,
      seed: TEST_SEED,
      journal: TEST_JOURNAL,
      segment: 1,
      firstSequence,
      createdAtMs: 1_700_000_000_000,
      generation: 1,
      partitions: 4,
      segmentBytes: size,
    },
    bytes,
    0,
  );
  const offsets: number[] = [];
  let at = HEADER_BYTES;
  let sequence = firstSequence;
  for (const group of groups) {
    const groupStart = sequence;
    for (const text of group) {
      offsets.push(at);
      const place = {
        seed: TEST_SEED,
        sequence: sequence++,
        groupStart,
        kind: "write",
        generation: 1,
        partition: 2,
        acceptedAtMs: 1_700_000_000_123,
      } as const;
      at = encodeRecord(bytes, at, { place, key: "k", keyBytes: 1, payload: Buffer.from(text) });
    }
    at = toSector(at);
  }
  if (options.mark === true) {
    const place = {
      seed: TEST_SEED,
      sequence,
      groupStart: sequence,
      kind: "mark",
      generation: 1,
      partition: 0,
      acceptedAtMs: 1_700_000_000_456,
    } as const;
    at = toSector(encodeRecord(bytes, at, { place, key: "", keyBytes: 0, payload: new Uint8Array(0) }));
  }
  return { bytes, offsets, end: at };
}

export const TEST_SEED = 0x5eed5eed;
export const TEST_JOURNAL = "018bcfe5-687b-7000-8000-000000000001" as JournalId;

/** Bytes of a record of key `k` with a payload of `length`. */
export function sizeOf(length: number): number {
  return recordBytes(1, length);
}
