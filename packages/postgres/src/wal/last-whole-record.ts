// Where WAL that was being received ends: the end of the last whole record of a segment's file, each record checked by its
// CRC, and what the file holds behind it. Receiving writes in order, so after a crash of the process the right bytes are a
// prefix and zeros follow. Anything else is damage, and is named as such: it must never pass for a shorter log (NO-HOLE).
//
// A record may begin in an earlier segment and be checked only as a whole, so the scan begins in the nearest earlier segment
// in which a record begins, where that file is there.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { PAGE_FLAG, pageHeaderBytes, recordEnd, WAL_PAGE_BYTES } from "./wal-page.ts";
import { LONGEST_RECORD_BYTES, RECORD_HEADER_BYTES } from "./wal-record.ts";
import type { WalRecord } from "./wal-record.ts";
import type { WalReaderOptions, WalStop, WalStopReason } from "./wal-reader.ts";
import { WalReader } from "./wal-reader.ts";

export interface TailScan {
  /** The first byte of the segment that is scanned. */
  readonly segment: Lsn;
  readonly segmentBytes: number;
  /** The path of the file that holds the segment that begins there; undefined when there is none. Asked for `segment` and those before it. */
  readonly path: (segment: Lsn) => string | undefined;
  readonly timeline?: Timeline;
  readonly systemIdentifier?: bigint;
  /** Sees every record whose CRC is right, from where the scan began. */
  readonly onRecord?: (record: WalRecord) => void;
}

/** What the file holds behind the last whole record. */
export type WalTail =
  /** The segment is full of whole records. */
  | { readonly follows: "nothing" }
  /** Zeros to the end of the file. */
  | { readonly follows: "zeros" }
  /**
   * The beginning of a record and then zeros: it was received in part, up to `dataEnd` or a few zero bytes more. `wouldEnd` is where it
   * ends by its own header; a log that was durable up to there or beyond is damaged.
   */
  | { readonly follows: "torn-record"; readonly dataEnd: Lsn; readonly wouldEnd: Lsn }
  /** The last record goes on in the next segment, as far as this one can tell. */
  | { readonly follows: "continues"; readonly wouldEnd: Lsn }
  /**
   * Bytes that receiving in order does not leave behind: unreadable from `from` to `to`, where readable WAL begins again, or
   * the last byte that is not zero stands when none does.
   */
  | { readonly follows: "damage"; readonly from: Lsn; readonly to: Lsn; readonly reason: WalStopReason };

export interface LastWholeRecord {
  /**
   * The end of the last whole record: where the next one begins. Before `segment` when a record began there and is not whole here.
   * Where the scan began when no record was found.
   */
  readonly end: Lsn;
  /** Where that record begins; undefined when none was read. */
  readonly lsn: Lsn | undefined;
  /** Records read, from where the scan began. */
  readonly records: number;
  /** False when the first record that ends in the segment could not be checked, because no file with its beginning was there. */
  readonly wholeChain: boolean;
  readonly tail: WalTail;
}

const CHUNK_BYTES = 262_144;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** Scans a segment. Reads synchronously, some 20 ms for each 16 MiB: for the receiver's thread and for starts. Throws what reading files throws. */
export function findLastWholeRecord(scan: TailScan): LastWholeRecord {
  const files = new SegmentFiles(scan);
  try {
    const begin = whereToBegin(scan, files);
    let records = 0;
    let lastEnd = 0n;
    const reader = new WalReader({ ...readerOptions(scan), start: begin, atRecord: false }, (record) => {
      records++;
      lastEnd = record.segment + BigInt(recordEnd(record.offset, record.totalLength, scan.segmentBytes));
      scan.onRecord?.(record);
    });
    const read = files.push(reader, { from: begin, to: scan.segment + BigInt(scan.segmentBytes), until: () => reader.stop !== undefined });
    const end = reader.boundary ?? begin;
    const wholeChain = begin < scan.segment || !files.continues(scan.segment);
    return { end, lsn: reader.previous, records, wholeChain, tail: judge(scan, { files, reader, end, lastEnd, read }) };
  } finally {
    files.close();
  }
}

function readerOptions(scan: TailScan): Omit<WalReaderOptions, "start" | "atRecord"> {
  return {
    segmentBytes: scan.segmentBytes,
    checkCrc: true,
    ...(scan.timeline === undefined ? {} : { timeline: scan.timeline }),
    ...(scan.systemIdentifier === undefined ? {} : { systemIdentifier: scan.systemIdentifier }),
  };
}

/** The nearest segment, this one or before, in which a record begins that can be followed into this one. */
function whereToBegin(scan: TailScan, files: SegmentFiles): Lsn {
  const room = BigInt(scan.segmentBytes);
  const most = Math.ceil(LONGEST_RECORD_BYTES / scan.segmentBytes) + 1;
  if (files.continues(scan.segment) === false) return scan.segment;
  let begin = scan.segment;
  for (let back = 0; back < most && begin >= room && files.has((begin - room) as Lsn); back++) {
    begin = (begin - room) as Lsn;
    // All of a segment may belong to one record: then it begins still earlier.
    if (files.bytesOfRecordBefore(begin) < scan.segmentBytes - WAL_PAGE_BYTES) return begin;
  }
  return begin;
}

/** What was found up to the first place that cannot be read. */
interface Reading {
  readonly files: SegmentFiles;
  readonly reader: WalReader;
  readonly end: Lsn;
  /** Where the last whole record ends, not rounded up, and not counting what a switch leaves empty. */
  readonly lastEnd: bigint;
  /** How far bytes were there to read. */
  readonly read: bigint;
}

function judge(scan: TailScan, reading: Reading): WalTail {
  const { files, reader, end } = reading;
  const stop = reader.stop;
  const segmentEnd = scan.segment + BigInt(scan.segmentBytes);
  const dataEnd = files.dataEnd(scan.segment);
  if (end >= segmentEnd) {
    // Behind a switch nothing is written.
    const rest = reading.lastEnd > scan.segment && dataEnd > reading.lastEnd;
    return rest ? { follows: "damage", from: reading.lastEnd as Lsn, to: dataEnd, reason: "zero" } : { follows: "nothing" };
  }
  if (stop === undefined) {
    const wouldEnd = endOfRecordAt(files, end, scan.segmentBytes);
    if (reading.read === end) return { follows: "nothing" };
    return reading.read >= segmentEnd ? { follows: "continues", wouldEnd } : { follows: "torn-record", dataEnd, wouldEnd };
  }
  if (stop.reason === "zero" && stop.at >= scan.segment && dataEnd <= end) return { follows: "zeros" };
  const whole = complete(stop, files, scan.segmentBytes);
  // What would have been whole before this segment was received long ago: it is not its tail.
  if (whole > scan.segment && dataEnd < whole) {
    const betweenRecords = stop.lsn === stop.at && (stop.reason === "zero" || stop.reason === "page" || stop.reason === "continuation");
    return { follows: "torn-record", dataEnd, wouldEnd: betweenRecords ? whole : endOfRecordAt(files, stop.lsn, scan.segmentBytes) };
  }
  return {
    follows: "damage",
    from: end,
    to: readableAgain(scan, files, { after: stop.at, before: dataEnd }) ?? dataEnd,
    reason: stop.reason,
  };
}

/** The position by which what was found unreadable would have been whole: with data up to there or beyond, it was not cut short. */
function complete(stop: WalStop, files: SegmentFiles, segmentBytes: number): Lsn {
  // A place that is empty and has data behind it was never a prefix's end.
  if (stop.reason === "zero") return (stop.at + 1n) as Lsn;
  if (stop.reason === "page" || stop.reason === "continuation")
    return (stop.at + BigInt(pageHeaderBytes(Number(stop.at % BigInt(segmentBytes))))) as Lsn;
  return endOfRecordAt(files, stop.lsn, segmentBytes, stop.reason === "crc" ? undefined : RECORD_HEADER_BYTES);
}

/** Where the record that begins there ends by its own header, or its header does when that says nothing sensible. Not rounded. */
function endOfRecordAt(files: SegmentFiles, lsn: Lsn, segmentBytes: number, length = files.lengthOfRecord(lsn)): Lsn {
  const offset = Number(lsn % BigInt(segmentBytes));
  const sensible = length >= RECORD_HEADER_BYTES && length <= LONGEST_RECORD_BYTES ? length : RECORD_HEADER_BYTES;
  return (lsn - BigInt(offset) + BigInt(recordEnd(offset, sensible, segmentBytes))) as Lsn;
}

/** The first record, on a page behind `after`, from which WAL can be read again; undefined when there is none. */
function readableAgain(scan: TailScan, files: SegmentFiles, span: { after: Lsn; before: Lsn }): Lsn | undefined {
  const pageBytes = BigInt(WAL_PAGE_BYTES);
  let page = span.after - (span.after % pageBytes) + pageBytes;
  while (page < span.before) {
    let found: Lsn | undefined;
    const reader = new WalReader({ ...readerOptions(scan), start: page as Lsn, atRecord: false }, (record) => (found ??= record.lsn));
    const read = files.push(reader, {
      from: page as Lsn,
      to: scan.segment + BigInt(scan.segmentBytes),
      until: () => found !== undefined || reader.stop !== undefined,
      chunkBytes: WAL_PAGE_BYTES,
    });
    if (found !== undefined) return found;
    const reached = reader.stop?.at ?? read;
    page = reached - (reached % pageBytes) + pageBytes;
  }
  return undefined;
}

/** The files of the segments, opened when they are asked for. A file may be shorter than its segment. */
class SegmentFiles {
  readonly #scan: TailScan;
  readonly #open = new Map<Lsn, number | undefined>();
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);

  constructor(scan: TailScan) {
    this.#scan = scan;
  }

  close(): void {
    for (const descriptor of this.#open.values()) if (descriptor !== undefined) closeSync(descriptor);
  }

  has(segment: Lsn): boolean {
    return this.#descriptor(segment) !== undefined;
  }

  /** Whether the segment's first page goes on with a record from before; undefined when that page is not there. */
  continues(segment: Lsn): boolean | undefined {
    const header = this.#read(segment, pageHeaderBytes(0));
    return header.length < pageHeaderBytes(0) || header.readUInt16LE(0) === 0
      ? undefined
      : (header.readUInt16LE(2) & PAGE_FLAG.continues) !== 0;
  }

  /** How many bytes of a record from before the segment its first page announces. */
  bytesOfRecordBefore(segment: Lsn): number {
    return this.continues(segment) === true ? this.#read(segment, pageHeaderBytes(0)).readUInt32LE(16) : 0;
  }

  /** What the first four bytes of a record say; `lsn` may be the page's beginning. 0 when they are not there. */
  lengthOfRecord(lsn: Lsn): number {
    const offset = Number(lsn % BigInt(this.#scan.segmentBytes));
    const bytes = this.#read((lsn + BigInt(offset % WAL_PAGE_BYTES === 0 ? pageHeaderBytes(offset) : 0)) as Lsn, 4);
    return bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
  }

  /** Behind the last byte of the segment that is not zero; its beginning when all are. */
  dataEnd(segment: Lsn): Lsn {
    const descriptor = this.#descriptor(segment);
    if (descriptor === undefined) return segment;
    let end = Math.min(fstatSync(descriptor).size, this.#scan.segmentBytes);
    while (end > 0) {
      const from = Math.max(0, end - CHUNK_BYTES);
      const bytes = this.#read((segment + BigInt(from)) as Lsn, end - from);
      if (!bytes.equals(ZEROS.subarray(0, bytes.length))) {
        let last = bytes.length - 1;
        while (bytes[last] === 0) last--;
        return (segment + BigInt(from + last + 1)) as Lsn;
      }
      end = from;
    }
    return segment;
  }

  /** Pushes bytes to the reader until `until`, `to` or the end of what is there. Returns how far it got. */
  push(reader: WalReader, span: { from: Lsn; to: bigint; until: () => boolean; chunkBytes?: number }): bigint {
    let at: bigint = span.from;
    while (at < span.to && !span.until()) {
      const bytes = this.#read(at as Lsn, span.chunkBytes ?? CHUNK_BYTES);
      if (bytes.length === 0) break;
      reader.push(bytes);
      at += BigInt(bytes.length);
    }
    return at;
  }

  /** Bytes from there on, up to the segment's end; valid until the next call. */
  #read(lsn: Lsn, length: number): Buffer {
    const offset = Number(lsn % BigInt(this.#scan.segmentBytes));
    const descriptor = this.#descriptor((lsn - BigInt(offset)) as Lsn);
    if (descriptor === undefined) return ZEROS.subarray(0, 0);
    const most = Math.min(length, this.#scan.segmentBytes - offset);
    return this.#chunk.subarray(0, readSync(descriptor, this.#chunk, 0, most, offset));
  }

  #descriptor(segment: Lsn): number | undefined {
    if (!this.#open.has(segment)) {
      const path = this.#scan.path(segment);
      this.#open.set(segment, path === undefined ? undefined : openSync(path, "r"));
    }
    return this.#open.get(segment);
  }
}
