/**
 * Gives back what is archived, for recoveries. PostgreSQL takes "not there" for the end of the WAL and opens the database
 * (trap 33), so "missing" is said only when every store is known and none has anything at or after the place; a shorter
 * copy is never given while a longer one is known to be somewhere.
 */
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseHistoryName, parseSegmentName, segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { ObjectStore } from "../../object-stores/object-store.ts";
import type { ArchivedFile } from "./archive.ts";
import type { KeySpace } from "./archive-key.ts";
import type { ArchiveBook } from "./archive-book.ts";
import type { ArchiveWorld } from "./archive-options.ts";
import type { ArchivedObject } from "./catalogue.ts";
import type { SegmentPlace } from "./local-wal.ts";
import type { ObjectSealer } from "./object-sealer.ts";
import { isDamagedObject } from "./object-writer.ts";
import { storeCall } from "./store-call.ts";
import type { LsnRange } from "./wal-range.ts";

export interface ReadableStore {
  readonly name: string;
  readonly store: ObjectStore;
  readonly keys: KeySpace;
  /** Why it cannot be listed at the moment, where it cannot. */
  readonly trouble: () => { readonly code: string; readonly message: string } | undefined;
}

export interface ArchiveReaderParts {
  readonly stores: readonly ReadableStore[];
  readonly book: ArchiveBook;
  readonly sealer: ObjectSealer;
  readonly world: ArchiveWorld;
}

export class ArchiveReader {
  readonly #parts: ArchiveReaderParts;

  constructor(parts: ArchiveReaderParts) {
    this.#parts = parts;
  }

  /** As `Archive.fetch`. */
  async fetch(name: string, signal: AbortSignal): Promise<ArchivedFile> {
    const timeline = parseHistoryName(name);
    if (timeline !== undefined) return this.#history(timeline, signal);
    const place = parseSegmentName(name, this.#parts.book.segmentBytes);
    if (place === undefined)
      throw new TidemarkError("TM-VAULT-WAL-NAME", `"${name.slice(0, 80)}" is not the name of a segment or a history file`);
    return this.#segment(place, signal);
  }

  /** A whole segment from the first store that gives it; undefined when none has it. Rejects as `fetch`. */
  async whole(place: SegmentPlace, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const objects = this.#objectsAt(place).filter(({ kind }) => kind === "segment");
    return objects.length === 0 ? undefined : (await this.#firstGood(objects, signal)).bytes;
  }

  async #history(timeline: Timeline, signal: AbortSignal): Promise<ArchivedFile> {
    const { book, stores } = this.#parts;
    const objects = stores.flatMap(({ name, keys }) => book.catalogue.object(name, keys.history(timeline)) ?? []);
    if (objects.length > 0) return { kind: "file", partial: false, ...(await this.#firstGood(objects, signal)) };
    this.#refuseUnknown();
    return { kind: "missing" };
  }

  async #segment(place: SegmentPlace, signal: AbortSignal): Promise<ArchivedFile> {
    const fork = this.#parts.book.forkOf(place.timeline);
    if (fork !== undefined && place.start >= fork) return { kind: "diverged", fork };
    const gap = this.#parts.book.gapsIn({ ...place, end: (place.start + BigInt(this.#parts.book.segmentBytes)) as Lsn })[0];
    if (gap !== undefined) return { kind: "hole", range: { timeline: gap.timeline, start: gap.start, end: gap.end } };
    const objects = this.#objectsAt(place);
    const end = objects.reduce<Lsn>((most, object) => (object.end > most ? object.end : most), place.start);
    const whole = end === place.start + BigInt(this.#parts.book.segmentBytes);
    // A store that is not known yet may have more of it.
    if (!whole) this.#refuseUnknown();
    if (objects.length === 0) return this.#absent(place, fork);
    const good = await this.#firstGood(
      objects.filter((object) => object.end === end),
      signal,
    );
    if (fork === undefined || end <= fork) return { kind: "file", ...good, end, partial: !whole };
    // What lies beyond the fork is diverged, also within a segment.
    return { kind: "file", store: good.store, bytes: good.bytes.subarray(0, Number(fork - place.start)), end: fork, partial: true };
  }

  #objectsAt(place: SegmentPlace): ArchivedObject[] {
    const { stores, book } = this.#parts;
    return stores.flatMap(({ name }) =>
      book.catalogue.objectsAt(name, place).filter(({ kind }) => kind === "segment" || kind === "partial"),
    );
  }

  #absent(place: SegmentPlace, fork: Lsn | undefined): ArchivedFile {
    const { book } = this.#parts;
    const end = (place.start + BigInt(book.segmentBytes)) as Lsn;
    const ranges = this.#rangesOf(place.timeline);
    const later = ranges.filter((range) => range.start >= end).map((range) => range.start);
    // The next timeline's first segment has what this one should have had of the segment that holds the fork.
    const needed = fork !== undefined && place.start < segmentStart(fork, book.segmentBytes) && this.#hasDescendant(place.timeline);
    if (needed) later.push(segmentStart(fork, book.segmentBytes));
    if (later.length === 0) return { kind: "missing" };
    const earlier = ranges.filter((range) => range.end <= place.start).map((range) => range.end);
    const start = earlier.reduce<Lsn | undefined>((most, at) => (most === undefined || at > most ? at : most), undefined) ?? place.start;
    const until = later.reduce((least, at) => (at < least ? at : least));
    return { kind: "hole", range: { timeline: place.timeline, start, end: until } };
  }

  #rangesOf(timeline: Timeline): LsnRange[] {
    const { stores, book } = this.#parts;
    return stores.flatMap(({ name }) => [...(book.coverage(name, "listed").covered.get(timeline) ?? [])]);
  }

  #hasDescendant(timeline: Timeline): boolean {
    const { book } = this.#parts;
    return [...book.histories].some(
      ([other, history]) => history.some((step) => step.timeline === timeline) && this.#rangesOf(other).length > 0,
    );
  }

  async #firstGood(objects: readonly ArchivedObject[], signal: AbortSignal): Promise<{ bytes: Uint8Array; store: string }> {
    const failures: unknown[] = [];
    for (const object of objects) {
      try {
        return { bytes: await this.#read(object, signal), store: object.store };
      } catch (error) {
        signal.throwIfAborted();
        this.#parts.world.logger.warn({ err: error, key: object.key, store: object.store }, "an archived object could not be read");
        failures.push(error);
      }
    }
    // A store that is away may still give it: that is worth trying again, a damaged object is not.
    const away = failures.find((error) => !isDamagedObject(error) && !hasCode(error, "TM-OBJECT-MISSING"));
    if (away !== undefined) throw away;
    const [first] = failures;
    const message = `${objects[0]?.key ?? "an object"} cannot be read in any store: ${first instanceof Error ? first.message : String(first)}`;
    throw new TidemarkError(hasCode(first, "TM-OBJECT-MISSING") ? "TM-VAULT-ARCHIVE-MISSING" : "TM-VAULT-ARCHIVE-DAMAGED", message, {
      cause: first,
    });
  }

  async #read(object: ArchivedObject, signal: AbortSignal): Promise<Uint8Array> {
    const { stores, sealer, world } = this.#parts;
    const from = stores.find(({ name }) => name === object.store);
    if (from === undefined) throw new TidemarkError("TM-OBJECT-STORE-AWAY", `${object.store} is not among the stores of this archive`);
    const bounds = { clock: world.clock, timeoutMs: world.limits.callTimeoutMs, signal, what: `get ${object.key} in ${object.store}` };
    const bytes = await storeCall(bounds, (own) => from.store.get(object.key, { maxBytes: object.objectBytes, signal: own }));
    const opened = await sealer.open(bytes, signal);
    const { facts, rawSha256 } = opened.header;
    const expected = object.kind === "history" || (facts.range?.start === object.start && facts.range.end === object.end);
    if (!expected || facts.timeline !== object.timeline || rawSha256 !== object.rawSha256)
      throw new TidemarkError("TM-SEAL-FORGED", `${object.key} in ${object.store} encloses something else than the catalogue says`);
    return opened.raw;
  }

  #refuseUnknown(): void {
    const { stores, book } = this.#parts;
    const unknown = stores.find(({ name }) => !book.catalogue.storeKnown(name));
    if (unknown === undefined) return;
    const trouble = unknown.trouble();
    const why = trouble === undefined ? "" : `: ${trouble.code}, ${trouble.message}`;
    throw new TidemarkError("TM-VAULT-CATALOGUE-REBUILDING", `what ${unknown.name} has is not known yet${why}`);
  }
}
