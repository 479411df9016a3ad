/**
 * The object store's port: whole objects under keys, where archives and later backups live. Adapters: a folder, and S3 and
 * what speaks it. One contract suite runs on all (contract/). Keys are as object-key.ts says.
 *
 * Everything rejects with TM-OBJECT-*; whether to try again is the error's `retry`. An aborted signal rejects with its reason.
 */
export interface ObjectStore {
  /** For messages and figures: such as `folder /srv/archive` or `s3://bucket/prefix`. Never holds a secret. */
  readonly name: string;
  /** What this store can do, probed when it was opened; asked for without it, `put` rejects with TM-OBJECT-UNSUPPORTED instead of pretending. */
  readonly abilities: ObjectStoreAbilities;
  /** How long what has to stay is to be locked, by configuration; the writer turns it into {@link PutOptions.lockedUntilMs}. */
  readonly lockForMs: number | undefined;
  /**
   * Stores a whole object, durable when it resolves; readers see the old object or the new one, never a part. Idempotent
   * but for `ifAbsent`, which rejects with TM-OBJECT-EXISTS when the key is taken, also against a concurrent writer where
   * `abilities.conditional`. The object that is there may then be this one, from an attempt whose answer was lost: read it
   * and compare. Rejects with TM-OBJECT-STORE-AWAY or TM-OBJECT-STORE-FAULT (outcome unknown), TM-OBJECT-STORE-FULL,
   * TM-OBJECT-STORE-DENIED, TM-OBJECT-TOO-LARGE, TM-OBJECT-NO-STORE. `body` must not change until it settles.
   */
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<void>;
  /**
   * Reads an object, or a range of it, from the store itself: not from a cache that this process or its page cache filled
   * (where `abilities.coldReads`). The buffer is the caller's. Rejects with TM-OBJECT-MISSING, with TM-OBJECT-TOO-LARGE when
   * there are more bytes than allowed, or with TM-OBJECT-STORE-*.
   */
  get(key: string, options?: GetOptions): Promise<Uint8Array>;
  /** Undefined when there is none. */
  head(key: string, options?: { readonly signal?: AbortSignal }): Promise<ObjectFacts | undefined>;
  /**
   * Objects whose key begins with `prefix` and is greater than `after`, in the order of their keys' bytes, page by page:
   * what is put or deleted meanwhile may be in it or not, everything else is. What is no object key is passed over.
   */
  list(prefix: string, options?: { readonly after?: string; readonly signal?: AbortSignal }): AsyncIterable<ObjectFacts>;
  /** Resolves also when there was none. Rejects with TM-OBJECT-LOCKED while a lock holds it. */
  delete(key: string, options?: { readonly signal?: AbortSignal }): Promise<void>;
  close(): Promise<void>;
}

export interface ObjectStoreAbilities {
  /** `ifAbsent` holds against concurrent writers. */
  readonly conditional: boolean;
  /** Objects can be kept from deletion until a time. */
  readonly lock: boolean;
  /** What `get` gives comes from the store's medium, past this machine's page cache; false where that could not be had. */
  readonly coldReads: boolean;
}

export interface PutOptions {
  readonly ifAbsent?: boolean;
  /** Wall time in milliseconds until which nobody may delete it. */
  readonly lockedUntilMs?: number;
  readonly signal?: AbortSignal;
}

export interface GetOptions {
  /** Bytes from `start` up to, not including, `end`. What lies beyond the object's end is left out, down to no bytes at all. */
  readonly range?: { readonly start: number; readonly end: number };
  /** More bytes than this are refused before they are held in memory; default {@link MAX_OBJECT_BYTES}. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

export interface ObjectFacts {
  readonly key: string;
  readonly bytes: number;
  /** Wall time by the store's clock, milliseconds. */
  readonly modifiedAtMs: number;
}

/** The largest object that is put or got as a whole, in bytes: the largest WAL segment (1 GiB), and room for its header. */
export const MAX_OBJECT_BYTES = 1_024 * 1_048_576 + 1_048_576;
