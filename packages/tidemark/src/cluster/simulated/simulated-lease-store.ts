// A lease store in memory with faults on demand: for tests of those who use one, and for the contract suite.
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { KeyWatch } from "../key-watch.ts";
import { checkKey, conflict, encodeValue } from "../lease-limits.ts";
import type { LeaseEntry, LeaseStore } from "../lease-store.ts";

/** `away`: not reached. `answer-lost`: done, and the answer lost. */
export type LeaseFault = "away" | "answer-lost";

export class SimulatedLeaseStore implements LeaseStore {
  readonly #entries = new Map<string, LeaseEntry>();
  readonly #watch: KeyWatch;
  /** What the next requests meet, in order; empty: nothing. */
  readonly faults: LeaseFault[] = [];

  constructor(clock: Clock) {
    this.#watch = new KeyWatch(clock);
  }

  async read(key: string): Promise<LeaseEntry | undefined> {
    checkKey(key);
    if (this.faults.shift() !== undefined) throw away();
    return this.#entries.get(key);
  }

  async compareAndSet(key: string, expected: number, value: unknown): Promise<LeaseEntry> {
    const text = encodeValue(key, value);
    const fault = this.faults.shift();
    if (fault === "away") throw away();
    const found = this.#entries.get(key)?.revision ?? 0;
    if (found !== expected) throw conflict(key, expected, found);
    // Through JSON, as every other adapter does.
    const entry: LeaseEntry = { key, value: JSON.parse(text) as unknown, revision: found + 1 };
    this.#entries.set(key, entry);
    this.#watch.changed(entry);
    if (fault === "answer-lost") throw away();
    return entry;
  }

  async waitFor(key: string, after: number, options: { waitMs: number; signal?: AbortSignal }): Promise<LeaseEntry | undefined> {
    return this.#watch.wait(key, after, { ...options, current: this.#entries.get(key) });
  }

  close(): void {
    this.#watch.close();
  }
}

function away(): TidemarkError {
  return new TidemarkError("TM-CLUSTER-LEASE-STORE-AWAY", "the simulated lease store is away");
}
