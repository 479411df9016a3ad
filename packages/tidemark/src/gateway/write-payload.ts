/**
 * The payload of a journal record of kind `write`: JSON in UTF-8, keys in this order, version first. The applier reads
 * nothing else of a write. See docs/write-protocol.md.
 */
export interface WritePayload {
  /** Version of this payload's form. */
  readonly v: 1;
  /** The frozen id of the write, a UUID: :id in its statements (R14). */
  readonly id: string;
  readonly command: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** The idempotency key, unique within `scope` (the token's name, so that two clients cannot collide). */
  readonly idempotencyKey: string;
  readonly scope: string;
  /** SHA-256 of command, key and args in canonical JSON, hex, first 32 characters: same key with other content is a conflict. */
  readonly contentHash: string;
  /** Whether somebody waits for the rows that the statements return. */
  readonly rows?: true;
  /** Set on an operator's replay: the sequence of the write that was rejected (R13: a replay is a new record). */
  readonly replayOf?: string;
}

/** The payload of a record of kind `verdict` (R13): journalled before it is shown, obeyed on re-apply. */
export interface VerdictPayload {
  readonly v: 1;
  /** Decimal sequence of the write that it is about. */
  readonly sequence: string;
  /**
   * `rejected`: the database refused it for good; skipped, or its key stopped. `parked`: waits behind a stopped key.
   * `discarded`: an operator gave it up. `released`: a parked one may be applied (its key goes on) as the replay `by`.
   */
  readonly verdict: "rejected" | "parked" | "discarded" | "replayed";
  readonly sqlstate?: string;
  readonly constraint?: string;
  readonly reason: string;
  /** Who decided: `applier` or an operator's name. */
  readonly by: string;
  /** For `replayed`: the sequence of the new record. */
  readonly replayedAs?: string;
}
