// A store in memory that a test makes fail, lose, change and delay what it is given.
import { TidemarkError } from "@tidemark/kernel/errors";
import type { GetOptions, ObjectFacts, ObjectStore, PutOptions } from "../../../object-stores/object-store.ts";

export type StoreCallName = "put" | "get" | "head" | "list" | "delete";

export class FaultyStore implements ObjectStore {
  readonly name = "memory";
  readonly abilities = { conditional: true, lock: false, coldReads: true };
  readonly lockForMs = undefined;
  readonly objects = new Map<string, Uint8Array>();
  /** What was asked, in order: `put <key>`. */
  readonly asked: string[] = [];
  /** Called before each operation; may throw, or wait. */
  before: (call: StoreCallName, key: string) => void | Promise<void> = () => undefined;
  /** Changes what is kept of a put; undefined: nothing is kept, though it was accepted. */
  keep: (key: string, body: Uint8Array) => Uint8Array | undefined = (_key, body) => body;
  /** Changes what a get gives. */
  give: (key: string, body: Uint8Array) => Uint8Array = (_key, body) => body;
  #turn = 0;

  async put(key: string, body: Uint8Array, options?: PutOptions): Promise<void> {
    await this.#ask("put", key);
    if (options?.ifAbsent === true && this.objects.has(key)) throw new TidemarkError("TM-OBJECT-EXISTS", `${key} is taken`);
    const kept = this.keep(key, body);
    if (kept !== undefined) this.objects.set(key, Uint8Array.from(kept));
  }

  async get(key: string, options?: GetOptions): Promise<Uint8Array> {
    await this.#ask("get", key);
    const kept = this.objects.get(key);
    if (kept === undefined) throw new TidemarkError("TM-OBJECT-MISSING", `there is no ${key}`);
    const body = this.give(key, kept);
    const range = options?.range;
    const part = range === undefined ? body : body.subarray(range.start, range.end);
    if (part.length > (options?.maxBytes ?? Number.MAX_SAFE_INTEGER)) throw new TidemarkError("TM-OBJECT-TOO-LARGE", `${key} is larger`);
    return Uint8Array.from(part);
  }

  async head(key: string): Promise<ObjectFacts | undefined> {
    await this.#ask("head", key);
    const kept = this.objects.get(key);
    return kept === undefined ? undefined : { key, bytes: kept.length, modifiedAtMs: ++this.#turn };
  }

  async *list(prefix: string): AsyncIterable<ObjectFacts> {
    await this.#ask("list", prefix);
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    for (const key of keys) yield { key, bytes: this.objects.get(key)?.length ?? 0, modifiedAtMs: ++this.#turn };
  }

  async delete(key: string): Promise<void> {
    await this.#ask("delete", key);
    this.objects.delete(key);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #ask(call: StoreCallName, key: string): Promise<void> {
    this.asked.push(`${call} ${key}`);
    await this.before(call, key);
  }
}

export function away(): TidemarkError {
  return new TidemarkError("TM-OBJECT-STORE-AWAY", "the store answers 500");
}

/** The bytes with one bit turned over at `at` (counted from the end when negative). */
export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const index = at < 0 ? copy.length + at : at;
  copy[index] = (copy[index] ?? 0) ^ 0x10;
  return copy;
}
