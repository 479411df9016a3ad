import type { SystemIdentifier } from "@tidemark/kernel/brands";
import { PositionHistory } from "../canary/position-history.ts";
import type { Figure } from "./probe-result.ts";

/** What the probes of one store share: where its primary was when, and which cluster it is. One per store, in the observer's memory. */
export class StoreObservation {
  readonly store: string;
  /** What its servers say serves for so long, milliseconds; undefined: as long as other figures. One that is asked seldom is known seldom. */
  readonly freshForMs: number | undefined;
  readonly positions = new PositionHistory();
  /** The primary's clock minus the observer's, milliseconds, as whoever looked at the primary compared them last; undefined before. */
  primaryClock: Figure<number> | undefined;
  #identity: SystemIdentifier | undefined;

  constructor(store: string, { freshForMs }: { readonly freshForMs?: number | undefined } = {}) {
    this.store = store;
    this.freshForMs = freshForMs;
  }

  /** The cluster that the newest primary said it is. */
  get identity(): SystemIdentifier | undefined {
    return this.#identity;
  }

  /** A primary says which cluster it is. Of another than before, positions do not compare: the history begins anew, and true comes back. */
  isPrimary(identity: SystemIdentifier): boolean {
    const changed = this.#identity !== undefined && this.#identity !== identity;
    if (changed) this.positions.forget();
    this.#identity = identity;
    return changed;
  }
}
