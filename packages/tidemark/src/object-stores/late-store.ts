import type { GetOptions, ObjectFacts, ObjectStore, ObjectStoreAbilities, PutOptions } from "./object-store.ts";

const UNKNOWN: ObjectStoreAbilities = { conditional: false, lock: false, coldReads: false };

/**
 * A store that is opened when it is first needed, and again while that fails: a vault starts, and goes on receiving, while
 * an object store is away. Every call rejects with what opening rejected with. `abilities` are none until it is open.
 */
export class LateStore implements ObjectStore {
  readonly name: string;
  readonly lockForMs: number | undefined;
  readonly #open: () => Promise<ObjectStore>;
  #opening: Promise<ObjectStore> | undefined;
  #store: ObjectStore | undefined;

  constructor(given: { readonly name: string; readonly lockForMs: number | undefined; readonly open: () => Promise<ObjectStore> }) {
    this.name = given.name;
    this.lockForMs = given.lockForMs;
    this.#open = given.open;
  }

  get abilities(): ObjectStoreAbilities {
    return this.#store?.abilities ?? UNKNOWN;
  }

  /** Opens it, when it is not open, and resolves when it is. */
  async ready(): Promise<void> {
    await this.#opened();
  }

  async put(key: string, body: Uint8Array, options?: PutOptions): Promise<void> {
    return (await this.#opened()).put(key, body, options);
  }

  async get(key: string, options?: GetOptions): Promise<Uint8Array> {
    return (await this.#opened()).get(key, options);
  }

  async head(key: string, options?: { readonly signal?: AbortSignal }): Promise<ObjectFacts | undefined> {
    return (await this.#opened()).head(key, options);
  }

  async *list(prefix: string, options?: { readonly after?: string; readonly signal?: AbortSignal }): AsyncIterable<ObjectFacts> {
    yield* (await this.#opened()).list(prefix, options);
  }

  async delete(key: string, options?: { readonly signal?: AbortSignal }): Promise<void> {
    return (await this.#opened()).delete(key, options);
  }

  async close(): Promise<void> {
    const opening = this.#opening;
    if (opening !== undefined) await opening.catch(() => undefined);
    await this.#store?.close();
  }

  #opened(): Promise<ObjectStore> {
    this.#opening ??= this.#open().then(
      (store) => {
        this.#store = store;
        return store;
      },
      (error: unknown) => {
        this.#opening = undefined;
        throw error;
      },
    );
    return this.#opening;
  }
}
