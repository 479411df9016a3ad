// An inventory by passes: each turn lists a bounded part and goes on where the last one ended, so that a million objects are counted
// without a turn that lists a million. Numbers are of whole passes only: half a listing has not seen what is missing.
import type { ObjectFacts } from "../object-stores/object-store.ts";

export interface Inventory {
  /** When the pass began and ended, wall time of the observer, milliseconds. */
  readonly beganMs: number;
  readonly endedMs: number;
  readonly objects: number;
  readonly bytes: number;
  /** Objects without a byte: they count as objects, and as nothing that could be restored from. */
  readonly empty: number;
  /** Of those that are not empty; undefined when there is none. */
  readonly newest: { readonly modifiedAtMs: number; readonly bytes: number } | undefined;
}

export class InventoryPass {
  readonly #beganMs: number;
  #after: string | undefined;
  #objects = 0;
  #bytes = 0;
  #empty = 0;
  #newest: Inventory["newest"];

  constructor(beganMs: number) {
    this.#beganMs = beganMs;
  }

  /** The last key that was counted; the listing goes on behind it. */
  get after(): string | undefined {
    return this.#after;
  }

  count(object: ObjectFacts): void {
    this.#after = object.key;
    this.#objects++;
    this.#bytes += object.bytes;
    if (object.bytes === 0) this.#empty++;
    else if (this.#newest === undefined || object.modifiedAtMs > this.#newest.modifiedAtMs)
      this.#newest = { modifiedAtMs: object.modifiedAtMs, bytes: object.bytes };
  }

  /** To be called when the listing came to its end. */
  end(endedMs: number): Inventory {
    return { beganMs: this.#beganMs, endedMs, objects: this.#objects, bytes: this.#bytes, empty: this.#empty, newest: this.#newest };
  }
}
