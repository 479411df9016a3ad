// The pages of WAL: 8 kB each, with a header that says where the page belongs and whether a record goes on in it.
//
//   short header (24 bytes)                long header, on the first page of a segment (40 bytes): the short one, then
//   0  u16 magic, by major version         24 u64 system identifier
//   2  u16 info: flags                     32 u32 bytes of a segment
//   4  u32 timeline                        36 u32 bytes of a page
//   8  u64 position of this page
//   16 u32 bytes of the record that goes on from the page before
//   20 four bytes of padding
//
// Source: src/include/access/xlog_internal.h; the checks are those of XLogReaderValidatePageHeader, and stricter in one point:
// a long header stands on the first page of a segment and nowhere else.

/** Bytes of a WAL page (XLOG_BLCKSZ). Servers that were compiled with another size are refused. */
export const WAL_PAGE_BYTES = 8192;
export const SHORT_HEADER_BYTES = 24;
export const LONG_HEADER_BYTES = 40;

/** XLOG_PAGE_MAGIC of the major versions that are read. */
export const PAGE_MAGIC: Readonly<Record<15 | 16 | 17 | 18, number>> = { 15: 0xd110, 16: 0xd113, 17: 0xd116, 18: 0xd118 };
const MAGICS: ReadonlySet<number> = new Set(Object.values(PAGE_MAGIC));

/** The flags of a page (xlp_info). */
export const PAGE_FLAG = {
  /** The page begins with the rest of a record of the page before. */
  continues: 0x1,
  long: 0x2,
  removableBackupBlocks: 0x4,
  /** The record that should go on here was given up: its end was lost in a crash, and new records begin here. */
  overwrites: 0x8,
} as const;
const ALL_FLAGS = 0xf;

/** How many bytes of header the page at this offset of its segment has. */
export function pageHeaderBytes(offset: number): number {
  return offset === 0 ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES;
}

/** What a reader knows of the pages that it expects, and the check of a page's header against it. */
export class PageCheck {
  readonly segmentBytes: number;
  /** No page may have a later one; 0 where it is not known. */
  readonly timeline: number;
  /** Undefined until a long header was seen, unless it was given. */
  systemIdentifier: bigint | undefined;
  /** XLOG_PAGE_MAGIC of the pages; 0 until the first was seen. */
  magic = 0;
  #segmentHigh = 0;
  #segmentLow = 0;
  /** That of the last page: they never go back. */
  #lastTimeline = 0;

  constructor(segmentBytes: number, known?: { timeline?: number | undefined; systemIdentifier?: bigint | undefined }) {
    this.segmentBytes = segmentBytes;
    this.timeline = known?.timeline ?? 0;
    this.systemIdentifier = known?.systemIdentifier;
  }

  /** Goes on with the pages of the segment that begins there. */
  enter(segment: bigint): void {
    this.#segmentHigh = Number(segment >> 32n);
    this.#segmentLow = Number(segment & 0xffff_ffffn);
  }

  /** Whether the header at `at` is that of the page at `offset` of the segment; it must be there whole. */
  accepts(view: DataView, at: number, offset: number): boolean {
    const magic = view.getUint16(at, true);
    const info = view.getUint16(at + 2, true);
    const timeline = view.getUint32(at + 4, true);
    if (this.magic === 0 ? !MAGICS.has(magic) : magic !== this.magic) return false;
    if ((info & ~ALL_FLAGS) !== 0 || ((info & PAGE_FLAG.long) !== 0) !== (offset === 0)) return false;
    if (timeline === 0 || timeline < this.#lastTimeline || (this.timeline !== 0 && timeline > this.timeline)) return false;
    // No sum overflows: segments are powers of two of at most 1 GiB and begin at multiples of their size.
    if (view.getUint32(at + 8, true) !== this.#segmentLow + offset || view.getUint32(at + 12, true) !== this.#segmentHigh) return false;
    if (offset === 0 && !this.#acceptsLong(view, at)) return false;
    this.magic = magic;
    this.#lastTimeline = timeline;
    return true;
  }

  #acceptsLong(view: DataView, at: number): boolean {
    const systemIdentifier = view.getBigUint64(at + 24, true);
    if (this.systemIdentifier !== undefined && systemIdentifier !== this.systemIdentifier) return false;
    if (view.getUint32(at + 32, true) !== this.segmentBytes || view.getUint32(at + 36, true) !== WAL_PAGE_BYTES) return false;
    this.systemIdentifier = systemIdentifier;
    return true;
  }
}

/**
 * Where a record ends that begins at `offset` of a segment and has `length` bytes: the offset from the same segment's
 * beginning, not rounded to 8, which lies in a later segment when it is more than `segmentBytes`.
 */
export function recordEnd(offset: number, length: number, segmentBytes: number): number {
  let at = offset % WAL_PAGE_BYTES === 0 ? offset + pageHeaderBytes(offset) : offset;
  let left = length;
  for (;;) {
    const room = WAL_PAGE_BYTES - (at % WAL_PAGE_BYTES);
    if (left <= room) return at + left;
    left -= room;
    at += room;
    at += pageHeaderBytes(at % segmentBytes);
  }
}

/** Whether nothing was written there: a page that PostgreSQL has made room for and not yet used. */
export function isZero(view: DataView, at: number, length: number): boolean {
  for (let index = at; index < at + length; index++) if (view.getUint8(index) !== 0) return false;
  return true;
}
