/** What one accident takes away together, from small to large: `{ machine: "db1", zone: "a" }`. */
export type FailureDomain = Readonly<Partial<Record<"process" | "machine" | "zone" | "region" | "account", string>>>;

/** A receipt as the gateway sends it: the write is acknowledged, and stands where it says. docs/writes-api.md describes it. */
export interface ReceiptFacts {
  /** Id of the write, by which `writes.get` finds it. */
  readonly id: string;
  readonly command: string;
  /** The journal's UUID. */
  readonly journal: string;
  readonly partition: number;
  /** Place in the journal: a decimal number of up to 64 bits, as text. */
  readonly sequence: string;
  /** The UUID that the command's statements see as `:id`. */
  readonly frozenId: string;
  /** When it was accepted, RFC 3339. The command's statements see it as `:accepted_at`. */
  readonly acceptedAt: string;
  /** Until when a repeat with the same idempotency key is recognised (R15), RFC 3339 … */
  readonly keyRememberedUntil: string;
  /** … or until so many further writes were accepted, whichever ends first. */
  readonly keyRememberedWrites: number;
  /** The failure domains in which it is durable (R16). */
  readonly durable: readonly FailureDomain[];
  /** The scenarios that it survives. */
  readonly survives: readonly string[];
  /** The same in words. */
  readonly guarantee: string;
  readonly status: string;
}
