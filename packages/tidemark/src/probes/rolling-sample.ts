// Reads an object again after a while and compares: bytes that changed while the store says that the object did not are damage that
// nobody else notices before a restore. One object a turn, and those that have waited longest first.
import { createHash } from "node:crypto";
import type { ObjectFacts, ObjectStore } from "../object-stores/object-store.ts";

/** Objects whose digest is remembered; when it is full, the oldest is read again and forgotten. */
const MOST_REMEMBERED = 256;
/** Larger objects are compared by their beginning, bytes. */
const MOST_READ_BYTES = 16 * 1_048_576;
/** Damaged objects that are named; further ones are counted only. */
const MOST_DAMAGED = 32;

interface Remembered {
  readonly bytes: number;
  readonly modifiedAtMs: number;
  readonly digest: string;
}

export class RollingSample {
  readonly #store: ObjectStore;
  readonly #prefix: string;
  /** In the order in which they were read. */
  readonly #remembered = new Map<string, Remembered>();
  readonly #damaged = new Set<string>();
  #after: string | undefined;
  #compared = 0;

  constructor(store: ObjectStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  /** Readings that were compared with an earlier one. */
  get compared(): number {
    return this.#compared;
  }

  /** Objects whose digest is remembered: what a damaged one is counted among. */
  get size(): number {
    return this.#remembered.size;
  }

  /** Keys of objects whose bytes changed or are too few, at most {@link MOST_DAMAGED}; one stays until it is read whole as it was, replaced or deleted. */
  get damaged(): readonly string[] {
    return [...this.#damaged];
  }

  /** Reads one object. Rejects as the store does. */
  async step(signal: AbortSignal): Promise<void> {
    const object = await this.#next(signal);
    if (object === undefined) return;
    const oldest = this.#remembered.keys().next();
    if (!this.#remembered.has(object.key) && this.#remembered.size >= MOST_REMEMBERED && oldest.done !== true) {
      await this.#read(oldest.value, signal);
      this.#remembered.delete(oldest.value);
      return;
    }
    await this.#read(object.key, signal);
    this.#after = object.key;
  }

  async #next(signal: AbortSignal): Promise<ObjectFacts | undefined> {
    for await (const object of this.#store.list(this.#prefix, { signal, ...(this.#after === undefined ? {} : { after: this.#after }) }))
      return object;
    this.#after = undefined;
    return undefined;
  }

  async #read(key: string, signal: AbortSignal): Promise<void> {
    const before = await this.#store.head(key, { signal });
    if (before === undefined) return this.#forget(key);
    const end = Math.min(before.bytes, MOST_READ_BYTES);
    const body = end === 0 ? new Uint8Array() : await this.#store.get(key, { range: { start: 0, end }, maxBytes: MOST_READ_BYTES, signal });
    const after = await this.#store.head(key, { signal });
    if (after === undefined) return this.#forget(key);
    // Replaced while it was read: these bytes are of nobody knows which.
    if (after.modifiedAtMs !== before.modifiedAtMs || after.bytes !== before.bytes) return this.#forget(key);
    const digest = createHash("sha256").update(body).digest("hex");
    const known = this.#remembered.get(key);
    const same = known !== undefined && known.bytes === before.bytes && known.modifiedAtMs === before.modifiedAtMs;
    if (same) this.#compared++;
    const sound = body.length === end && (!same || known.digest === digest);
    if (sound) this.#damaged.delete(key);
    else if (this.#damaged.size < MOST_DAMAGED) this.#damaged.add(key);
    this.#remembered.delete(key);
    // What it was first stays what it is compared with: damage does not become the truth by being read twice.
    this.#remembered.set(key, sound || !same ? { bytes: before.bytes, modifiedAtMs: before.modifiedAtMs, digest } : known);
  }

  #forget(key: string): void {
    this.#remembered.delete(key);
    this.#damaged.delete(key);
  }
}
