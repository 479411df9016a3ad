import { createHash } from "node:crypto";
import { canonicalJson, type JsonValue } from "../proofs/canonical-json.ts";

/** The version of the form of an entry; docs/audit-log.md specifies it. */
const AUDIT_FORMAT_VERSION = 1;

/** What the first entry is chained to. */
export const AUDIT_GENESIS = "0".repeat(64);

/** The longest entry, as a line: 64 KiB. A longer one is refused before it is written. */
export const MAX_AUDIT_LINE_BYTES = 65_536;

/** What a caller says. */
export interface AuditRecord {
  /** Who did it: a role (`control`, `gateway`), or a person as `token:<name>` or `user:<name>`. */
  readonly who: string;
  /** What was done, a verb and its object in kebab-case: `discard-write`, `promote`, `rotate-proof-key`. */
  readonly action: string;
  /** What it was done to, such as `orders/pg2` or a sequence. */
  readonly subject: string;
  /** Why, in the words of whoever did it, or the rule that decided. */
  readonly reason: string;
  /** Figures that go with it. Never secrets. */
  readonly facts?: { readonly [name: string]: JsonValue };
}

/** One entry as it stands in the log. */
export interface AuditEntry extends AuditRecord {
  readonly v: typeof AUDIT_FORMAT_VERSION;
  /** From 1, without a gap. */
  readonly seq: number;
  /** Wall time, ISO 8601 in UTC with milliseconds. */
  readonly at: string;
  readonly facts: { readonly [name: string]: JsonValue };
  /** `hash` of the entry before, or {@link AUDIT_GENESIS}. */
  readonly prev: string;
  /** SHA-256 (hex) of the canonical JSON of the entry without `hash`; as `prev` is part of it, the hashes form a chain. */
  readonly hash: string;
}

/** Where a log ends: what a proof or an operator keeps elsewhere, so that a log cut short is noticed. */
export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
}

/** The hash of an entry, over everything but `hash` itself. */
function auditHash(entry: Omit<AuditEntry, "hash">): string {
  return createHash("sha256").update(canonicalJson(entry)).digest("hex");
}

/** The next entry of a chain that ends at `head`. */
export function nextAuditEntry(head: AuditHead, atMs: number, record: AuditRecord): AuditEntry {
  const entry = {
    v: AUDIT_FORMAT_VERSION as typeof AUDIT_FORMAT_VERSION,
    seq: head.seq + 1,
    at: new Date(atMs).toISOString(),
    who: record.who,
    action: record.action,
    subject: record.subject,
    reason: record.reason,
    facts: record.facts ?? {},
    prev: head.hash,
  };
  return { ...entry, hash: auditHash(entry) };
}

/** The line of an entry, without its end: canonical JSON, so that one entry has one text and every flipped byte shows. */
export function formatAuditLine(entry: AuditEntry): string {
  return canonicalJson(entry as unknown as JsonValue);
}

/** What is wrong with a line, or the entry that it holds. `head` is where the chain stands before it. */
export function readAuditLine(line: string, head: AuditHead): AuditEntry | { readonly fault: string } {
  let entry: AuditEntry;
  try {
    const value = JSON.parse(line) as Readonly<Record<string, unknown>> | null;
    if (typeof value !== "object" || value === null) return { fault: "the line is no entry" };
    if (value["v"] !== AUDIT_FORMAT_VERSION)
      return { fault: `the line has version ${JSON.stringify(value["v"])} of the form, known is ${AUDIT_FORMAT_VERSION}` };
    entry = value as unknown as AuditEntry;
    if (formatAuditLine(entry) !== line) return { fault: "the line is not in canonical form" };
    const { hash, ...content } = entry;
    if (auditHash(content) !== hash) return { fault: "the entry's content does not fit its hash" };
  } catch (error) {
    return { fault: `the line cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (entry.seq !== head.seq + 1) return { fault: `entry ${entry.seq} stands where ${head.seq + 1} was expected` };
  if (entry.prev !== head.hash) return { fault: "the entry is not chained to the one before it" };
  return entry;
}
