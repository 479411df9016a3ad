// R5: where commits return without another copy, the lease is the only fence. It is a read of the record that showed this
// node's reign and no claim, and lasts `leaseMs` from the moment that the read was sent. Not renewed, PostgreSQL is killed
// before it ends.
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import type { ClusterRecord } from "../cluster-record.ts";
import { isAsynchronous } from "../quorum.ts";
import type { RecordWatch, Seen } from "../record-watch.ts";

/** The part of the lease after which PostgreSQL is killed; the rest is for the killing. */
export const LEASE_PART_USED = 0.9;
/** Renewals in the time of a lease. */
const RENEWALS = 5;

export class ReignLease {
  readonly #watch: RecordWatch;
  readonly #clock: Clock;
  readonly #node: string;
  readonly #leaseMs: number;
  readonly #isWriting: () => boolean;
  readonly #waitsForNobody: () => boolean;
  readonly #startedMs: number;
  readonly #end: () => Promise<void>;
  #renewedMs: number | undefined;

  /**
   * @param options.isWriting whether PostgreSQL runs here and is not known to be a standby.
   * @param options.waitsForNobody whether its own settings let commits return alone: what counts while no record is known.
   * @param options.end stops it, at once.
   */
  constructor(options: {
    watch: RecordWatch;
    clock: Clock;
    node: string;
    leaseMs: number;
    isWriting: () => boolean;
    waitsForNobody: () => boolean;
    end: () => Promise<void>;
  }) {
    this.#watch = options.watch;
    this.#clock = options.clock;
    this.#node = options.node;
    this.#leaseMs = options.leaseMs;
    this.#isWriting = options.isWriting;
    this.#waitsForNobody = options.waitsForNobody;
    this.#startedMs = options.clock.monotonicMs();
    this.#end = options.end;
  }

  /** To be told of every read and change of the record that was answered. */
  renew(seen: Seen & { sentMs: number }): void {
    if (this.#isMine(seen.record) && seen.record.claim === undefined) this.#renewedMs = Math.max(this.#renewedMs ?? -Infinity, seen.sentMs);
  }

  /** Whether the lease has so much of its time left that it may be relied upon. */
  get isHeld(): boolean {
    return this.#renewedMs !== undefined && this.#clock.monotonicMs() - this.#renewedMs < this.#leaseMs * LEASE_PART_USED;
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#renewOn(signal), this.#enforceOn(signal)]);
  }

  #isMine(record: ClusterRecord | undefined): record is ClusterRecord {
    return record?.primary === this.#node;
  }

  get #matters(): boolean {
    const record = this.#watch.seen?.record;
    if (!this.#isWriting()) return false;
    if (record !== undefined) return this.#isMine(record) && isAsynchronous(record);
    // An agent that adopted a primary while the lease store is away: PostgreSQL says what it does, and one lease's time is
    // all that it gets without a word from the store.
    return this.#waitsForNobody() && this.#clock.monotonicMs() - this.#startedMs >= this.#leaseMs * LEASE_PART_USED;
  }

  async #renewOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#matters) {
        await this.#watch.confirm().then(
          (seen) => this.renew(seen),
          // Away: the record watch says so in the log; here the clock goes on.
          () => undefined,
        );
      }
      await sleep(this.#clock, this.#leaseMs / RENEWALS, signal).catch(() => undefined);
    }
  }

  async #enforceOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#matters && !this.isHeld) await this.#end();
      await sleep(this.#clock, Math.max(10, this.#leaseMs / 50), signal).catch(() => undefined);
    }
  }
}
