// Puts an archive together and runs it: a keeper of the local segments, and for every store an archiver and a checker, each
// its own loop, so that a store that is slow or away holds up nothing but itself.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { assert, hasCode, TidemarkError } from "@tidemark/kernel/errors";
import { parseHistoryName, parseSegmentName } from "@tidemark/postgres/wal/segment-name";
import type { Archive, ArchivedFile, SealedSegment } from "./archive.ts";
import { ArchiveBook, LOCAL } from "./archive-book.ts";
import { KeySpace } from "./archive-key.ts";
import { ARCHIVE_LIMITS, type ArchiveOptions, type ArchiveWorld } from "./archive-options.ts";
import { ArchiveReader } from "./archive-reader.ts";
import { describeArchive } from "./describe-archive.ts";
import type { ArchiveStatus } from "./archive-status.ts";
import { Archiver } from "./archiver.ts";
import { ByteGate } from "./byte-gate.ts";
import { Catalogue } from "./catalogue.ts";
import { isCatalogueFault, openCatalogueFile } from "./catalogue-file.ts";
import { newestReach } from "./hole-check.ts";
import { LagClock } from "./lag-clock.ts";
import { LocalKeeper } from "./local-keeper.ts";
import { LocalWal } from "./local-wal.ts";
import { ObjectWriter } from "./object-writer.ts";
import { Pause } from "./pause.ts";
import { SealingShelf } from "./sealing-shelf.ts";
import { StoreChecker } from "./store-checker.ts";
import { StoreListing } from "./store-listing.ts";
import type { WalRange } from "./wal-range.ts";

/** The catalogue's file in the vault's folder. */
export const CATALOGUE_FILE = "catalogue.sqlite";

/** How far the WAL is durable is looked at so often, at least. */
const LOOK_EVERY_MS = 1_000;

/** What is made anew together with the catalogue. */
interface Assembly {
  readonly book: ArchiveBook;
  readonly keeper: LocalKeeper;
  readonly archivers: readonly Archiver[];
  readonly checkers: readonly StoreChecker[];
  readonly reader: ArchiveReader;
}

/**
 * Opens the catalogue (a damaged one is put aside and made anew while the archive runs) and looks through the folder.
 * Rejects with TM-VAULT-CATALOGUE-VERSION or TM-VAULT-CATALOGUE-AWAY. The stores may be away.
 */
export async function openArchive(options: ArchiveOptions): Promise<Archive> {
  const archive = new RunningArchive(options);
  await archive.look();
  return archive;
}

class RunningArchive implements Archive {
  readonly name = "archive";
  readonly #options: ArchiveOptions;
  readonly #world: ArchiveWorld;
  readonly #local: LocalWal;
  readonly #lag = new LagClock();
  readonly #closing = new AbortController();
  #parts: Assembly;

  constructor(options: ArchiveOptions) {
    const { clock, logger } = options;
    this.#options = options;
    this.#world = { clock, logger, limits: { ...ARCHIVE_LIMITS, ...options.limits }, step: options.step ?? (() => undefined) };
    this.#local = new LocalWal(options.folder, options.frontier);
    this.#parts = this.#assemble([]);
  }

  look(): Promise<void> {
    return this.#parts.keeper.list();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#runOnce(signal);
      } catch (error) {
        if (!hasCode(error, "TM-VAULT-CATALOGUE-DAMAGED")) throw error;
        this.#world.logger.error({ err: error }, "the catalogue is damaged and is made anew");
        this.#parts.book.catalogue.close();
        this.#parts = this.#assemble(this.#parts.keeper.damage);
        await this.look();
      }
    }
  }

  sealed(segment: SealedSegment): void {
    this.#parts.keeper.sealed(segment);
  }

  changed(): void {
    this.#parts.keeper.changed();
  }

  recordGap(gap: WalRange & { readonly reason: string }): void {
    try {
      this.#parts.book.gap(gap);
    } catch (error) {
      // The vault keeps its gaps and tells them again when the archive is opened; the catalogue's trouble ends `run`.
      if (!isCatalogueFault(error)) throw error;
      this.#world.logger.warn({ err: error }, "a gap could not be written into the catalogue");
    }
  }

  status(): ArchiveStatus {
    const { book, keeper, archivers } = this.#parts;
    const stores = archivers.map((archiver, index) => ({ name: this.#options.stores[index]?.name ?? "", archiver }));
    return describeArchive({ book, keeper, stores, local: this.#local, lag: this.#lag, nowMs: this.#world.clock.monotonicMs() });
  }

  damage(): readonly WalRange[] {
    return this.#parts.keeper.damage;
  }

  fetch(name: string): Promise<ArchivedFile> {
    return this.#parts.reader.fetch(name, this.#closing.signal);
  }

  async isArchived(name: string): Promise<boolean> {
    const { book } = this.#parts;
    const timeline = parseHistoryName(name);
    const place = parseSegmentName(name, book.segmentBytes);
    if (timeline === undefined && place === undefined)
      throw new TidemarkError("TM-VAULT-WAL-NAME", `"${name.slice(0, 80)}" is not archived by name`);
    const keys = this.#keys();
    const has = (store: string): boolean => {
      if (timeline !== undefined) return (book.catalogue.object(store, keys.history(timeline))?.checkTurn ?? 0) > 0;
      return place !== undefined && book.catalogue.hasWhole(store, place);
    };
    const archived = book.stores.length > 0 && book.stores.every(has);
    // It may have come by archive_command a moment ago: then nobody told.
    if (!archived && (place === undefined || book.catalogue.segment(place) === undefined)) this.changed();
    return archived;
  }

  async rebuildCatalogue(): Promise<void> {
    const { book } = this.#parts;
    for (const store of book.stores) book.forgetStore(store);
    this.#ring();
    await this.#until(() => book.stores.every((store) => book.catalogue.storeKnown(store)), this.#closing.signal);
  }

  async settled(signal: AbortSignal): Promise<void> {
    const { book, archivers, keeper } = this.#parts;
    const target = this.#local.growing();
    const keys = this.#keys();
    const done = (store: string): boolean => {
      const inTime =
        book.catalogue.storeKnown(store) &&
        book.catalogue.segmentsNotIn(store, 1).length === 0 &&
        book.catalogue.figures(store).unverified === 0;
      const histories = keeper.histories.every((timeline) => book.catalogue.object(store, keys.history(timeline)) !== undefined);
      const grown =
        target === undefined || book.catalogue.objectsAt(store, target).some(({ end, checkTurn }) => checkTurn > 0 && end >= target.end);
      return inTime && histories && grown;
    };
    keeper.changed();
    for (const archiver of archivers) archiver.hurry();
    await this.#until(() => keeper.isUpToDate && book.stores.every(done), signal);
  }

  async close(): Promise<void> {
    this.#closing.abort(new TidemarkError("TM-VAULT-UNSURE", "the archive was closed"));
    this.#parts.book.catalogue.close();
    for (const { store } of this.#options.stores) await store.close();
    await this.#options.sealer.close();
  }

  /** All loops; the first that fails ends the others. */
  async #runOnce(signal: AbortSignal): Promise<void> {
    const { keeper, archivers, checkers } = this.#parts;
    const own = new AbortController();
    const ended = AbortSignal.any([signal, own.signal]);
    const loops = [keeper, ...archivers, ...checkers].map((loop) => loop.run(ended));
    loops.push(this.#watchFrontier(ended));
    try {
      await Promise.all(loops);
    } finally {
      own.abort(new TidemarkError("TM-VAULT-UNSURE", "the archive ends"));
      await Promise.allSettled(loops);
    }
  }

  /** Tells the archivers that there is more, and keeps the age of what they have not. */
  async #watchFrontier(signal: AbortSignal): Promise<void> {
    const everyMs = Math.max(10, Math.min(LOOK_EVERY_MS, this.#options.partialEveryMs / 2));
    const pause = new Pause(this.#world.clock);
    let seen = -1n;
    while (!signal.aborted) {
      const { timeline, flushed } = this.#local.frontier();
      if (timeline !== 0) this.#lag.advance(flushed, this.#world.clock.monotonicMs());
      if (flushed !== seen) this.#ring();
      seen = flushed;
      this.#tellOfPutAside();
      await pause.wait(everyMs, signal);
    }
  }

  /**
   * That the catalogue was damaged is told until the damaged file was taken away; with the WAL that it had to be made again for,
   * as soon as all stores have been listed.
   */
  #tellOfPutAside(): void {
    const { book } = this.#parts;
    const code = "TM-VAULT-CATALOGUE-DAMAGED";
    for (const subject of book.catalogue.subjectsOf(LOCAL, code)) {
      if (!existsSync(join(this.#options.folder.directory, subject))) book.repaired(LOCAL, subject, code);
      else this.#tellRange(subject, code);
    }
  }

  #tellRange(subject: string, code: "TM-VAULT-CATALOGUE-DAMAGED"): void {
    const { book } = this.#parts;
    const told = book.catalogue.fault(LOCAL, subject, code);
    if (told === undefined || told.range !== undefined || !book.stores.every((store) => book.catalogue.storeKnown(store))) return;
    const reaches = book.stores.flatMap((store) => newestReach(book.coverage(store, "listed")) ?? []);
    const newest = Math.max(...reaches.map(({ timeline }) => timeline));
    const [first, ...others] = reaches.filter(({ timeline }) => timeline === newest);
    if (first === undefined) return;
    const start = others.reduce((low, { from }) => (from < low ? from : low), first.from);
    const end = others.reduce((high, { to }) => (to > high ? to : high), first.to);
    book.fault({ where: LOCAL, subject, code, message: told.message, range: { timeline: first.timeline, start, end } });
  }

  #ring(): void {
    for (const archiver of this.#parts.archivers) archiver.ring();
  }

  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    const pause = new Pause(this.#world.clock);
    const end = this.#parts.book.onChange(() => pause.ring());
    try {
      while (!condition()) {
        signal.throwIfAborted();
        // Not everything that it waits for is a change of the book: a folder's listing is not.
        await pause.wait(LOOK_EVERY_MS, signal);
      }
    } finally {
      end();
    }
  }

  #keys(): KeySpace {
    const { systemIdentifier, folder } = this.#options;
    return new KeySpace({ prefix: "", systemIdentifier, segmentBytes: folder.segmentBytes });
  }

  #assemble(knownDamage: readonly WalRange[]): Assembly {
    const { folder, systemIdentifier, stores, sealer, clock, logger } = this.#options;
    assert(new Set(stores.map(({ name }) => name)).size === stores.length, "stores have different names");
    const { segmentBytes } = folder;
    const world = this.#world;
    const path = join(folder.directory, CATALOGUE_FILE);
    const { file, putAside } = openCatalogueFile(path, { systemIdentifier, segmentBytes }, clock);
    const book = new ArchiveBook({ catalogue: new Catalogue(file), segmentBytes, stores: stores.map(({ name }) => name), clock, logger });
    if (putAside !== undefined) {
      const subject = putAside.path.slice(folder.directory.length + 1);
      const message = `the catalogue was damaged (${putAside.why}); it is now ${subject}, and a new one is made`;
      book.fault({ where: LOCAL, subject, code: "TM-VAULT-CATALOGUE-DAMAGED", message });
    }
    const archivers: Archiver[] = [];
    const keys = this.#keys();
    const reader = new ArchiveReader({
      stores: stores.map(({ name, store }, index) => ({ name, store, keys, trouble: () => archivers[index]?.lastError })),
      book,
      sealer,
      world,
    });
    const keeper = new LocalKeeper({
      book,
      local: this.#local,
      keepLocalBytes: this.#options.keepLocalBytes,
      neededFrom: this.#options.neededFrom,
      receiveAgain: this.#options.receiveAgain,
      damageOf: this.#options.damageOf,
      fetchWhole: (place) => reader.whole(place, this.#closing.signal),
      isReading: () => archivers.some(({ state }) => state === "archiving"),
      onNew: () => {
        for (const archiver of archivers) archiver.ring();
      },
      knownDamage,
      world,
    });
    const gate = new ByteGate(world.limits.inFlightBytes);
    const shelf = new SealingShelf(stores.length);
    const checkers: StoreChecker[] = [];
    for (const { name, store } of stores) {
      const listing = new StoreListing({ name, systemIdentifier, store, keys, book, sealer, world });
      const writer = new ObjectWriter({ name, store, keys, book, sealer, clock, timeoutMs: world.limits.callTimeoutMs, step: world.step });
      const { partialEveryMs, commitsOf } = this.#options;
      const archiver = new Archiver({
        name,
        systemIdentifier,
        writer,
        listing,
        keys,
        book,
        local: this.#local,
        keeper,
        sealer,
        shelf,
        gate,
        partialEveryMs,
        commitsOf,
        world,
      });
      archivers.push(archiver);
      checkers.push(new StoreChecker({ name, store, writer, listing, book, sealer, onLost: () => archiver.ring(), world }));
    }
    return { book, keeper, archivers, checkers, reader };
  }
}
