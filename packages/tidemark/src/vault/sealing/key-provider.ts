import type { Redacted } from "@tidemark/kernel/redacted";

/**
 * The port to what keeps the keys. Each object is encrypted with a data key of its own; the provider makes data keys and
 * wraps them, and a wrapped one stands in the object's header. Adapters: a key of 32 bytes from a file or the environment,
 * and AWS KMS.
 */
export interface KeyProvider {
  /** Stands in the headers of what it sealed; tells one key from another for good. At most 2,048 characters, no secret. */
  readonly keyId: string;
  /**
   * A new data key, plain and wrapped. Both belong to `context`: they unwrap with the same one only. Each call another.
   * Rejects with TM-SEAL-KMS-AWAY (try again) or TM-SEAL-KMS-DENIED.
   */
  newDataKey(context: KeyContext, signal?: AbortSignal): Promise<DataKey>;
  /**
   * The data key of {@link KeyProvider.newDataKey}. Rejects with TM-SEAL-KEY-WRONG when this is not its key or its context,
   * or as newDataKey does.
   */
  unwrap(wrapped: Uint8Array, context: KeyContext, signal?: AbortSignal): Promise<Redacted<Uint8Array>>;
  close(): void;
}

/** What a data key belongs to, in the clear: KMS calls it the encryption context, and writes it to its log. */
export type KeyContext = Readonly<Record<string, string>>;

export interface DataKey {
  /** 32 bytes. Whoever asked for it overwrites it after use. */
  readonly plain: Redacted<Uint8Array>;
  /** At most {@link MAX_WRAPPED_KEY_BYTES}. */
  readonly wrapped: Uint8Array;
}

/** A key of AES-256. */
export const KEY_BYTES = 32;

/** The longest wrapped key; KMS's are shorter than 200 bytes. */
export const MAX_WRAPPED_KEY_BYTES = 2_048;
