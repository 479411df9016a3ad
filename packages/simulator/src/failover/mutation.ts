/** A rule of docs/failover-protocol.md that is switched off. The checkers must catch each of them. */
export const MUTATIONS = [
  /** R1: the new set is recorded alone, before PostgreSQL was told, and nothing is waited for. */
  "R1-record-new-alone",
  /** R1: the change is recorded as it should, but a reload is taken for being told. */
  "R1-reload-is-told",
  /** R2: the candidate promotes with open settings and writes the record afterwards, without a look at it. */
  "R2-promote-first",
  /** R3: a vote is given while the receiver lives. */
  "R3-receiver-lives",
  /** R4: a restarted standby votes with what its receiver has received since. */
  "R4-vote-received",
  /** R5: nobody waits for the lease of an asynchronous primary. */
  "R5-no-wait",
  /** R8: the incumbent is never re-elected. */
  "R8-no-incumbent",
  /** A candidate that is behind a vault's vote is promoted without the vault's WAL, and does not look again. */
  "NO-LOSS-not-completed",
  /** R4: a vault votes with what it has received, in the middle of a record. */
  "R4-vault-votes-received",
  /** R3: a vault goes on acknowledging after its promise. */
  "R3-vault-acknowledges-on",
  /** R6: a wiped vault comes back under its former identity. */
  "R6-wiped-vault-keeps-identity",
  /** A reign begins with the remaining members instead of closed. */
  "begin-with-members",
] as const;

export type Mutation = (typeof MUTATIONS)[number];
