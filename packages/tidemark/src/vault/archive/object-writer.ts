/**
 * Puts one sealed object into one store so that it may be called archived (trap 14): put under its key if that is free, read
 * again from the store, compared byte for byte. A key that is taken is never overwritten (trap 10): the same WAL under it is
 * taken as it is, other WAL stays and ours goes beside it, and bytes that are provably nothing any more are copied aside
 * before the key gets whole ones.
 */
import { createHash } from "node:crypto";
import type { Clock } from "@tidemark/kernel/clock";
import { discard } from "@tidemark/kernel/discard";
import { hasCode, TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import type { ObjectStore } from "../../object-stores/object-store.ts";
import type { SealedFacts } from "../sealing/sealed-header.ts";
import type { KeySpace } from "./archive-key.ts";
import type { ArchiveBook } from "./archive-book.ts";
import type { ArchiveStep } from "./archive-options.ts";
import type { ArchivedKind, ArchivedObject } from "./catalogue.ts";
import type { ObjectSealer, SealedObject } from "./object-sealer.ts";
import { storeCall } from "./store-call.ts";
import type { WalRange } from "./wal-range.ts";

/** Room that a sealed object needs beyond what is expected, before `get` refuses it, in bytes. */
const SLACK_BYTES = 1_048_576;

/** These say that the bytes under a key are no sealed object any more, whatever keys there are. */
const DAMAGES: readonly ErrorCode[] = [
  "TM-SEAL-NOT-SEALED",
  "TM-SEAL-TRUNCATED",
  "TM-SEAL-TOO-LONG",
  "TM-SEAL-DAMAGED",
  "TM-SEAL-HEADER",
  "TM-SEAL-FORGED",
  "TM-OBJECT-TOO-LARGE",
];

/** These say that an object is there whose WAL cannot be compared with ours, and will not be. */
const STRANGERS: readonly ErrorCode[] = ["TM-SEAL-VERSION", "TM-SEAL-UNENCRYPTED"];

export function isDamagedObject(error: unknown): boolean {
  return DAMAGES.some((code) => hasCode(error, code));
}

/** These say that this object does not open with the keys that there are; its bytes may be right. */
const UNOPENED: readonly ErrorCode[] = ["TM-SEAL-KEY-MISSING", "TM-SEAL-KEY-WRONG", "TM-SEAL-UNENCRYPTED", "TM-SEAL-VERSION"];

export function isUnopened(error: unknown): boolean {
  return UNOPENED.some((code) => hasCode(error, code));
}

export interface WriterParts {
  readonly name: string;
  readonly store: ObjectStore;
  readonly keys: KeySpace;
  readonly book: ArchiveBook;
  readonly sealer: ObjectSealer;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly step: (step: ArchiveStep) => void;
}

export interface KeepOrder {
  readonly kind: ArchivedKind;
  readonly key: string;
  readonly range: WalRange;
  readonly sealed: SealedObject;
  readonly lock: boolean;
}

/** What is in the store and still has to be read again; or what was found there and was read already. */
export type Stored = { readonly order: KeepOrder; readonly found?: ArchivedObject };

export class ObjectWriter {
  readonly #parts: WriterParts;
  /** Keys that this process put and has not seen whole yet: what is there is ours, whatever its bytes. */
  readonly #ours = new Set<string>();

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /** Rejects with TM-OBJECT-* and TM-SEAL-KEY-*, TM-SEAL-KMS-* when what is there cannot be judged. */
  async store(order: KeepOrder, signal: AbortSignal): Promise<Stored> {
    this.#parts.step("put");
    const fresh = !this.#ours.has(order.key);
    try {
      await this.#put(order, fresh, signal);
    } catch (error) {
      if (!hasCode(error, "TM-OBJECT-EXISTS")) throw error;
      return this.#taken(order, signal);
    }
    this.#ours.add(order.key);
    this.#parts.step("stored");
    return { order };
  }

  /** Reads it again and compares. Rejects with TM-VAULT-ARCHIVE-NOT-KEPT, having noted the fault, or with TM-OBJECT-*. */
  async verify(stored: Stored, signal: AbortSignal): Promise<ArchivedObject> {
    if (stored.found !== undefined) return stored.found;
    const { order } = stored;
    const { bytes } = order.sealed;
    let what = "other bytes";
    try {
      const read = await this.#get(order.key, bytes.length, signal);
      this.#parts.step("read");
      const same = Buffer.compare(read, bytes) === 0;
      const length = read.length;
      discard(read);
      if (same) {
        this.#ours.delete(order.key);
        return this.objectOf(order, bytes);
      }
      what = `${length} other bytes`;
    } catch (error) {
      if (hasCode(error, "TM-OBJECT-MISSING")) what = "nothing";
      else if (!hasCode(error, "TM-OBJECT-TOO-LARGE")) throw error;
    }
    const message = `${this.#parts.name} accepted ${order.key} (${bytes.length} bytes) and gave ${what} back`;
    this.#parts.book.fault({ where: this.#parts.name, subject: order.key, code: "TM-VAULT-ARCHIVE-NOT-KEPT", message, range: order.range });
    throw new TidemarkError("TM-VAULT-ARCHIVE-NOT-KEPT", message);
  }

  /** The catalogue's row for an object that was read whole and found right. */
  objectOf(order: KeepOrder, bytes: Uint8Array): ArchivedObject {
    const { header } = order.sealed;
    return {
      store: this.#parts.name,
      key: order.key,
      kind: order.kind,
      timeline: order.range.timeline,
      start: order.range.start,
      end: order.range.end,
      rawBytes: header.rawBytes,
      rawSha256: header.rawSha256,
      objectBytes: bytes.length,
      objectSha256: objectDigest(bytes),
      commitMs: header.facts.commits?.last?.timeMs,
      archivedMs: this.#parts.clock.wallMs(),
      checkTurn: this.#parts.book.catalogue.nextTurn(),
    };
  }

  /** Keeps bytes that failed their check beside their key, so that nothing is lost by repairing it. */
  async keepDamaged(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { keys } = this.#parts;
    const aside = keys.evidence(key, "damaged", createHash("sha256").update(bytes).digest("hex"));
    await this.#call(`keep ${aside}`, signal, (own) => this.#parts.store.put(aside, bytes, { signal: own }));
  }

  async #put(order: KeepOrder, ifAbsent: boolean, signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#parts;
    const lockedUntilMs = order.lock && store.lockForMs !== undefined ? clock.wallMs() + store.lockForMs : undefined;
    const options = { ifAbsent, ...(lockedUntilMs === undefined ? {} : { lockedUntilMs }) };
    await this.#call(`put ${order.key}`, signal, (own) => store.put(order.key, order.sealed.bytes, { ...options, signal: own }));
  }

  async #taken(order: KeepOrder, signal: AbortSignal): Promise<Stored> {
    let there: Uint8Array;
    try {
      there = await this.#get(order.key, Math.max(order.sealed.bytes.length, order.sealed.header.rawBytes), signal);
      if (Buffer.compare(there, order.sealed.bytes) === 0) return { order, found: this.objectOf(order, there) };
      const opened = await this.#parts.sealer.open(there, signal);
      if (opened.header.rawSha256 === order.sealed.header.rawSha256 && sameFacts(opened.header.facts, order.sealed.header.facts)) {
        return { order, found: this.objectOf({ ...order, sealed: { bytes: there, header: opened.header } }, there) };
      }
    } catch (error) {
      // Gone again: the next attempt finds the key free.
      if (hasCode(error, "TM-OBJECT-MISSING"))
        throw new TidemarkError("TM-OBJECT-STORE-AWAY", `${order.key} was there and is not`, { cause: error });
      const larger = hasCode(error, "TM-OBJECT-TOO-LARGE");
      if (!larger && isDamagedObject(error)) return this.#replaceDamaged(order, error, signal);
      if (!larger && !STRANGERS.some((code) => hasCode(error, code))) throw error;
    }
    return this.#besides(order, signal);
  }

  /** What lies under the key is nothing that can be read by anybody: it goes aside, and the key gets whole bytes. */
  async #replaceDamaged(order: KeepOrder, damage: unknown, signal: AbortSignal): Promise<Stored> {
    const { name, book } = this.#parts;
    const message = `what lies under ${order.key} in ${name} is damaged: ${damage instanceof Error ? damage.message : String(damage)}`;
    book.fault({ where: name, subject: order.key, code: "TM-VAULT-ARCHIVE-DAMAGED", message, range: order.range });
    // The damage may have been on the way; two readings that fail are enough to act on, and nothing is thrown away.
    const again = await this.#call(`get ${order.key}`, signal, (own) =>
      this.#parts.store.get(order.key, { maxBytes: order.sealed.header.rawBytes + SLACK_BYTES, signal: own }),
    );
    await this.keepDamaged(order.key, again, signal);
    await this.#put(order, false, signal);
    this.#ours.add(order.key);
    return { order };
  }

  /** Trap 10: the name is taken by other bytes. Both are kept; which are right is for people to find out. */
  async #besides(order: KeepOrder, signal: AbortSignal): Promise<Stored> {
    const { name, book, keys } = this.#parts;
    const key = keys.evidence(order.key, "conflict", order.sealed.header.rawSha256);
    const message = `${name} has other bytes under ${order.key} than this vault received; ours are beside them, under ${key}`;
    book.fault({ where: name, subject: order.key, code: "TM-VAULT-OTHER-BYTES", message, range: order.range });
    const beside: KeepOrder = { ...order, kind: "conflict", key };
    try {
      await this.#put(beside, true, signal);
    } catch (error) {
      if (!hasCode(error, "TM-OBJECT-EXISTS")) throw error;
      const there = await this.#get(key, order.sealed.header.rawBytes, signal);
      const opened = await this.#parts.sealer.open(there, signal);
      if (opened.header.rawSha256 !== order.sealed.header.rawSha256) throw error;
      return { order: beside, found: this.objectOf({ ...beside, sealed: { bytes: there, header: opened.header } }, there) };
    }
    this.#ours.add(key);
    return { order: beside };
  }

  #get(key: string, expected: number, signal: AbortSignal): Promise<Uint8Array> {
    const maxBytes = expected + SLACK_BYTES;
    return this.#call(`get ${key}`, signal, (own) => this.#parts.store.get(key, { maxBytes, signal: own }));
  }

  #call<T>(what: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, timeoutMs, name } = this.#parts;
    return storeCall({ clock, timeoutMs, signal, what: `${what} in ${name}` }, work);
  }
}

/** A sealed object's identity: the checksum that it ends with, SHA-256 of everything before. */
export function objectDigest(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(-32)).toString("hex");
}

function sameFacts(a: SealedFacts, b: SealedFacts): boolean {
  return (
    a.kind === b.kind &&
    a.systemIdentifier === b.systemIdentifier &&
    a.timeline === b.timeline &&
    a.range?.start === b.range?.start &&
    a.range?.end === b.range?.end
  );
}
