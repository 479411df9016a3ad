import type { ObjectSealer, OpenedObject, SealedObject, SealOrder } from "./object-sealer.ts";

/**
 * A sealer whose keys are read when they are first needed, and again while that fails: a vault starts, and goes on receiving,
 * while its key cannot be had. Every call rejects with what opening rejected with (TM-SEAL-KEY-SOURCE, TM-SEAL-KMS-*).
 */
export class LateSealer implements ObjectSealer {
  readonly #open: () => Promise<ObjectSealer>;
  #opening: Promise<ObjectSealer> | undefined;

  constructor(open: () => Promise<ObjectSealer>) {
    this.#open = open;
  }

  async seal(order: SealOrder, signal?: AbortSignal): Promise<SealedObject> {
    return (await this.#opened()).seal(order, signal);
  }

  async open(bytes: Uint8Array, signal?: AbortSignal): Promise<OpenedObject> {
    return (await this.#opened()).open(bytes, signal);
  }

  async close(): Promise<void> {
    // One that could not be opened needs no closing.
    const sealer = await this.#opening?.catch(() => undefined);
    await sealer?.close();
  }

  #opened(): Promise<ObjectSealer> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }
}
