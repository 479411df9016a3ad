import { TidemarkError } from "@tidemark/kernel/errors";
import type { KeyProvider } from "./key-provider.ts";

/** Named in a message, so many keys; a ring can hold more. */
const KEYS_NAMED = 8;

/**
 * The keys that open the archive: one active, which seals, and any number of former ones. Rotation is putting another key in
 * front: nothing is rewritten, and a key may go when the last object that it sealed has gone.
 */
export class KeyRing {
  /** Seals new objects; undefined where the configuration says that nothing is encrypted. */
  readonly active: KeyProvider | undefined;
  /** Whether objects without encryption are opened. */
  readonly acceptsUnencrypted: boolean;
  readonly #keys: ReadonlyMap<string, KeyProvider>;

  constructor(keys: {
    readonly active: KeyProvider | undefined;
    readonly former: readonly KeyProvider[];
    readonly acceptsUnencrypted: boolean;
  }) {
    this.active = keys.active;
    this.acceptsUnencrypted = keys.acceptsUnencrypted;
    const all = keys.active === undefined ? keys.former : [keys.active, ...keys.former];
    // The same key twice is harmless: the first one serves.
    this.#keys = new Map(all.toReversed().map((key) => [key.keyId, key]));
  }

  get keyIds(): readonly string[] {
    return [...this.#keys.keys()].toReversed();
  }

  /** Throws TM-SEAL-KEY-MISSING. */
  find(keyId: string): KeyProvider {
    const found = this.#keys.get(keyId);
    if (found !== undefined) return found;
    const there = this.keyIds;
    const named = there.length === 0 ? "none" : there.slice(0, KEYS_NAMED).join(", ");
    throw new TidemarkError("TM-SEAL-KEY-MISSING", `the object is encrypted with the key ${keyId}; the configuration has ${named}`, {
      details: { keyId, keys: there.length },
    });
  }

  close(): void {
    for (const key of this.#keys.values()) key.close();
  }
}
