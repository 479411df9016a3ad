// WAL as a server writes it, made by hand: for tests that need pages, records and faults of every kind without a server. That
// it makes what servers make is shown by those tests that read a real server's WAL.
import type { Timeline } from "@tidemark/kernel/brands";
import { crc32c } from "@tidemark/kernel/crc32c";
import type { Lsn } from "@tidemark/kernel/lsn";
import { RESOURCE_MANAGER, XLOG_KIND } from "../resource-managers.ts";
import { POSTGRES_EPOCH_US } from "../transaction-record.ts";
import { PAGE_FLAG, PAGE_MAGIC, pageHeaderBytes, WAL_PAGE_BYTES } from "../wal-page.ts";
import { RECORD_CRC_OFFSET, RECORD_HEADER_BYTES } from "../wal-record.ts";

export interface BuiltRecord {
  readonly lsn: Lsn;
  readonly end: Lsn;
  readonly rmid: number;
  readonly info: number;
  readonly xid: number;
  readonly totalLength: number;
}

export interface RecordContent {
  readonly rmid?: number;
  readonly info?: number;
  readonly xid?: number;
  /** What follows the header. */
  readonly body?: Uint8Array;
}

/** 1 MiB, the smallest that initdb allows: many segments cost little. */
export const SMALL_SEGMENT_BYTES = 1_048_576;
export const BUILT_SYSTEM_IDENTIFIER = 7_123_456_789_012_345_678n;

export class WalBuilder {
  readonly segmentBytes: number;
  readonly start: bigint;
  readonly magic: number;
  readonly records: BuiltRecord[] = [];
  timeline: Timeline;
  #bytes: Buffer;
  #at = 0;
  #previous = 0n;
  #flags = 0;

  /** Begins at `start`, the beginning of a segment. */
  constructor(options?: { start?: bigint; segmentBytes?: number; major?: 15 | 16 | 17 | 18; timeline?: number }) {
    this.segmentBytes = options?.segmentBytes ?? SMALL_SEGMENT_BYTES;
    this.start = options?.start ?? BigInt(this.segmentBytes);
    this.magic = PAGE_MAGIC[options?.major ?? 18];
    this.timeline = (options?.timeline ?? 1) as Timeline;
    this.#bytes = Buffer.alloc(this.segmentBytes);
  }

  /** Where the next record goes, a page's beginning included. */
  get position(): Lsn {
    return (this.start + BigInt(this.#at)) as Lsn;
  }

  /** All bytes up to {@link position}; with `padded`, zeros up to the end of its segment. */
  bytes(padded = false): Buffer {
    const end = padded ? Math.ceil(this.#at / this.segmentBytes) * this.segmentBytes : this.#at;
    this.#grow(end);
    return this.#bytes.subarray(0, end);
  }

  add(content: RecordContent = {}): BuiltRecord {
    const { rmid = 10, info = 0, xid = 0 } = content;
    const record = this.#image({ rmid, info, xid, body: content.body ?? new Uint8Array(0) });
    this.#beginPage(0);
    const lsn = this.position;
    this.#write(record, record.length);
    this.#at = Math.ceil(this.#at / 8) * 8;
    this.#previous = lsn;
    if (rmid === RESOURCE_MANAGER.xlog && (info & 0xf0) === XLOG_KIND.switch)
      this.#at = Math.ceil(this.#at / this.segmentBytes) * this.segmentBytes;
    this.#grow(this.#at);
    const built = { lsn, end: this.position, rmid, info, xid, totalLength: record.length };
    this.records.push(built);
    return built;
  }

  switchSegment(): BuiltRecord {
    return this.add({ rmid: RESOURCE_MANAGER.xlog, info: XLOG_KIND.switch });
  }

  commit(options: { xid: number; timeMs: number; extra?: number }): BuiltRecord {
    return this.add({ rmid: RESOURCE_MANAGER.transaction, xid: options.xid, body: commitBody(options.timeMs, options.extra ?? 0) });
  }

  abort(options: { xid: number; timeMs: number }): BuiltRecord {
    return this.add({ rmid: RESOURCE_MANAGER.transaction, info: 0x20, xid: options.xid, body: commitBody(options.timeMs, 0) });
  }

  /** Begins a record of `length` bytes, loses it behind the end of the page, and goes on as a server does after such a crash. */
  abandon(length: number): Lsn {
    const record = this.#image({ rmid: 10, info: 0, xid: 0, body: new Uint8Array(length - RECORD_HEADER_BYTES) });
    this.#beginPage(0);
    const lsn = this.position;
    this.#write(record, WAL_PAGE_BYTES - (this.#at % WAL_PAGE_BYTES));
    this.#flags = PAGE_FLAG.overwrites;
    const body = Buffer.alloc(18);
    body.writeUInt8(255, 0);
    body.writeUInt8(16, 1);
    body.writeBigUInt64LE(lsn, 2);
    this.add({ rmid: RESOURCE_MANAGER.xlog, info: XLOG_KIND.overwriteContinuation, body });
    return lsn;
  }

  #image(content: Required<RecordContent>): Buffer {
    const record = Buffer.alloc(RECORD_HEADER_BYTES + content.body.length);
    record.writeUInt32LE(record.length, 0);
    record.writeUInt32LE(content.xid, 4);
    record.writeBigUInt64LE(this.#previous, 8);
    record.writeUInt8(content.info, 16);
    record.writeUInt8(content.rmid, 17);
    record.set(content.body, RECORD_HEADER_BYTES);
    const crc = crc32c(record, 0, RECORD_CRC_OFFSET, crc32c(record, RECORD_HEADER_BYTES, record.length));
    record.writeUInt32LE(crc, RECORD_CRC_OFFSET);
    return record;
  }

  #write(record: Buffer, length: number): void {
    let done = 0;
    while (done < length) {
      this.#beginPage(record.length - done);
      const here = Math.min(length - done, WAL_PAGE_BYTES - (this.#at % WAL_PAGE_BYTES));
      this.#grow(this.#at + here);
      record.copy(this.#bytes, this.#at, done, done + here);
      this.#at += here;
      done += here;
    }
  }

  /** `left`: bytes of a record that goes on here. */
  #beginPage(left: number): void {
    if (this.#at % WAL_PAGE_BYTES !== 0) return;
    const offset = this.#at % this.segmentBytes;
    const size = pageHeaderBytes(offset);
    this.#grow(this.#at + size);
    const page = this.#bytes.subarray(this.#at, this.#at + size);
    page.writeUInt16LE(this.magic, 0);
    page.writeUInt16LE((left > 0 ? PAGE_FLAG.continues : 0) | (offset === 0 ? PAGE_FLAG.long : 0) | this.#flags, 2);
    page.writeUInt32LE(this.timeline, 4);
    page.writeBigUInt64LE(this.position, 8);
    page.writeUInt32LE(left, 16);
    if (offset === 0) {
      page.writeBigUInt64LE(BUILT_SYSTEM_IDENTIFIER, 24);
      page.writeUInt32LE(this.segmentBytes, 32);
      page.writeUInt32LE(WAL_PAGE_BYTES, 36);
    }
    this.#flags = 0;
    this.#at += size;
  }

  #grow(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.alloc(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(grown);
    this.#bytes = grown;
  }
}

/** The content of a commit or an abort with its small header, and `extra` bytes behind the time that nobody looks at. */
export function commitBody(timeMs: number, extra: number): Buffer {
  const body = Buffer.alloc(5 + 8 + extra, 0x5a);
  body.writeUInt8(254, 0);
  body.writeUInt32LE(8 + extra, 1);
  body.writeBigInt64LE(BigInt(Math.round(timeMs * 1000)) - BigInt(POSTGRES_EPOCH_US), 5);
  return body;
}
