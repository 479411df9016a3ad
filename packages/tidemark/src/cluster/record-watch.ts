// Follows a store's record in the lease store: what stands there, since when it is known, and a call at each change.
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { ClusterRecord } from "./cluster-record.ts";
import { recordKey } from "./cluster-record.ts";
import type { LeaseEntry, LeaseStore } from "./lease-store.ts";

/** One wait for a change, milliseconds. */
const WAIT_MS = 20_000;
/** Pause after a failed read, milliseconds. */
const PAUSE_MS = 150;

export interface Seen {
  /** Undefined: the lease store has no record. */
  readonly record: ClusterRecord | undefined;
  readonly revision: number;
}

export class RecordWatch {
  readonly #store: LeaseStore;
  readonly #key: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onChange: (seen: Seen) => void;
  #seen: Seen | undefined;
  #away = false;

  constructor(options: { store: LeaseStore; storeName: string; clock: Clock; logger: Logger; onChange: (seen: Seen) => void }) {
    this.#store = options.store;
    this.#key = recordKey(options.storeName);
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onChange = options.onChange;
  }

  /** Undefined until the lease store has answered for the first time. */
  get seen(): Seen | undefined {
    return this.#seen;
  }

  get storeName(): string {
    return this.#key;
  }

  /**
   * Reads now. `sentMs`: monotonic time at which the question was sent; what the answer shows was true at that time or later.
   * Rejects with TM-CLUSTER-LEASE-STORE-OLD when the store has forgotten what it said before: what is remembered here is
   * no confirmation of it.
   */
  async confirm(): Promise<Seen & { sentMs: number }> {
    const sentMs = this.#clock.monotonicMs();
    const known = this.#seen?.revision ?? 0;
    const entry = await this.#store.read(this.#key);
    if ((entry?.revision ?? 0) < known) {
      throw new TidemarkError(
        "TM-CLUSTER-LEASE-STORE-OLD",
        `the lease store has revision ${entry?.revision ?? "none"} of ${this.#key}; revision ${known} was read from it before`,
      );
    }
    return { ...this.take(entry), sentMs };
  }

  /** Takes an entry that another request brought. An older one than known changes nothing; answers what is known then. */
  take(entry: LeaseEntry | undefined): Seen {
    const seen: Seen = { record: entry === undefined ? undefined : parseRecord(entry.value), revision: entry?.revision ?? 0 };
    const known = this.#seen;
    if (known !== undefined && seen.revision <= known.revision) return known;
    this.#seen = seen;
    this.#onChange(seen);
    return seen;
  }

  /** Sets the record on the revision that was seen. Rejects as the lease store does. */
  async change(seen: Seen, record: ClusterRecord): Promise<Seen & { sentMs: number }> {
    const sentMs = this.#clock.monotonicMs();
    return { ...this.take(await this.#store.compareAndSet(this.#key, seen.revision, record)), sentMs };
  }

  /** Runs until `signal` aborts; the lease store being away is waited out. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#seen === undefined || this.#away) await this.confirm();
        this.#say(false);
        const entry = await this.#store.waitFor(this.#key, this.#seen?.revision ?? 0, { waitMs: WAIT_MS, signal });
        if (entry !== undefined) this.take(entry);
      } catch (error) {
        this.#say(true, error);
        await sleep(this.#clock, PAUSE_MS, signal).catch(() => undefined);
      }
    }
  }

  #say(away: boolean, error?: unknown): void {
    if (away !== this.#away) {
      if (away) this.#logger.warn({ err: error }, "the lease store is away; what was known of the record stands");
      else this.#logger.info({}, "the lease store answers again");
    }
    this.#away = away;
  }
}

/** The record as it stands in the lease store. Throws TM-CLUSTER-LEASE-STORE-VALUE on an unknown version. */
export function parseRecord(value: unknown): ClusterRecord {
  const record = value as ClusterRecord | undefined;
  if (record?.formatVersion !== 1)
    throw new TidemarkError("TM-CLUSTER-LEASE-STORE-VALUE", "the record in the lease store is of an unknown format version");
  return record;
}
