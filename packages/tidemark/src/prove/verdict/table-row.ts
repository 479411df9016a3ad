/** One row of the table of orders, as read from the primary when everything was applied. */
export interface TableRow {
  readonly order: string;
  readonly customer: string;
  readonly amountCents: number;
  /** The write's frozen id, as its receipt has it. */
  readonly frozenId: string;
  /** Grows in the order of insertion. */
  readonly rowId: number;
  /** The transaction that inserted the row, and when the primary that holds it committed that. */
  readonly transaction: string;
  readonly committedAtMs: number;
}

/** What the statements keep beside the rows: a count and a sum that a write applied twice would change. */
export interface CustomerTotal {
  readonly customer: string;
  readonly orders: number;
  readonly totalCents: number;
}

/** A write that the database refused for good, as the gateway's API shows it, or the database where the gateway's journal is gone. */
export interface DeadLetter {
  /** The write's frozen id, unique over all journals. */
  readonly frozenId: string;
  readonly reason: string;
}
