// One record of WAL as the reader shows it: the same object for every record, filled anew, so that reading hundreds of
// thousands of them a second allocates nothing.
//
//   0  u32 total length, this header included     16 u8  info: the manager's bits (0xf0) and the format's (0x0f)
//   4  u32 xid                                    17 u8  resource manager
//   8  u64 position of the record before          18 two bytes of padding
//                                                 20 u32 CRC-32C of everything behind the header, then of bytes 0–19
//
// Source: src/include/access/xlogrecord.h.
import type { Lsn } from "@tidemark/kernel/lsn";

export const RECORD_HEADER_BYTES = 24;
/** Where the CRC stands; what is before it is covered by it, last. */
export const RECORD_CRC_OFFSET = 20;
/** A record that says it is longer is none: the server cannot make one (MaxAllocSize). Nothing is allocated from this number. */
export const LONGEST_RECORD_BYTES = 0x3fff_ffff;
/** Records begin at multiples of it. */
export const RECORD_ALIGNMENT = 8;

const NO_BYTES = new Uint8Array(0);

/** Valid during the call that shows it; take from it what is kept. */
export class WalRecord {
  rmid = 0;
  info = 0;
  /** 0 where the record belongs to no transaction. */
  xid = 0;
  /** XLOG_PAGE_MAGIC of the page where it ends, which tells the major version; 0 where reading began behind the page's header. */
  magic = 0;
  /** Bytes of the record: its header, no page headers, no padding. */
  totalLength = 0;
  /**
   * The record from its header on stands in `bytes` from `from` to `to`, where page headers are left out already. All of it when
   * it lies on one page, or when its manager is one of those that the reader collects; for others on several pages
   * nothing (`from` = `to`). What is collected ends at the reader's limit.
   */
  bytes: Uint8Array = NO_BYTES;
  from = 0;
  to = 0;
  /** Where it begins and ends: the first byte of the segment, and the offset from there. */
  segment = 0n;
  offset = 0;
  endSegment = 0n;
  endOffset = 0;

  /** Its first byte: PostgreSQL's ReadRecPtr. */
  get lsn(): Lsn {
    return (this.segment + BigInt(this.offset)) as Lsn;
  }

  /** Where the next record may begin: PostgreSQL's EndRecPtr, which a commit waits for. Rounded up to 8; behind a switch the next segment. */
  get end(): Lsn {
    return (this.endSegment + BigInt(this.endOffset)) as Lsn;
  }
}
