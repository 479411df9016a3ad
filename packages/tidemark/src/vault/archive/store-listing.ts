/**
 * Keeps the catalogue's word about one store and the store itself together: the store's listing is compared with the
 * catalogue, by which a catalogue is also made anew from nothing but the objects' headers, and partial objects that were
 * replaced are removed.
 */
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { ObjectFacts, ObjectStore } from "../../object-stores/object-store.ts";
import { readSealedStart, SEALED_START_BYTES } from "../sealing/sealed-frame.ts";
import type { SealedFacts, SealedHeader } from "../sealing/sealed-header.ts";
import type { ArchiveKey, KeySpace } from "./archive-key.ts";
import type { ArchiveBook } from "./archive-book.ts";
import type { ArchiveWorld } from "./archive-options.ts";
import type { ArchivedKind, ArchivedObject } from "./catalogue.ts";
import type { SegmentPlace } from "./local-wal.ts";
import type { ObjectSealer } from "./object-sealer.ts";
import { isDamagedObject, isUnopened, objectDigest } from "./object-writer.ts";
import { storeCall } from "./store-call.ts";
import type { SystemIdentifier } from "@tidemark/kernel/brands";

/** Headers read at a time while a store is listed. */
const HEADERS_AT_ONCE = 8;
/** Larger histories are none: a line for each failover. */
const MOST_HISTORY_BYTES = 4 * 1_048_576;

export interface ListingParts {
  readonly name: string;
  readonly systemIdentifier: SystemIdentifier;
  readonly store: ObjectStore;
  readonly keys: KeySpace;
  readonly book: ArchiveBook;
  readonly sealer: ObjectSealer;
  readonly world: ArchiveWorld;
}

export class StoreListing {
  readonly #parts: ListingParts;

  constructor(parts: ListingParts) {
    this.#parts = parts;
  }

  /**
   * Goes through the store's objects and the catalogue's side by side, both in the order of their keys. Unknown objects are
   * taken in by their headers; known ones that are gone are faults, and are stored again while their WAL is here.
   */
  async compare(signal: AbortSignal): Promise<void> {
    const { name, book, keys, store, world } = this.#parts;
    const since = book.catalogue.nextTurn();
    const known = book.catalogue.objectsOf(name);
    let row = known.next();
    let unknown: ObjectFacts[] = [];
    const listing = store.list(keys.root, { signal });
    for await (const there of bounded(listing, world, signal, name)) {
      while (row.done !== true && row.value.key < there.key) {
        await this.#absent(row.value, since, signal);
        row = known.next();
      }
      if (row.done !== true && row.value.key === there.key) {
        if (row.value.objectBytes !== there.bytes) this.#otherSize(row.value, there);
        row = known.next();
        continue;
      }
      unknown.push(there);
      if (unknown.length === HEADERS_AT_ONCE) {
        await this.#takeIn(unknown, signal);
        unknown = [];
      }
    }
    await this.#takeIn(unknown, signal);
    for (; row.done !== true; row = known.next()) await this.#absent(row.value, since, signal);
    if (!book.catalogue.storeKnown(name)) book.catalogue.setStoreKnown(name, true);
    world.step("listed");
    for (const partial of book.catalogue.partials(name)) await this.expire(partial, signal);
    // The other bytes of a conflict were taken away: ours may have the name.
    for (const object of book.catalogue.conflicts(name)) {
      const taken = keys.evidenceOf(object.key);
      if ((await this.#call(`look for ${taken}`, signal, (own) => store.head(taken, { signal: own }))) === undefined) book.gone(object);
    }
  }

  /**
   * Removes the partial objects of a segment that something longer replaced, if that was read again and compared. One that
   * is locked stays until a later listing.
   */
  async expire(place: SegmentPlace, signal: AbortSignal): Promise<void> {
    const { name, book, store, world } = this.#parts;
    const objects = book.catalogue.objectsAt(name, place);
    const longest = objects.find(({ kind, checkTurn }) => checkTurn > 0 && (kind === "segment" || kind === "partial"));
    for (const object of objects) {
      if (object.kind !== "partial" || longest === undefined || object.end >= longest.end) continue;
      try {
        await this.#call(`delete ${object.key}`, signal, (own) => store.delete(object.key, { signal: own }));
      } catch (error) {
        if (hasCode(error, "TM-OBJECT-LOCKED")) continue;
        throw error;
      }
      world.step("expired");
      book.gone(object);
      // What was wrong with it is over with it: it lacked a key, say, and WAL that opens has replaced it.
      book.repaired(name, object.key);
    }
  }

  /** The object was archived and is not there: a fault, unless it was about to go. */
  missing(object: ArchivedObject): void {
    const { name, book } = this.#parts;
    const longer = book.catalogue
      .objectsAt(name, object)
      .some((other) => other.key !== object.key && other.kind !== "conflict" && other.end >= object.end);
    if (object.kind === "conflict" || (object.kind === "partial" && longer)) {
      book.gone(object);
      book.repaired(name, object.key);
      return;
    }
    const message = `${object.key} was archived in ${name} and is not there any more`;
    book.gone(object, { where: name, subject: object.key, code: "TM-VAULT-ARCHIVE-MISSING", message, ...rangeOf(object) });
  }

  async #absent(object: ArchivedObject, since: number, signal: AbortSignal): Promise<void> {
    // Put or changed while the store was listed: the listing says nothing of it.
    const now = this.#parts.book.catalogue.object(this.#parts.name, object.key);
    if (now === undefined || now.checkTurn > since) return;
    const there = await this.#call(`look for ${object.key}`, signal, (own) => this.#parts.store.head(object.key, { signal: own }));
    if (there === undefined) this.missing(object);
  }

  /** Its turn to be read whole comes at once: what it is now is told there. */
  #otherSize(object: ArchivedObject, there: ObjectFacts): void {
    const { book, world, name } = this.#parts;
    world.logger.warn(
      { store: name, key: object.key, bytes: there.bytes, expected: object.objectBytes },
      "an archived object has another size",
    );
    if (object.checkTurn > 0) book.archived({ ...object, checkTurn: 0 });
  }

  async #takeIn(objects: readonly ObjectFacts[], signal: AbortSignal): Promise<void> {
    await Promise.all(
      objects.map(async (facts) => {
        const key = this.#parts.keys.parse(facts.key);
        // Evidence, and what others put here, is not the catalogue's.
        if (key === undefined || key.kind === "evidence") return;
        // Stored by ourselves while the store was listed.
        if (this.#parts.book.catalogue.object(this.#parts.name, facts.key) !== undefined) return;
        try {
          await this.#takeOne(key, facts, signal);
        } catch (error) {
          this.#refuse(key, facts, error);
        }
      }),
    );
  }

  async #takeOne(key: Exclude<ArchiveKey, { kind: "evidence" }>, facts: ObjectFacts, signal: AbortSignal): Promise<void> {
    const { book, store, name } = this.#parts;
    // What failed its check is taken in again only when all of it is right: somebody may have put a whole copy back.
    const doubtful = book.catalogue.fault(name, facts.key, "TM-VAULT-ARCHIVE-DAMAGED") !== undefined;
    if (key.kind !== "history" && doubtful) {
      const maxBytes = 2 * Number(key.end - key.start) + MOST_HISTORY_BYTES;
      const bytes = await this.#call(`get ${facts.key}`, signal, (own) => store.get(facts.key, { signal: own, maxBytes }));
      const opened = await this.#parts.sealer.open(bytes, signal);
      this.#checkLabel(key, opened.header.facts);
      return this.#take(this.#row(key, facts, opened.header, objectDigest(bytes)));
    }
    if (key.kind === "history") {
      const bytes = await this.#call(`get ${facts.key}`, signal, (own) =>
        store.get(facts.key, { signal: own, maxBytes: MOST_HISTORY_BYTES }),
      );
      const opened = await this.#parts.sealer.open(bytes, signal);
      this.#checkLabel(key, opened.header.facts);
      const content = Buffer.from(opened.raw).toString("utf8");
      if (!book.histories.has(key.timeline)) book.history(key.timeline, content);
      return this.#take(this.#row(key, facts, opened.header, objectDigest(bytes)));
    }
    const range = { start: 0, end: SEALED_START_BYTES };
    const start = await this.#call(`get ${facts.key}`, signal, (own) => store.get(facts.key, { range, signal: own }));
    const { header, objectBytes } = readSealedStart(start);
    this.#checkLabel(key, header.facts);
    if (objectBytes !== facts.bytes)
      throw new TidemarkError("TM-SEAL-TRUNCATED", `${facts.key} has ${facts.bytes} bytes, its header says ${objectBytes}`);
    if (key.kind === "segment" && !this.#mayBeOurs(key, header.rawSha256)) return;
    this.#take(this.#row(key, facts, header, undefined));
  }

  /**
   * Other bytes than those here: either these are damaged since the catalogue was lost, or the name was taken by other WAL
   * (trap 10). The keeper judges the segment here anew; what was judged a conflict already stays one.
   */
  #mayBeOurs(place: SegmentPlace, rawSha256: string): boolean {
    const { book, name, keys } = this.#parts;
    const here = book.catalogue.segment(place);
    if (here?.sha256 === undefined || here.sha256 === rawSha256) return true;
    if (book.catalogue.fault(name, keys.segment(place), "TM-VAULT-OTHER-BYTES") !== undefined) return false;
    book.catalogue.putSegment({ ...here, sha256: undefined });
    return true;
  }

  /** Unless it was archived meanwhile by ourselves, which says more. */
  #take(object: ArchivedObject): void {
    const { book, name } = this.#parts;
    if (book.catalogue.object(name, object.key) === undefined) book.archived(object);
  }

  /** An object belongs under its key only: one that was renamed or copied there is not what the key says. */
  #checkLabel(key: Exclude<ArchiveKey, { kind: "evidence" }>, facts: SealedFacts): void {
    const kinds = { segment: "wal", partial: "wal-partial", history: "timeline-history" } as const;
    const right =
      facts.kind === kinds[key.kind] &&
      facts.systemIdentifier === this.#parts.systemIdentifier &&
      facts.timeline === key.timeline &&
      (key.kind === "history" || (facts.range?.start === key.start && facts.range.end === key.end));
    if (!right)
      throw new TidemarkError("TM-SEAL-HEADER", `the object says that it is another one: ${facts.kind} of timeline ${facts.timeline}`);
  }

  #row(
    key: Exclude<ArchiveKey, { kind: "evidence" }>,
    facts: ObjectFacts,
    header: SealedHeader,
    digest: string | undefined,
  ): ArchivedObject {
    const { name, book } = this.#parts;
    const range = key.kind === "history" ? { start: 0n as Lsn, end: 0n as Lsn } : { start: key.start, end: key.end };
    return {
      store: name,
      key: facts.key,
      kind: key.kind satisfies ArchivedKind,
      timeline: key.timeline,
      ...range,
      rawBytes: header.rawBytes,
      rawSha256: header.rawSha256,
      objectBytes: facts.bytes,
      objectSha256: digest,
      commitMs: header.facts.commits?.last?.timeMs,
      archivedMs: facts.modifiedAtMs,
      checkTurn: digest === undefined ? 0 : book.catalogue.nextTurn(),
    };
  }

  /** One object that cannot be read must not hide the others; a store that fails must not look like an empty one. */
  #refuse(key: Exclude<ArchiveKey, { kind: "evidence" }>, facts: ObjectFacts, error: unknown): void {
    const { name, book } = this.#parts;
    if (hasCode(error, "TM-OBJECT-MISSING")) return;
    if (!(error instanceof TidemarkError) || !(isDamagedObject(error) || isUnopened(error))) throw error;
    const code = isDamagedObject(error) ? "TM-VAULT-ARCHIVE-DAMAGED" : error.code;
    const message = `${facts.key} in ${name} cannot be read: ${error.message}`;
    book.fault({ where: name, subject: facts.key, code, message, ...(key.kind === "history" ? {} : rangeOf(key)) });
  }

  #call<T>(what: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, limits } = this.#parts.world;
    return storeCall({ clock, timeoutMs: limits.callTimeoutMs, signal, what: `${what} in ${this.#parts.name}` }, work);
  }
}

function rangeOf(at: {
  timeline: Timeline;
  start: Lsn;
  end: Lsn;
}): { range: { timeline: Timeline; start: Lsn; end: Lsn } } | Record<string, never> {
  return at.start === at.end ? {} : { range: { timeline: at.timeline, start: at.start, end: at.end } };
}

/** A listing whose every page is bounded in time. */
async function* bounded(
  listing: AsyncIterable<ObjectFacts>,
  world: ArchiveWorld,
  signal: AbortSignal,
  name: string,
): AsyncGenerator<ObjectFacts> {
  const iterator = listing[Symbol.asyncIterator]();
  const bounds = { clock: world.clock, timeoutMs: world.limits.callTimeoutMs, signal, what: `list ${name}` };
  for (;;) {
    const next = await storeCall(bounds, () => iterator.next());
    if (next.done === true) return;
    yield next.value;
  }
}
