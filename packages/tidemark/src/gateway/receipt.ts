import { formatDuration } from "@tidemark/kernel/duration";
import type { Config } from "../config/config.ts";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { guaranteeOf } from "./durability-rule.ts";
import type { WindowLimits } from "./idempotency-window.ts";

/** What a receipt is about: a write that stands durably in the journal. */
export interface ReceiptFacts {
  readonly sequence: bigint;
  readonly partition: number;
  readonly acceptedAtMs: number;
  /** Undefined where the journal has forgotten the record. */
  readonly frozenId: string | undefined;
  readonly command: string;
  readonly store: string;
}

/** What every receipt of a store says alike, as JSON members. */
interface StoreWords {
  readonly members: string;
}

/**
 * Writes receipts. The texts that a store's receipts have in common are made once; a receipt is put together from them
 * by hand, because at tens of thousands a second a general serializer is the largest single cost.
 */
export class ReceiptWriter {
  readonly #journalId: string;
  readonly #prefix: string;
  readonly #window: WindowLimits;
  readonly #stores = new Map<string, StoreWords>();
  #lastMs = Number.NaN;
  #lastTimes = "";

  constructor(parts: { journalId: string; journalDomains: readonly FailureDomain[]; config: Config }) {
    this.#journalId = parts.journalId;
    this.#prefix = writeIdPrefix(parts.journalId);
    this.#window = parts.config.gateway.idempotency;
    for (const [name, store] of Object.entries(parts.config.stores)) {
      const guarantee = guaranteeOf(store, parts.journalDomains);
      const members = `"durable":${JSON.stringify(parts.journalDomains)},"survives":${JSON.stringify(guarantee.survives)},"guarantee":${JSON.stringify(guarantee.words)}`;
      this.#stores.set(name, { members });
    }
  }

  /** The JSON members of a receipt without braces and without its status: the same text for the same write, always. */
  members(facts: ReceiptFacts): string {
    const words = this.#stores.get(facts.store)?.members ?? "";
    return (
      `"id":"${this.#prefix}${facts.sequence}","command":${JSON.stringify(facts.command)},"journal":"${this.#journalId}","partition":${facts.partition},` +
      `"sequence":"${facts.sequence}","frozenId":${facts.frozenId === undefined ? "null" : `"${facts.frozenId}"`},${this.#times(facts.acceptedAtMs)},${words}`
    );
  }

  /** The whole receipt of a write that is journalled. */
  receipt(facts: ReceiptFacts): string {
    return `{${this.members(facts)},"status":"journalled"}`;
  }

  /** The id by which the API names the write at `sequence`. */
  id(sequence: bigint): string {
    return `${this.#prefix}${sequence}`;
  }

  /** The sequence that an id names, or undefined when it is none of this journal's. */
  sequenceOf(id: string): bigint | undefined {
    if (!id.startsWith(this.#prefix) || !/^[1-9]\d{0,18}$/.test(id.slice(this.#prefix.length))) return undefined;
    return BigInt(id.slice(this.#prefix.length));
  }

  #times(acceptedAtMs: number): string {
    if (acceptedAtMs !== this.#lastMs) {
      this.#lastMs = acceptedAtMs;
      this.#lastTimes =
        `"acceptedAt":"${new Date(acceptedAtMs).toISOString()}","keyRememberedUntil":"${new Date(acceptedAtMs + this.#window.windowMs).toISOString()}",` +
        `"keyRememberedWrites":${this.#window.count}`;
    }
    return this.#lastTimes;
  }
}

/**
 * `w_` and the last 8 hexadecimal characters of the journal's UUID: an id of another journal is known by it. Not the
 * first ones: they are time (RFC 9562 §5.7), alike for a journal and one that replaced it within the same minute.
 */
function writeIdPrefix(journalId: string): string {
  return `w_${journalId.replaceAll("-", "").slice(-8)}_`;
}

/** The window in words, for the status page. */
export function windowWords(limits: WindowLimits): string {
  return `${formatDuration(limits.windowMs)} or ${limits.count} writes, whichever ends first`;
}
