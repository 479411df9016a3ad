import { readFile } from "node:fs/promises";
import { TidemarkError } from "@tidemark/kernel/errors";
import { AUDIT_GENESIS, readAuditLine, type AuditEntry, type AuditHead } from "./audit-entry.ts";
import { readHead } from "./audit-log.ts";

/** What was found wrong in a log. */
export interface AuditFault {
  /** From 1; 0 for the log as a whole. */
  readonly line: number;
  readonly what: string;
}

export interface AuditVerdict {
  /** True when every line is whole, in place and chained, and the log reaches as far as it is known to have reached. */
  readonly whole: boolean;
  readonly entries: readonly AuditEntry[];
  readonly head: AuditHead;
  readonly faults: readonly AuditFault[];
  /** True when there is no log: nothing was ever written, or somebody took the log and its head file away, which only an anchor shows. */
  readonly absent: boolean;
  /** Bytes behind the last whole line: a crash while appending. Never answered, so no fault; the next append cuts it. */
  readonly tornBytes: number;
}

/**
 * Checks a log from its first line to its last. Verification stops at the first fault, because nothing behind it is
 * chained to what comes before. `anchor` is a head that was kept elsewhere (a proof has one): a log that was cut short,
 * together with its head file, is noticed by it. Rejects with TM-PROOF-AUDIT-IO when the file cannot be read; with
 * `mayBeAbsent` one that is not there is read as empty, which is a fault if its head file or the anchor says otherwise.
 */
export async function verifyAuditLog(file: string, options: { anchor?: AuditHead; mayBeAbsent?: boolean } = {}): Promise<AuditVerdict> {
  let bytes: Buffer = Buffer.alloc(0);
  let absent = false;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    absent = options.mayBeAbsent === true && (cause as NodeJS.ErrnoException).code === "ENOENT";
    if (!absent) throw new TidemarkError("TM-PROOF-AUDIT-IO", `could not read the audit log ${file}`, { cause });
  }
  const faults: AuditFault[] = [];
  const anchors: { head: AuditHead; from: string }[] = options.anchor === undefined ? [] : [{ head: options.anchor, from: "the anchor" }];
  try {
    const head = await readHead(file);
    if (head === undefined && bytes.length > 0) faults.push({ line: 0, what: "the head file is missing" });
    if (head !== undefined) anchors.push({ head, from: "the head file" });
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    faults.push({ line: 0, what: error.message });
  }
  return { ...checkChain(bytes, anchors, faults), absent };
}

function checkChain(
  bytes: Buffer,
  anchors: readonly { head: AuditHead; from: string }[],
  faults: AuditFault[],
): Omit<AuditVerdict, "absent"> {
  const end = bytes.lastIndexOf(0x0a) + 1;
  const text = bytes.subarray(0, end).toString("utf8");
  // Bytes that are no UTF-8 would be read as replacement characters, and two different files as one.
  if (Buffer.compare(Buffer.from(text), bytes.subarray(0, end)) !== 0)
    faults.push({ line: 0, what: "the log has bytes that are no UTF-8" });
  const entries: AuditEntry[] = [];
  let head: AuditHead = { seq: 0, hash: AUDIT_GENESIS };
  for (const [index, line] of (end === 0 ? [] : text.slice(0, -1).split("\n")).entries()) {
    const entry = readAuditLine(line, head);
    if ("fault" in entry) {
      faults.push({ line: index + 1, what: entry.fault });
      break;
    }
    entries.push(entry);
    head = { seq: entry.seq, hash: entry.hash };
  }
  for (const anchor of anchors) {
    if (anchor.head.seq === 0) continue;
    const entry = entries[anchor.head.seq - 1];
    if (entry === undefined)
      faults.push({ line: 0, what: `the log ends at entry ${head.seq}, ${anchor.from} says that it reached ${anchor.head.seq}` });
    else if (entry.hash !== anchor.head.hash)
      faults.push({ line: anchor.head.seq, what: `entry ${anchor.head.seq} is not the one that ${anchor.from} names` });
  }
  return { whole: faults.length === 0, entries, head, faults, tornBytes: bytes.length - end };
}
