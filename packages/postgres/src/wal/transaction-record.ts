// What a record of the transaction manager says: a commit or an abort, of whom, and when.
//
// Behind the record's header come small headers of what is in it, then the content. Of those a transaction's record has only
// 253 (u16 origin), 252 (u32 top-level xid) and, last, 255 (u8 length) or 254 (u32 length) of the content:
//   i64 time, microseconds since 2000-01-01; where the info byte has 0x80: u32 flags, and by flag, in this order:
//   0 u32 database, u32 tablespace   1 u32 n, n u32 subtransactions   2 u32 n, n times 12 bytes: files to remove
//   8 u32 n, n times 12 bytes (16 from version 18): statistics to drop    3 u32 n, n times 16 bytes: invalidations (commits only)
//   4 u32 xid of the prepared transaction, and with 7 its name   5 u64 LSN, i64 time at the origin
// Source: src/include/access/xact.h, xlogrecord.h; ParseCommitRecord and ParseAbortRecord.
import { RESOURCE_MANAGER } from "./resource-managers.ts";
import { PAGE_MAGIC } from "./wal-page.ts";
import { RECORD_HEADER_BYTES } from "./wal-record.ts";
import type { WalRecord } from "./wal-record.ts";

/** Kinds of records of the transaction manager: the info byte under 0x70. */
const KIND_MASK = 0x70;
const HAS_FLAGS = 0x80;
const KINDS: Readonly<Record<number, TransactionOutcome>> = {
  0x00: "commit",
  0x20: "abort",
  0x30: "commit-prepared",
  0x40: "abort-prepared",
};

const BLOCK_ID = { dataShort: 255, dataLong: 254, origin: 253, topLevelXid: 252 } as const;
const FLAG = {
  database: 1 << 0,
  subtransactions: 1 << 1,
  files: 1 << 2,
  invalidations: 1 << 3,
  twoPhase: 1 << 4,
  statistics: 1 << 8,
} as const;

/** The lists that may stand before the prepared transaction's xid, in their order, with the bytes of an entry. */
const LISTS: readonly (readonly [flag: number, bytes: number])[] = [
  [FLAG.subtransactions, 4],
  [FLAG.files, 12],
  [FLAG.statistics, 12],
  [FLAG.invalidations, 16],
];

/** 2000-01-01 in microseconds of the Unix epoch. */
export const POSTGRES_EPOCH_US = 946_684_800_000_000;

export type TransactionOutcome = "commit" | "abort" | "commit-prepared" | "abort-prepared";

/** The content of one record, filled anew for each: reading commits by the million allocates nothing. */
export class TransactionRecord {
  outcome: TransactionOutcome = "commit";
  /**
   * Of the transaction that ended, that of the prepared one for those; 0 when it is not to be told: a commit that wrote nothing
   * has none, and the reader keeps the beginning only of a record above a megabyte.
   */
  xid = 0;
  /** When the server said it ended, by its own clock: microseconds since 1970. Not monotonic from record to record. */
  timeUs = 0;

  get isCommit(): boolean {
    return this.outcome === "commit" || this.outcome === "commit-prepared";
  }

  /** Milliseconds since 1970, with a fraction. */
  get timeMs(): number {
    return this.timeUs / 1000;
  }

  /** Reads `record`; false, and nothing was changed, when it ends no transaction or is not formed as one that does. */
  read(record: WalRecord): boolean {
    if (record.rmid !== RESOURCE_MANAGER.transaction) return false;
    const outcome = KINDS[record.info & KIND_MASK];
    if (outcome === undefined) return false;
    const { bytes, to } = record;
    const view = new DataView(bytes.buffer, bytes.byteOffset, to);
    const at = contentOf(view, record.from + RECORD_HEADER_BYTES);
    if (at === undefined || at + 8 > to) return false;
    const us = view.getInt32(at + 4, true) * 4_294_967_296 + view.getUint32(at, true) + POSTGRES_EPOCH_US;
    if (!Number.isSafeInteger(us)) return false;
    this.outcome = outcome;
    this.timeUs = us;
    this.xid = outcome === "commit" || outcome === "abort" ? record.xid : preparedXid(view, at + 8, record);
    return true;
  }
}

/** Where the content begins; undefined when the record is not formed so, or what was collected of it ends before. */
function contentOf(view: DataView, from: number): number | undefined {
  let at = from;
  while (at < view.byteLength) {
    const id = view.getUint8(at);
    if (id === BLOCK_ID.dataShort) return at + 2;
    if (id === BLOCK_ID.dataLong) return at + 5;
    if (id === BLOCK_ID.origin) at += 3;
    else if (id === BLOCK_ID.topLevelXid) at += 5;
    else return undefined;
  }
  return undefined;
}

/** The xid of the prepared transaction that the record ends; 0 when it says none. */
function preparedXid(view: DataView, from: number, record: WalRecord): number {
  const end = view.byteLength;
  if ((record.info & HAS_FLAGS) === 0 || from + 4 > end) return 0;
  const flags = view.getUint32(from, true);
  if ((flags & FLAG.twoPhase) === 0) return 0;
  let at = from + 4;
  if ((flags & FLAG.database) !== 0) at += 8;
  for (const [flag, bytes] of LISTS) {
    if ((flags & flag) === 0) continue;
    if (at + 4 > end) return 0;
    const each = flag === FLAG.statistics && record.magic >= PAGE_MAGIC[18] ? 16 : bytes;
    at += 4 + view.getUint32(at, true) * each;
  }
  return at + 4 > end ? 0 : view.getUint32(at, true);
}
