import type { GenerationPayload } from "./segment-format.ts";
import {
  BAD_RECORD,
  CUT_RECORD,
  HEADER_BYTES,
  NO_RECORD,
  RECORD_ALIGNMENT,
  SECTOR_BYTES,
  decodeRecord,
  isZero,
  measureRecord,
  recordFields,
  toSector,
} from "./segment-format.ts";

/** What stands behind bad bytes and proves that they were durable once (docs/journal-format.md, rules 1 and 2). */
export interface Proof {
  readonly offset: number;
  readonly sequence: number;
  readonly groupStart: number;
}

export interface BadBytes {
  /** Where the first bad byte's record or padding begins. */
  readonly offset: number;
  /** Behind the last byte that is not zero. */
  readonly end: number;
  readonly proof?: Proof;
  /** The first whole record behind them, where reading can go on; set together with `proof`, and not behind it. */
  readonly resume?: Proof;
}

/** What a segment holds. Sequences are plain numbers. */
export interface SegmentScan {
  readonly records: number;
  /** The sequence expected behind the last good record: one more than the last, or the header's first. */
  readonly expected: number;
  /** Where the next group goes, if nothing is bad: the sector behind the last good record. */
  readonly end: number;
  /** Where the last group begins, for writing it again. */
  readonly lastGroupOffset: number;
  readonly firstAcceptedAtMs?: number;
  readonly newestAcceptedAtMs?: number;
  readonly generation: number;
  readonly partitions: number;
  readonly bad?: BadBytes;
}

export interface ScanStart {
  readonly seed: number;
  /** Where to begin; the first group by default. */
  readonly at?: number;
  readonly expected: number;
  readonly generation: number;
  readonly partitions: number;
}

/** Reads the groups of a whole segment with a good header. Pure; decides nothing about what bad bytes mean. */
export function scanSegment(bytes: Buffer, start: ScanStart): SegmentScan {
  const scan = {
    records: 0,
    expected: start.expected,
    lastGroupOffset: start.at ?? HEADER_BYTES,
    generation: start.generation,
    partitions: start.partitions,
  };
  let first: number | undefined;
  let newest: number | undefined;
  let at = start.at ?? HEADER_BYTES;
  // Resumed in the middle of a group, its start is taken from the first record.
  let groupStart = at % SECTOR_BYTES === 0 ? -1 : recordFields.groupStart(bytes, at);
  const done = (end: number, bad?: BadBytes): SegmentScan => ({
    ...scan,
    end,
    ...(first === undefined ? {} : { firstAcceptedAtMs: first }),
    ...(newest === undefined ? {} : { newestAcceptedAtMs: newest }),
    ...(bad === undefined ? {} : { bad }),
  });
  for (;;) {
    if (at >= bytes.length) return done(at);
    const size = measureRecord(bytes, at, bytes.length, start.seed);
    if (size === NO_RECORD) {
      const sector = Math.min(toSector(at), bytes.length);
      if (!isZero(bytes, at, sector)) return done(sector, badFrom(bytes, at, { seed: start.seed, expected: scan.expected, inPlace: true }));
      if (sector > at) {
        at = sector;
        continue;
      }
      if (isZero(bytes, at, bytes.length)) return done(at);
    }
    if (size <= 0 || !fits(bytes, at, { expected: scan.expected, groupStart })) {
      return done(toSector(at), badFrom(bytes, at, { seed: start.seed, expected: scan.expected, inPlace: true }));
    }
    if (at % SECTOR_BYTES === 0 && recordFields.groupStart(bytes, at) !== groupStart) scan.lastGroupOffset = at;
    groupStart = recordFields.groupStart(bytes, at);
    if (!recordFields.isMark(bytes, at)) {
      const acceptedAtMs = recordFields.acceptedAtMs(bytes, at);
      first ??= acceptedAtMs;
      newest = Math.max(newest ?? 0, acceptedAtMs);
      if (recordFields.kind(bytes, at) === "generation") {
        scan.generation = recordFields.generation(bytes, at);
        scan.partitions = (JSON.parse(Buffer.from(decodeRecord(bytes, at).payload).toString()) as GenerationPayload).partitions;
      }
      scan.records++;
      scan.expected++;
    } else groupStart = -1;
    at += size;
  }
}

/** A group begins on a sector boundary and its records follow each other, so a place in the middle must go on with the group. */
function fits(bytes: Buffer, at: number, want: { expected: number; groupStart: number }): boolean {
  const groupStart = recordFields.groupStart(bytes, at);
  if (recordFields.sequence(bytes, at) !== want.expected || groupStart > want.expected) return false;
  return at % SECTOR_BYTES === 0 || groupStart === want.groupStart;
}

/**
 * Describes the bad bytes at `offset` and looks behind them for a record that proves that they were durable once.
 * `inPlace` false: they are a segment's header, so that a record with the expected sequence proves nothing.
 */
export function badFrom(bytes: Buffer, offset: number, search: { seed: number; expected: number; inPlace: boolean }): BadBytes {
  const end = lastNonZero(bytes, offset);
  let resume: Proof | undefined;
  for (let at = Math.ceil(offset / RECORD_ALIGNMENT) * RECORD_ALIGNMENT; at < end; at += RECORD_ALIGNMENT) {
    if (!mayProve(bytes, at, search.expected)) continue;
    const size = measureRecord(bytes, at, bytes.length, search.seed);
    if (size === BAD_RECORD || size === CUT_RECORD || size === NO_RECORD) continue;
    const sequence = recordFields.sequence(bytes, at);
    const groupStart = recordFields.groupStart(bytes, at);
    const whole = { offset: at, sequence, groupStart };
    resume ??= whole;
    if (groupStart > search.expected || (search.inPlace && sequence === search.expected && at > offset))
      return { offset, end, proof: whole, resume };
  }
  return { offset, end };
}

/** A cheap look before the CRC: a plausible sequence, not further on than a segment has bytes. */
function mayProve(bytes: Buffer, at: number, expected: number): boolean {
  if (at + RECORD_ALIGNMENT * 5 > bytes.length) return false;
  const sequence = recordFields.sequence(bytes, at);
  return sequence >= expected && sequence - expected <= bytes.length;
}

function lastNonZero(bytes: Buffer, from: number): number {
  const step = 65_536;
  let end = bytes.length;
  while (end > from && isZero(bytes, Math.max(from, end - step), end)) end = Math.max(from, end - step);
  while (end > from && bytes[end - 1] === 0) end--;
  return end;
}
