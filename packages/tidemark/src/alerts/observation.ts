// What judgement is given each second, as plain data. Everything that is configured is in it, as unknown if need be: what is
// missing from it for long counts as removed from the configuration.
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { StoreFacts } from "../probes/probe-result.ts";
import type { VaultStatus } from "../vault/vault-status.ts";

export interface Observation {
  /** One per service and scenario. */
  readonly exposures: readonly ScenarioExposure[];
  /** One per store. */
  readonly stores: readonly StoreFacts[];
  /** One per vault. */
  readonly vaults: readonly VaultFacts[];
}

export interface VaultFacts {
  readonly store: string;
  readonly vault: string;
  /** Absent while it does not answer: nothing is known, nothing ends. */
  readonly status?: VaultStatus;
}

/** How deliveries to a receiver stand. */
export interface ReceiverFacts {
  readonly receiver: string;
  readonly waiting: number;
  /** Age of the oldest that waits, 0 when there is none. */
  readonly oldestMs: number;
  readonly lastError?: string;
}
