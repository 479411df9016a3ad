// What would be lost now: per service and scenario. The result of the pure function in exposure-of.ts.
import type { Objective } from "../config/config.ts";
import type { Scenario } from "../objectives/failure-domain.ts";
import type { Figure, RecoveryPoint } from "../probes/probe-result.ts";

export interface ScenarioExposure {
  readonly service: string;
  readonly scenario: Scenario;
  /** Absent: nobody said how much may be lost. */
  readonly objective?: Objective;
  /** The newest state that survives: of the service's stores the oldest one. */
  readonly recoveryPoint: Figure<RecoveryPoint>;
  /** Milliseconds; 0 when nothing acknowledged is missing, and only then. The worst store's. */
  readonly exposureMs: Figure<number>;
  /** Over the service's stores. */
  readonly bytes: Figure<number>;
  readonly transactions: Figure<number>;
  /** In the service's own unit, such as orders, rounded up; absent where none is configured. */
  readonly business?: {
    readonly unit: string;
    readonly amount: Figure<number>;
    /** What that many would have earned, in whole units of the currency, rounded up; absent where nobody said what an hour earns. */
    readonly revenue?: { readonly currency: string; readonly amount: Figure<number> };
  };
  /** What it would be recovered from, per store. */
  readonly uses: readonly UsedCopy[];
  /** The same from copies alone that were recovered from before, milliseconds (PROVEN-OR-NOT). Absent: `exposureMs` is that. */
  readonly provenExposureMs?: Figure<number>;
  /** From the last proofs of the used copies, milliseconds; the longest of the stores. */
  readonly recoveryTimeMs: Figure<number>;
  /**
   * Whether the exposure is within the objective. `above` where that is certain, also without a figure: nothing survives, or one
   * store is above and another one not known. `unknown` is neither good nor bad.
   */
  readonly judgement: "within" | "above" | "unknown" | "no-objective";
  /** Every copy of these stores would be gone, and with it everything: how much that is, no figure says. Absent: none. */
  readonly lost?: readonly string[];
  /** What the number does not cover, in sentences. */
  readonly notCovered: readonly string[];
}

export interface UsedCopy {
  readonly store: string;
  readonly copy: string;
  /** What holds the rest where the copy has WAL only. */
  readonly onto?: string;
  /** False: a backup, or the like, that was never restored, as far as is known. A live copy needs no proof to be read. */
  readonly proven: boolean;
}
