// Sealed segments that another store is about to need too: sealed once, not once for each store.
import type { SealedObject } from "./object-sealer.ts";

/** Sealed segments that are held for the stores that come later. */
const MOST_HELD = 2;

export class SealingShelf {
  readonly #stores: number;
  readonly #held = new Map<string, Promise<SealedObject>>();

  /** @param stores how many stores take from it; with one nothing is held. */
  constructor(stores: number) {
    this.#stores = stores;
  }

  /** Whether what was taken may be taken once more. */
  get isShared(): boolean {
    return this.#stores > 1;
  }

  /** What `seal` gives, or what it gave for the same name a little while ago. Failures are not held. */
  take(name: string, seal: () => Promise<SealedObject>): Promise<SealedObject> {
    if (this.#stores < 2) return seal();
    const held = this.#held.get(name);
    if (held !== undefined) return held;
    const sealing = seal();
    this.#held.set(name, sealing);
    sealing.catch(() => this.#held.delete(name));
    const [oldest] = this.#held.keys();
    if (this.#held.size > MOST_HELD && oldest !== undefined) this.#held.delete(oldest);
    return sealing;
  }
}
