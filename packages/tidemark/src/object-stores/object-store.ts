/**
 * The object store's port: whole objects under keys, where archives and later backups live. Adapters: a folder, and S3 and
 * what speaks it. One contract suite runs on all (contract/). Keys are `/`-separated, of A-Z a-z 0-9 . _ - and `/`, at most
 * 512 long, without empty, `.` or `..` parts.
 */
export interface ObjectStore {
  /** For messages and figures: such as `folder /srv/archive` or `s3://bucket/prefix`. Never holds a secret. */
  readonly name: string;
  /** What this store can do; asked for without it, `put` rejects with TM-OBJECT-UNSUPPORTED instead of pretending. */
  readonly abilities: ObjectStoreAbilities;
  /**
   * Stores a whole object, durable when it resolves. `ifAbsent`: rejects with TM-OBJECT-EXISTS when the key is taken, also
   * against a concurrent writer where `abilities.conditional`. Rejects with TM-OBJECT-STORE-AWAY (retry later, outcome
   * unknown), TM-OBJECT-STORE-FULL, TM-OBJECT-STORE-DENIED.
   */
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<ObjectFacts>;
  /**
   * Reads an object, or a range of it, from the store itself: not from a cache that this process or its page cache filled.
   * Rejects with TM-OBJECT-MISSING, or TM-OBJECT-STORE-AWAY.
   */
  get(key: string, options?: { readonly range?: { readonly start: number; readonly end: number }; readonly signal?: AbortSignal }): Promise<Uint8Array>;
  /** Undefined when there is none. */
  head(key: string): Promise<ObjectFacts | undefined>;
  /** Objects whose key begins with `prefix`, in the order of their keys' bytes, page by page. */
  list(prefix: string, options?: { readonly after?: string; readonly signal?: AbortSignal }): AsyncIterable<ObjectFacts>;
  /** Resolves also when there was none. Rejects with TM-OBJECT-LOCKED while a lock holds it. */
  delete(key: string): Promise<void>;
  close(): Promise<void>;
}

export interface ObjectStoreAbilities {
  /** `ifAbsent` holds against concurrent writers. */
  readonly conditional: boolean;
  /** Objects can be kept from deletion until a time. */
  readonly lock: boolean;
}

export interface PutOptions {
  readonly ifAbsent?: boolean;
  /** Wall time in milliseconds until which nobody may delete it. */
  readonly lockedUntilMs?: number;
  readonly signal?: AbortSignal;
}

export interface ObjectFacts {
  readonly key: string;
  readonly bytes: number;
  /** Wall time by the store's clock, milliseconds. */
  readonly modifiedAtMs: number;
}
