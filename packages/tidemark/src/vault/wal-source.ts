// Whom a vault follows: a port with two adapters. The cluster's record says it for a store that Tidemark runs; a fixed server
// is for PostgreSQL that it does not run, for benchmarks and for tests.
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { ClusterRecord } from "../cluster/cluster-record.ts";
import type { LeaseStore } from "../cluster/lease-store.ts";
import { RecordWatch } from "../cluster/record-watch.ts";
import { REPLICATION_USER, derivedPassword } from "../cluster/store-secrets.ts";
import type { StoreConfig } from "../config/config.ts";

/** A primary that may be followed as far as the source knows; whether the vault's promise allows it, the vault decides. */
export interface WalTarget {
  /** Its name, as in the configuration. */
  readonly node: string;
  readonly host: string;
  readonly port: number;
  readonly login: { readonly user: string; readonly password: Redacted<string> };
  /** 0 where there are no epochs. */
  readonly epoch: Epoch | 0;
  /** A claim on a later epoch is open. */
  readonly claimed: boolean;
  /** What must be found there; absent where nothing is recorded. */
  readonly expected?: { readonly systemIdentifier: SystemIdentifier; readonly timeline: Timeline; readonly forkLsn: Lsn };
}

export interface WalSource {
  /** Watches until `signal` aborts. Faults of the watching are waited out. */
  run(signal: AbortSignal): Promise<void>;
  /** Undefined while nobody is known. */
  current(): WalTarget | undefined;
  /** The record that it comes from, where there is one. */
  record(): ClusterRecord | undefined;
  /** Looks now instead of when told. Rejects when that is not possible. */
  refresh(): Promise<void>;
  /** Called at each change. One listener; the last one given counts. */
  onChange(listener: () => void): void;
}

/** Follows one server, whoever it is. */
export class FixedSource implements WalSource {
  #target: WalTarget;
  #listener: () => void = () => undefined;

  constructor(target: Omit<WalTarget, "claimed" | "epoch"> & Partial<Pick<WalTarget, "claimed" | "epoch">>) {
    this.#target = { epoch: 0, claimed: false, ...target };
  }

  run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  }

  current(): WalTarget {
    return this.#target;
  }

  record(): undefined {
    return undefined;
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  /** Another server from now on. */
  follow(target: Omit<WalTarget, "claimed" | "epoch"> & Partial<Pick<WalTarget, "claimed" | "epoch">>): void {
    this.#target = { epoch: 0, claimed: false, ...target };
    this.#listener();
  }
}

/** Follows the primary that the store's record names. */
export class RecordSource implements WalSource {
  readonly #watch: RecordWatch;
  readonly #store: StoreConfig;
  readonly #password: Redacted<string>;
  #listener: () => void = () => undefined;

  constructor(options: {
    leaseStore: LeaseStore;
    storeName: string;
    store: StoreConfig;
    token: Redacted<string>;
    clock: Clock;
    logger: Logger;
  }) {
    const { storeName, store, clock, logger } = options;
    this.#store = store;
    this.#password = derivedPassword(options.token, storeName, REPLICATION_USER);
    this.#watch = new RecordWatch({ store: options.leaseStore, storeName, clock, logger, onChange: () => this.#listener() });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#watch.run(signal);
  }

  record(): ClusterRecord | undefined {
    return this.#watch.seen?.record;
  }

  get revision(): number | undefined {
    return this.#watch.seen?.revision;
  }

  async refresh(): Promise<void> {
    await this.#watch.confirm();
  }

  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  current(): WalTarget | undefined {
    const record = this.record();
    const node = this.#store.nodes.find((one) => one.name === record?.primary);
    if (record === undefined || node === undefined) return undefined;
    return {
      node: node.name,
      host: node.host,
      port: node.port,
      login: { user: REPLICATION_USER, password: this.#password },
      epoch: record.epoch,
      claimed: record.claim !== undefined,
      expected: { systemIdentifier: record.systemIdentifier, timeline: record.timeline, forkLsn: parseLsn(record.forkLsn) },
    };
  }
}
