// Who waits for which key: shared by the lease stores that live in one process.
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { LeaseEntry } from "./lease-store.ts";

/** The most waiters at once over all keys; beyond it waiting is refused with TM-CLUSTER-LEASE-STORE-AWAY. */
export const MOST_WAITERS = 1_024;

interface Waiter {
  readonly after: number;
  readonly settle: (entry: LeaseEntry | undefined) => void;
}

export class KeyWatch {
  readonly #clock: Clock;
  readonly #waiters = new Map<string, Set<Waiter>>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be called after each change is durable. */
  changed(entry: LeaseEntry): void {
    for (const waiter of this.#waiters.get(entry.key) ?? []) {
      if (entry.revision > waiter.after) waiter.settle(entry);
    }
  }

  /** Resolves with the first entry after `after`; undefined when the time is over or `signal` aborts. `current` is what stands now. */
  wait(
    key: string,
    after: number,
    options: { waitMs: number; signal?: AbortSignal; current: LeaseEntry | undefined },
  ): Promise<LeaseEntry | undefined> {
    const { current, signal } = options;
    if (current !== undefined && current.revision > after) return Promise.resolve(current);
    if (signal?.aborted === true || options.waitMs <= 0) return Promise.resolve(undefined);
    if (this.#count >= MOST_WAITERS) {
      return Promise.reject(new TidemarkError("TM-CLUSTER-LEASE-STORE-AWAY", `waited for ${key}: ${MOST_WAITERS} others wait already`));
    }
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const onAbort = (): void => waiter.settle(undefined);
      const waiter: Waiter = {
        after,
        settle: (entry) => {
          if (this.#waiters.get(key)?.delete(waiter) !== true) return;
          this.#count--;
          timer?.clear();
          signal?.removeEventListener("abort", onAbort);
          resolve(entry);
        },
      };
      const waiting = this.#waiters.get(key) ?? new Set();
      this.#waiters.set(key, waiting.add(waiter));
      this.#count++;
      timer = this.#clock.setTimer(options.waitMs, () => waiter.settle(undefined), { keepAlive: false });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Settles everybody with undefined. */
  close(): void {
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.settle(undefined);
  }
}
