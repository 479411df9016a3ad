// How the archive seals and opens objects: sealed-object.ts behind the few calls that it needs, so that the work can be done
// here or on another thread.
import { open } from "node:fs/promises";
import { discard } from "@tidemark/kernel/discard";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Random } from "@tidemark/kernel/random";
import type { KeyRing } from "../sealing/key-ring.ts";
import { sha256 } from "../sealing/sealed-frame.ts";
import type { SealedFacts, SealedHeader } from "../sealing/sealed-header.ts";
import { sealObject, unsealObject, type SealOptions } from "../sealing/sealed-object.ts";

/** Bytes to seal: the first `bytes` of a file, or bytes that are here. */
export type SealSource = { readonly path: string; readonly bytes: number } | { readonly content: Uint8Array };

export interface SealOrder {
  readonly facts: SealedFacts;
  readonly source: SealSource;
  /** SHA-256 that the source had when it was sealed as a segment; with another one the order is refused (TM-VAULT-DAMAGED). */
  readonly expectSha256?: string;
}

export interface SealedObject {
  readonly bytes: Uint8Array;
  readonly header: SealedHeader;
}

export interface OpenedObject {
  readonly raw: Uint8Array;
  readonly header: SealedHeader;
}

export interface ObjectSealer {
  /**
   * Rejects with TM-VAULT-DAMAGED when the source is not what it was, with TM-VAULT-SEGMENT-MISSING or
   * TM-VAULT-SEGMENT-UNREADABLE, and with TM-SEAL-*.
   */
  seal(order: SealOrder, signal?: AbortSignal): Promise<SealedObject>;
  /** Rejects with TM-SEAL-*. */
  open(bytes: Uint8Array, signal?: AbortSignal): Promise<OpenedObject>;
  close(): Promise<void>;
}

export interface SealerParts {
  readonly keys: KeyRing;
  readonly zstdLevel: number | "none";
  /** Cryptographic. */
  readonly random: Random;
}

/** Seals on the thread that it is called on, apart from what zlib does on its own threads. */
export class DirectSealer implements ObjectSealer {
  readonly #parts: SealerParts;

  constructor(parts: SealerParts) {
    this.#parts = parts;
  }

  async seal(order: SealOrder, signal?: AbortSignal): Promise<SealedObject> {
    const options = { ...this.#parts, ...(signal === undefined ? {} : { signal }) };
    const sealed = await ("content" in order.source
      ? sealObject(order.source.content, order.facts, options)
      : this.#sealFile(order.source, order.facts, options));
    const { rawSha256 } = sealed.header;
    if (order.expectSha256 !== undefined && order.expectSha256 !== rawSha256) {
      const path = "path" in order.source ? order.source.path : "the bytes";
      throw new TidemarkError("TM-VAULT-DAMAGED", `${path} had SHA-256 ${order.expectSha256} when it was sealed and has ${rawSha256} now`);
    }
    return sealed;
  }

  async #sealFile(
    source: { readonly path: string; readonly bytes: number },
    facts: SealedFacts,
    options: SealOptions,
  ): Promise<SealedObject> {
    const raw = await readStart(source);
    try {
      return await sealObject(raw, facts, options);
    } finally {
      discard(raw);
    }
  }

  open(bytes: Uint8Array, signal?: AbortSignal): Promise<OpenedObject> {
    return unsealObject(bytes, { keys: this.#parts.keys, ...(signal === undefined ? {} : { signal }) });
  }

  close(): Promise<void> {
    this.#parts.keys.close();
    return Promise.resolve();
  }
}

/** SHA-256 of the first `bytes` of a file, hexadecimal. Needs no key. Rejects with TM-VAULT-DAMAGED, TM-VAULT-SEGMENT-MISSING or -UNREADABLE. */
export async function fileDigest(source: { readonly path: string; readonly bytes: number }): Promise<string> {
  const bytes = await readStart(source);
  const digest = await sha256(bytes);
  discard(bytes);
  return digest.toString("hex");
}

/** The first `bytes` of a file. Rejects as {@link fileDigest}. */
export async function readStart(source: { readonly path: string; readonly bytes: number }): Promise<Uint8Array> {
  try {
    const file = await open(source.path, "r");
    try {
      const bytes = Buffer.allocUnsafeSlow(source.bytes);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled);
        if (bytesRead === 0) throw new TidemarkError("TM-VAULT-DAMAGED", `${source.path} ends after ${filled} of ${source.bytes} bytes`);
        filled += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new TidemarkError(missing ? "TM-VAULT-SEGMENT-MISSING" : "TM-VAULT-SEGMENT-UNREADABLE", `could not read ${source.path}`, {
      cause,
    });
  }
}
