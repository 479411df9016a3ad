// Reads WAL record by record from bytes as they come. It is the way that XLogReadRecord goes, turned around: bytes are pushed,
// in pieces cut anywhere, and each whole record is shown once. Nothing is put together that nobody asked for, so that hopping from
// record to record costs little more than reading the headers, and a forged length allocates nothing.
//
// What is at the place of the next byte is one of:
//   page   a page header                       record  a record's header, at a multiple of 8, or the end of WAL
//   body   more of a record that began         rest    zeros behind an XLOG_SWITCH, to the end of the segment
//   seek   bytes before the first page header, where reading began in the middle of a page
// After a stop nothing is read any more.
import type { Timeline } from "@tidemark/kernel/brands";
import { crc32c } from "@tidemark/kernel/crc32c";
import { assert } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { overwrittenRecord } from "./overwrite-record.ts";
import { isResourceManager, MANAGER_INFO_MASK, RESOURCE_MANAGER, XLOG_KIND } from "./resource-managers.ts";
import { isZero, LONG_HEADER_BYTES, PAGE_FLAG, PageCheck, pageHeaderBytes, WAL_PAGE_BYTES } from "./wal-page.ts";
import { LONGEST_RECORD_BYTES, RECORD_ALIGNMENT, RECORD_CRC_OFFSET, RECORD_HEADER_BYTES, WalRecord } from "./wal-record.ts";

/**
 * Why reading cannot go on: `zero`: where a record or a page should begin, zeros do (the usual end of WAL); `page`: no header of
 * this place's page; `continuation`: a page does not go on with the record that goes over to it; the others are of a record.
 */
export type WalStopReason = "zero" | "page" | "continuation" | "length" | "manager" | "previous" | "crc";

export interface WalStop {
  readonly reason: WalStopReason;
  /** Where the record begins that cannot be read; the place itself when no record had begun. */
  readonly lsn: Lsn;
  /** Where the bytes are that say so. */
  readonly at: Lsn;
}

export interface WalReaderOptions {
  readonly segmentBytes: number;
  /** The position of the first byte that will be pushed. */
  readonly start: Lsn;
  /**
   * Whether a record (or a page boundary between two records) is at `start`. Otherwise reading begins with the first record that
   * begins on a page whose header is at `start` or later; the rest of one from before is skipped.
   */
  readonly atRecord: boolean;
  /** Where the record before `start` begins, where that is known: the first one read must name it. */
  readonly previous?: Lsn;
  /** Whether each record's CRC is computed. It costs about as much as everything else three times. */
  readonly checkCrc: boolean;
  /** No page may have a later one. */
  readonly timeline?: Timeline;
  readonly systemIdentifier?: bigint;
  /** Managers whose records are put together when they go over several pages; by default that of transactions. */
  readonly collect?: readonly number[];
}

/** What is kept of a collected record; what is behind it is read over. Reached by a commit with over 200,000 subtransactions. */
export const COLLECTED_BYTES = 1_048_576;
const FIRST_COLLECTED_BYTES = 4_096;
const NO_BYTES = new Uint8Array(0);

const STATE = { page: 0, record: 1, body: 2, rest: 3, seek: 4 } as const;
type State = (typeof STATE)[keyof typeof STATE];

export class WalReader {
  readonly #segmentBytes: number;
  readonly #checkCrc: boolean;
  readonly #onRecord: (record: WalRecord) => void;
  readonly #isCollected = new Uint8Array(256);
  readonly #pages: PageCheck;
  readonly #record = new WalRecord();
  #state: State;
  #stop: WalStop | undefined;

  /** What is being pushed. */
  #bytes: Uint8Array = NO_BYTES;
  #view: DataView = new DataView(NO_BYTES.buffer);

  /** The place of the next byte. A page header that came in part is not counted before it is whole. */
  #segment = 0n;
  #segmentHigh = 0;
  #segmentLow = 0;
  #offset: number;
  /** Bytes to read over before `#state` is looked at: they round a record up to 8. */
  #padding = 0;
  /** The end of the last whole record; -1 while no place between two records was found. */
  #boundarySegment = 0n;
  #boundaryOffset = -1;

  /** A page header that comes in pieces. */
  readonly #page = new DataView(new ArrayBuffer(LONG_HEADER_BYTES));
  #pageGot = 0;

  /** The record in work: its header, the bytes that came, the bytes that it has (0: not known yet). */
  readonly #header = new Uint8Array(RECORD_HEADER_BYTES);
  readonly #headerView = new DataView(this.#header.buffer);
  #got = 0;
  #total = 0;
  #crc = 0;
  #startSegment = 0n;
  #startOffset = 0;
  /** No record's beginning was found yet: what a page goes on with is read over. */
  #headless: boolean;
  /** Where the record began that a page said was given up; the record that comes next has to name it. -1: there is none. */
  #abandonedSegment = 0n;
  #abandonedOffset = -1;
  #collecting = false;
  #collected: Uint8Array = NO_BYTES;
  #collectedLength = 0;

  /** Where the last record began, as the two halves of xl_prev (int32). */
  #previousKnown = false;
  #previousHigh = 0;
  #previousLow = 0;

  /** `onRecord` is called within {@link push} for each whole record, in order. It must not throw. */
  constructor(options: WalReaderOptions, onRecord: (record: WalRecord) => void) {
    const { segmentBytes, start, atRecord } = options;
    assert(Number.isInteger(Math.log2(segmentBytes)) && segmentBytes >= 1_048_576 && segmentBytes <= 1_073_741_824, "a segment's size");
    this.#segmentBytes = segmentBytes;
    this.#checkCrc = options.checkCrc;
    this.#onRecord = onRecord;
    this.#pages = new PageCheck(segmentBytes, { timeline: options.timeline, systemIdentifier: options.systemIdentifier });
    for (const rmid of options.collect ?? [RESOURCE_MANAGER.transaction]) this.#isCollected[rmid] = 1;
    this.#offset = Number(start % BigInt(segmentBytes));
    this.#enterSegment(start - BigInt(this.#offset));
    assert(!atRecord || this.#offset % RECORD_ALIGNMENT === 0, "records begin at multiples of 8");
    this.#headless = !atRecord;
    this.#state = this.#offset % WAL_PAGE_BYTES === 0 ? STATE.page : atRecord ? STATE.record : STATE.seek;
    if (atRecord) this.#markBoundary(this.#segment, this.#offset);
    if (options.previous === undefined) return;
    this.#previousKnown = true;
    this.#previousHigh = Number(options.previous >> 32n) | 0;
    this.#previousLow = Number(options.previous & 0xffff_ffffn) | 0;
  }

  /** The place of the next byte to push. */
  get position(): Lsn {
    return (this.#segment + BigInt(this.#offset + this.#pageGot)) as Lsn;
  }

  /** The end of the last whole record, where the next one begins or will. Undefined until a place between two records was found. */
  get boundary(): Lsn | undefined {
    return this.#boundaryOffset < 0 ? undefined : ((this.#boundarySegment + BigInt(this.#boundaryOffset)) as Lsn);
  }

  /** Where the last whole record begins; undefined before the first, unless it was given. */
  get previous(): Lsn | undefined {
    if (!this.#previousKnown) return undefined;
    return ((BigInt(this.#previousHigh >>> 0) << 32n) | BigInt(this.#previousLow >>> 0)) as Lsn;
  }

  /** Bytes of the record whose beginning came and whose end did not: what its header says. 0 when there is none, or not that much of it. */
  get lengthInWork(): number {
    return this.#headless ? 0 : this.#total;
  }

  get stop(): WalStop | undefined {
    return this.#stop;
  }

  /** As the long headers say, or as it was given. */
  get systemIdentifier(): bigint | undefined {
    return this.#pages.systemIdentifier;
  }

  /**
   * Reads the bytes that follow those pushed before; they are not kept. Returns the stop once there is one: nothing behind it is
   * looked at, in this call or a later one.
   */
  push(bytes: Uint8Array, from = 0, to = bytes.length): WalStop | undefined {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = from;
    while (at < to && this.#stop === undefined) {
      if (this.#padding > 0) at += this.#readPadding(to - at);
      else if (this.#state === STATE.page) at += this.#readPage(at, to);
      else if (this.#state === STATE.record) at = this.#readRecords(at, to);
      else if (this.#state === STATE.body) at += this.#readBody(at, to);
      else at += this.#readOver(to - at);
    }
    this.#bytes = NO_BYTES;
    return this.#stop;
  }

  #enterSegment(segment: bigint): void {
    this.#segment = segment;
    this.#segmentHigh = Number(segment >> 32n);
    this.#segmentLow = Number(segment & 0xffff_ffffn);
    this.#pages.enter(segment);
  }

  #advance(length: number): void {
    this.#offset += length;
    if (this.#offset < this.#segmentBytes) return;
    this.#offset -= this.#segmentBytes;
    this.#enterSegment(this.#segment + BigInt(this.#segmentBytes));
  }

  #markBoundary(segment: bigint, offset: number): void {
    this.#boundarySegment = segment;
    this.#boundaryOffset = offset;
  }

  /** Stops at the beginning of the record in work, or at the page that was to be entered. */
  #halt(reason: WalStopReason, place: "record" | "page"): void {
    const start = (this.#startSegment + BigInt(this.#startOffset)) as Lsn;
    const here = (this.#segment + BigInt(this.#offset)) as Lsn;
    const inWork = place === "record" || (this.#total > 0 && !this.#headless);
    this.#stop = { reason, lsn: inWork ? start : here, at: place === "record" ? start : here };
  }

  #readPadding(available: number): number {
    const length = Math.min(this.#padding, available);
    this.#padding -= length;
    this.#advance(length);
    return length;
  }

  /** The rest of the segment behind a switch, or of the page that reading began in. */
  #readOver(available: number): number {
    const end = this.#state === STATE.rest ? this.#segmentBytes : this.#offset - (this.#offset % WAL_PAGE_BYTES) + WAL_PAGE_BYTES;
    const length = Math.min(end - this.#offset, available);
    if (this.#offset + length === end) this.#state = STATE.page;
    this.#advance(length);
    return length;
  }

  #readPage(at: number, to: number): number {
    const size = pageHeaderBytes(this.#offset);
    if (this.#pageGot === 0 && to - at >= size) {
      this.#enterPage(this.#view, at, size);
      return size;
    }
    const length = Math.min(size - this.#pageGot, to - at);
    new Uint8Array(this.#page.buffer).set(this.#bytes.subarray(at, at + length), this.#pageGot);
    this.#pageGot += length;
    if (this.#pageGot === size) {
      this.#pageGot = 0;
      this.#enterPage(this.#page, 0, size);
    }
    return length;
  }

  #enterPage(view: DataView, at: number, size: number): void {
    const missing = this.#total - this.#got;
    if (!this.#pages.accepts(view, at, this.#offset)) {
      this.#halt(isZero(view, at, size) ? "zero" : "page", "page");
      return;
    }
    const flags = view.getUint16(at + 2, true);
    const continues = (flags & PAGE_FLAG.continues) !== 0;
    const left = view.getUint32(at + 16, true);
    if (missing > 0 && (flags & PAGE_FLAG.overwrites) !== 0) {
      // What came of the record counts for nothing: its end was lost in a crash. The record that comes next says which one it was; a
      // flipped bit in the length of another one could make that one pass for it, and it would be missing without a trace (NO-HOLE).
      if (!this.#headless) {
        this.#abandonedSegment = this.#startSegment;
        this.#abandonedOffset = this.#startOffset;
      }
      this.#total = 0;
      this.#got = 0;
      this.#headless = false;
    } else if (missing > 0) {
      if (!continues || left !== missing) return this.#halt("continuation", "page");
    } else if (continues) {
      if (!this.#headless || left === 0 || left > LONGEST_RECORD_BYTES) return this.#halt("continuation", "page");
      this.#total = left;
      this.#got = 0;
    } else {
      this.#headless = false;
    }
    if (this.#boundaryOffset < 0 && !this.#headless) this.#markBoundary(this.#segment, this.#offset);
    this.#advance(size);
    this.#state = this.#total > 0 ? STATE.body : STATE.record;
  }

  /** The way of almost every record: it lies on one page and came in one piece. Returns where it got to. */
  #readRecords(from: number, to: number): number {
    const view = this.#view;
    const limit = Math.min(from + WAL_PAGE_BYTES - (this.#offset % WAL_PAGE_BYTES), to);
    let at = from;
    while (limit - at >= RECORD_HEADER_BYTES) {
      const total = view.getUint32(at, true);
      if (total < RECORD_HEADER_BYTES || total > limit - at) break;
      this.#startSegment = this.#segment;
      this.#startOffset = this.#offset;
      const reason = this.#faultOfHeader(view, at);
      if (reason !== undefined) {
        this.#halt(reason, "record");
        return at;
      }
      if (this.#checkCrc) {
        const crc = crc32c(this.#bytes, at, at + RECORD_CRC_OFFSET, crc32c(this.#bytes, at + RECORD_HEADER_BYTES, at + total));
        if (crc !== view.getUint32(at + RECORD_CRC_OFFSET, true)) {
          this.#halt("crc", "record");
          return at;
        }
      }
      if (this.#abandonedOffset >= 0 && !this.#namesAbandoned(this.#bytes, at, total)) return at;
      const record = this.#record;
      record.bytes = this.#bytes;
      record.from = at;
      record.to = at + total;
      this.#advance(total);
      this.#show(view, at);
      at += total;
      const padding = Math.min(this.#padding, to - at);
      if (padding > 0) at += this.#readPadding(padding);
      if (this.#padding > 0 || this.#state !== STATE.record) return at;
    }
    if (at < limit) {
      this.#startSegment = this.#segment;
      this.#startOffset = this.#offset;
      this.#got = 0;
      this.#total = 0;
      this.#state = STATE.body;
    }
    return at;
  }

  #readBody(at: number, to: number): number {
    const onPage = Math.min(to - at, WAL_PAGE_BYTES - (this.#offset % WAL_PAGE_BYTES));
    const length = !this.#headless && this.#got < RECORD_HEADER_BYTES ? this.#readHeader(at, onPage) : this.#readContent(at, onPage);
    if (this.#stop !== undefined) return length;
    this.#advance(length);
    if (this.#total > 0 && this.#got === this.#total) this.#finish();
    else if (this.#offset % WAL_PAGE_BYTES === 0) this.#state = STATE.page;
    return length;
  }

  /** First the length, then the rest: the length lies on the page where the record begins, and the next page repeats what is left of it. */
  #readHeader(at: number, available: number): number {
    const length = Math.min((this.#got < 4 ? 4 : RECORD_HEADER_BYTES) - this.#got, available);
    this.#header.set(this.#bytes.subarray(at, at + length), this.#got);
    this.#got += length;
    if (this.#got === 4) {
      const total = this.#headerView.getUint32(0, true);
      if (total === 0) this.#halt("zero", "record");
      else if (total < RECORD_HEADER_BYTES || total > LONGEST_RECORD_BYTES) this.#halt("length", "record");
      else this.#total = total;
    } else if (this.#got === RECORD_HEADER_BYTES) {
      const reason = this.#faultOfHeader(this.#headerView, 0);
      if (reason !== undefined) this.#halt(reason, "record");
      this.#crc = 0;
      this.#collectedLength = 0;
      this.#collecting = this.#isCollected[this.#header[17] as number] === 1 || this.#abandonedOffset >= 0;
      if (this.#collecting) this.#keep(this.#header, 0, RECORD_HEADER_BYTES);
    }
    return length;
  }

  #readContent(at: number, available: number): number {
    const length = Math.min(this.#total - this.#got, available);
    if (!this.#headless) {
      if (this.#checkCrc) this.#crc = crc32c(this.#bytes, at, at + length, this.#crc);
      if (this.#collecting) this.#keep(this.#bytes, at, at + length);
    }
    this.#got += length;
    return length;
  }

  /** Grows by what came, never by what a header says. */
  #keep(bytes: Uint8Array, from: number, to: number): void {
    const length = Math.min(to - from, COLLECTED_BYTES - this.#collectedLength);
    const needed = this.#collectedLength + length;
    if (needed > this.#collected.length) {
      const grown = new Uint8Array(Math.min(COLLECTED_BYTES, Math.max(FIRST_COLLECTED_BYTES, 2 * needed)));
      grown.set(this.#collected.subarray(0, this.#collectedLength));
      this.#collected = grown;
    }
    this.#collected.set(bytes.subarray(from, from + length), this.#collectedLength);
    this.#collectedLength = needed;
  }

  /** The last byte of the record in work came. */
  #finish(): void {
    this.#total = 0;
    if (this.#headless) {
      this.#headless = false;
      this.#got = 0;
      this.#settle(false);
      return;
    }
    this.#got = 0;
    if (this.#checkCrc && crc32c(this.#header, 0, RECORD_CRC_OFFSET, this.#crc) !== this.#headerView.getUint32(RECORD_CRC_OFFSET, true)) {
      this.#halt("crc", "record");
      return;
    }
    if (this.#abandonedOffset >= 0 && !this.#namesAbandoned(this.#collected, 0, this.#collectedLength)) return;
    this.#record.bytes = this.#collecting ? this.#collected : NO_BYTES;
    this.#record.from = 0;
    this.#record.to = this.#collecting ? this.#collectedLength : 0;
    this.#show(this.#headerView, 0);
  }

  /** Whether the record says that the one which was given up is the one that began there (VerifyOverwriteContrecord); stops otherwise. */
  #namesAbandoned(bytes: Uint8Array, at: number, length: number): boolean {
    const abandoned = (this.#abandonedSegment + BigInt(this.#abandonedOffset)) as Lsn;
    if (overwrittenRecord(bytes, at, length) === abandoned) {
      this.#abandonedOffset = -1;
      return true;
    }
    this.#stop = { reason: "continuation", lsn: abandoned, at: (this.#startSegment + BigInt(this.#startOffset)) as Lsn };
    return false;
  }

  /** Shows the record that ends at the place of the next byte. */
  #show(header: DataView, at: number): void {
    const record = this.#record;
    record.totalLength = header.getUint32(at, true);
    record.xid = header.getUint32(at + 4, true);
    record.info = header.getUint8(at + 16);
    record.rmid = header.getUint8(at + 17);
    record.magic = this.#pages.magic;
    record.segment = this.#startSegment;
    record.offset = this.#startOffset;
    this.#previousKnown = true;
    // The segment in which a record begins may be behind the place that was reached.
    const sameSegment = this.#startSegment === this.#segment;
    this.#previousHigh = (sameSegment ? this.#segmentHigh : Number(this.#startSegment >> 32n)) | 0;
    this.#previousLow = ((sameSegment ? this.#segmentLow : Number(this.#startSegment & 0xffff_ffffn)) + this.#startOffset) | 0;
    this.#settle(record.rmid === RESOURCE_MANAGER.xlog && (record.info & MANAGER_INFO_MASK) === XLOG_KIND.switch);
    record.endSegment = this.#boundarySegment;
    record.endOffset = this.#boundaryOffset;
    this.#onRecord(record);
  }

  /** Rounds up to 8, marks the boundary, and decides what comes next. */
  #settle(isSwitch: boolean): void {
    const rest = this.#offset % RECORD_ALIGNMENT;
    this.#padding = rest === 0 ? 0 : RECORD_ALIGNMENT - rest;
    const end = this.#offset + this.#padding;
    if ((isSwitch && end > 0) || end === this.#segmentBytes) {
      this.#markBoundary(this.#segment + BigInt(this.#segmentBytes), 0);
      this.#state = end === this.#segmentBytes ? STATE.page : STATE.rest;
      return;
    }
    this.#markBoundary(this.#segment, end);
    this.#state = end % WAL_PAGE_BYTES === 0 ? STATE.page : STATE.record;
  }

  #faultOfHeader(view: DataView, at: number): WalStopReason | undefined {
    if (!isResourceManager(view.getUint8(at + 17))) return "manager";
    const low = view.getInt32(at + 8, true);
    const high = view.getInt32(at + 12, true);
    if (this.#previousKnown) return low === this.#previousLow && high === this.#previousHigh ? undefined : "previous";
    const previous = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    return previous < this.#startSegment + BigInt(this.#startOffset) ? undefined : "previous";
  }
}
