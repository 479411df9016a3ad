import { TidemarkClientError } from "./client-error.ts";
import type { ReceiptFacts } from "./receipt.ts";

/**
 * Where a write stands: its receipt and what became of it. `journalled`: safe, not applied yet. `applied`: in the
 * database. `rejected`: refused by the database for good, a dead letter. `parked`: waits behind a rejected write of its
 * key. `discarded`: given up by an operator. `replayed`: an operator put it in again as another write.
 */
export interface WriteStatus extends ReceiptFacts {
  readonly status: "journalled" | "applied" | "rejected" | "parked" | "discarded" | "replayed";
  /** For `applied`: a WAL position that covers it. */
  readonly lsn?: string;
  /** For `applied`: when the commit that covers it returned, RFC 3339. */
  readonly committedAt?: string;
  /** For `applied`: the copies are asynchronous, so a failover may take it back; the journal puts it again (R14). */
  readonly provisional?: boolean;
  /** For `rejected`, `parked`, `discarded`: why. */
  readonly reason?: string;
}

/** What a status says to somebody who waits for the write to be applied: it is, it will never be, or wait on. */
export function judgeStatus(status: WriteStatus): "applied" | "wait" | TidemarkClientError {
  switch (status.status) {
    case "applied":
      return "applied";
    case "journalled":
      return "wait";
    case "rejected":
    case "discarded":
    case "replayed":
    case "parked": {
      const reason = status.reason === undefined ? "" : `: ${status.reason}`;
      const retry = status.status === "parked" ? "unknown" : "never";
      return new TidemarkClientError("TM-CLIENT-NOT-APPLIED", `the write ${status.id} was acknowledged and is ${status.status}${reason}`, {
        retry,
      });
    }
  }
}
