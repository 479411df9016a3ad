// XLOG_OVERWRITE_CONTRECORD: after a crash that lost the end of a record, the first record on the page where it would have gone on
// says which one it was.
//
//   24 u8 255 (XLR_BLOCK_ID_DATA_SHORT)   25 u8 16, the length of what follows
//   26 u64 position of the record that was given up   34 i64 when, microseconds since 2000
//
// Source: src/include/access/xlog_internal.h (xl_overwrite_contrecord), src/include/access/xlogrecord.h.
import type { Lsn } from "@tidemark/kernel/lsn";
import { MANAGER_INFO_MASK, RESOURCE_MANAGER, XLOG_KIND } from "./resource-managers.ts";
import { RECORD_HEADER_BYTES } from "./wal-record.ts";

const SHORT_DATA = 255;
const CONTENT_BYTES = 16;

/** The position of the record that the record at `at` says was given up; undefined when it is no such record. */
export function overwrittenRecord(bytes: Uint8Array, at: number, length: number): Lsn | undefined {
  const content = at + RECORD_HEADER_BYTES;
  if (length !== RECORD_HEADER_BYTES + 2 + CONTENT_BYTES) return undefined;
  const kind = (bytes[at + 16] as number) & MANAGER_INFO_MASK;
  if (bytes[at + 17] !== RESOURCE_MANAGER.xlog || kind !== XLOG_KIND.overwriteContinuation) return undefined;
  if (bytes[content] !== SHORT_DATA || bytes[content + 1] !== CONTENT_BYTES) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(content + 2, true) as Lsn;
}
