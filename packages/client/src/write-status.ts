import { TidemarkClientError } from "./client-error.ts";
import type { ReceiptFacts } from "./receipt.ts";

/** The commit that a write took effect in. */
export interface AppliedFacts {
  /** A WAL position that covers it; null where the gateway no longer remembers, then `note` says so. */
  readonly lsn: string | null;
  readonly timeline?: number;
  readonly epoch?: number;
  /** When that commit returned, RFC 3339. */
  readonly at?: string;
  /** The copies are asynchronous, so a failover may take it back; the journal puts it again (R14). */
  readonly provisional?: boolean;
  readonly note?: string;
}

/** The final word on a write that was not applied. */
export interface VerdictFacts {
  readonly reason: string;
  readonly by: string;
  readonly sqlstate?: string;
  readonly constraint?: string;
}

/**
 * Where a write stands: its receipt and what became of it. `journalled`: safe, not applied yet. `applied`: in the
 * database. `rejected`: refused by the database for good, a dead letter. `parked`: waits behind a rejected write of its
 * key. `discarded`: given up by an operator. `replayed`: an operator put it in again as another write. Of a write that
 * the journal has forgotten (`trimmed`) only id and status are left.
 */
export interface WriteStatus extends Partial<Omit<ReceiptFacts, "id" | "status">> {
  readonly id: string;
  readonly status: "journalled" | "applied" | "rejected" | "parked" | "discarded" | "replayed";
  readonly applied?: AppliedFacts;
  readonly verdict?: VerdictFacts;
  /** For `replayed`: the id of the write that it was put in again as. */
  readonly replayedAs?: string;
  readonly trimmed?: boolean;
}

/** What a status says to somebody who waits for the write to be applied: it is, it will never be, or wait on. */
export function judgeStatus(status: WriteStatus): "applied" | "wait" | TidemarkClientError {
  if (status.status === "applied") return "applied";
  if (status.status === "journalled") return "wait";
  const reason = status.verdict === undefined ? "" : `: ${status.verdict.reason}`;
  // A parked write is applied once an operator has settled the one before it; the others never are.
  const retry = status.status === "parked" ? "later" : "never";
  return new TidemarkClientError("TM-CLIENT-NOT-APPLIED", `the write ${status.id} was acknowledged and is ${status.status}${reason}`, {
    retry,
  });
}
