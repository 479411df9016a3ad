/**
 * A rule of the write protocol, switched off. The simulation must lose, double, reorder or misjudge a write with each;
 * `none` must pass every seed.
 */
export const MUTATIONS = {
  none: "the protocol as it is",
  "unconditional-move": "the position row is set, whatever it was (R12)",
  "position-apart": "the position row is moved in a transaction of its own, behind the batch (R12)",
  "position-first-apart": "the same, before the batch (R12)",
  "journal-unnamed": "the position row does not have the journal's identity (R12)",
  "verdict-late": "a verdict counts before it is durable (R13)",
  "verdict-ignored": "verdicts in the journal are not obeyed on re-application (R13)",
  "judge-at-once": "an error is final without waiting for the other partitions (R13)",
  "applied-early": "applied is said after a cancelled wait, and of positions that were read (R14)",
  "lsn-across-timelines": "the copies are asked for their LSN, whatever timeline it is on (R11)",
  "trim-what-is-applied": "the journal forgets what is applied, without a barrier (R11)",
  "keys-forgotten": "the idempotency key is not in the transaction (R15)",
} as const;

export type Mutation = keyof typeof MUTATIONS;
