/**
 * The ledger: the independent record of what was acknowledged, against which loss is counted. The load process writes
 * it, the prover reads it after the run, the stack never sees it.
 *
 * The file is NDJSON: a header, then one line for each intent (written before the first attempt is sent) and one for
 * each answer. An acknowledgement counts from the moment its line is fsynced. A last line without its end was being
 * written when the process ended and is left out.
 */
export const LEDGER_VERSION = 1;

/** Why a write is in the load; most are plain orders. */
export type Purpose =
  /** A good order. */
  | "order"
  /** Passes the gateway's schema and breaks a constraint of the table: must be rejected after acceptance, with the reason. */
  | "breaks-constraint"
  /** The same write again under the same idempotency key: must get the same receipt. */
  | "repeat"
  /** Other content under a used idempotency key: must be refused. */
  | "conflict"
  /** Breaks the command's schema: must be refused before acceptance. */
  | "invalid";

export interface Intent {
  /** Number of this write in the load, from 0. */
  readonly n: number;
  readonly purpose: Purpose;
  /** The order's own number, unique per order; repeats and conflicts carry the number of their original. */
  readonly order: string;
  readonly customer: string;
  readonly amountCents: number;
  readonly idempotencyKey: string;
  /** When the open-loop schedule wanted it sent; latency counts from here. Wall time in milliseconds. */
  readonly scheduledAtMs: number;
}

/** What identifies an acknowledged write; a repeat must get the same. */
export interface LedgerReceipt {
  readonly id: string;
  /** The UUID that the write's statements get as `:id`: the row carries it. */
  readonly frozenId: string;
  readonly journal: string;
  readonly partition: number;
  /** Decimal text: a 64-bit number. */
  readonly sequence: string;
}

export type Answer =
  | {
      readonly n: number;
      readonly kind: "acknowledged";
      readonly receipt: LedgerReceipt;
      readonly atMs: number;
      readonly latencyMs: number;
      readonly attempts: number;
    }
  /** Answered with an error before acceptance, and no attempt of it can have been accepted. */
  | {
      readonly n: number;
      readonly kind: "refused";
      readonly status: number;
      readonly code: string;
      readonly atMs: number;
      readonly latencyMs: number;
      readonly attempts: number;
    }
  /** At least one attempt may have reached the gateway and none was answered with a receipt until the deadline. */
  | { readonly n: number; readonly kind: "unanswered"; readonly reason: string; readonly atMs: number; readonly attempts: number }
  /** Never sent: too many were in flight. */
  | { readonly n: number; readonly kind: "unsent"; readonly atMs: number };

/** One write of the ledger. `answer` is absent when the load process ended before there was one. */
export interface LedgerEntry {
  readonly intent: Intent;
  readonly answer?: Answer;
}
