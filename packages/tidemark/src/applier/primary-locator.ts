import type { PrimaryRoute } from "../cluster/cluster-record.ts";

/** Says where the primary of the store is. Keeps the last known route when nobody can be asked. */
export interface PrimaryLocator {
  /** The newest route known, whatever its state; undefined until the first answer. */
  readonly current: PrimaryRoute | undefined;
  /** Calls back with each newer route; returns the unsubscriber. */
  onChange(listener: (route: PrimaryRoute) => void): () => void;
  /** Follows the route until `signal` aborts; faults are retried inside and never thrown. */
  run(signal: AbortSignal): Promise<void>;
}
