/**
 * The lease store's port: a few small keys with compare-and-set. Adapters: SQLite in the control process (embedded, a
 * declared single point), its HTTP client for the other roles, later etcd and Kubernetes. One contract suite runs on all.
 */

/** A value with the revision that it got when it was set. Revisions only grow; 0 stands for "not there". */
export interface LeaseEntry {
  readonly key: string;
  /** A JSON document. */
  readonly value: unknown;
  readonly revision: number;
}

export interface LeaseStore {
  /** Linearizable. Rejects with TM-CLUSTER-LEASE-STORE-AWAY when it cannot be reached in time. */
  read(key: string): Promise<LeaseEntry | undefined>;
  /**
   * Sets the value if its revision is still `expected` (0: if it is not there), durably, and answers the new entry.
   * Rejects with TM-CLUSTER-CONFLICT when another revision stands (nothing changed), or TM-CLUSTER-LEASE-STORE-AWAY
   * when the outcome is unknown: read again before deciding.
   */
  compareAndSet(key: string, expected: number, value: unknown): Promise<LeaseEntry>;
  /** Resolves with the entry as soon as its revision is greater than `after`; with undefined when `signal` aborts or `waitMs` passes. */
  waitFor(key: string, after: number, options: { waitMs: number; signal?: AbortSignal }): Promise<LeaseEntry | undefined>;
}
