/**
 * Brings one store up to what is durable here, in the order of the WAL, and keeps it there: seals, stores, reads again,
 * compares, and only then says so in the catalogue (trap 14). While one segment is read again the next is stored and the one
 * after it sealed; nothing is put before what comes before it was put (NO-HOLE). A store that fails holds up itself alone.
 */
import type { Timeline } from "@tidemark/kernel/brands";
import { discard } from "@tidemark/kernel/discard";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import type { SealedCommits, SealedFacts } from "../sealing/sealed-header.ts";
import type { KeySpace } from "./archive-key.ts";
import type { ArchiveBook } from "./archive-book.ts";
import type { ArchiveWorld } from "./archive-options.ts";
import type { StoreState } from "./archive-status.ts";
import type { ByteGate } from "./byte-gate.ts";
import type { ArchivedObject } from "./catalogue.ts";
import { isCatalogueFault } from "./catalogue-file.ts";
import type { LocalKeeper } from "./local-keeper.ts";
import { isLocalFault, type LocalWal, type SegmentPlace } from "./local-wal.ts";
import type { ObjectSealer, SealedObject } from "./object-sealer.ts";
import type { ObjectWriter, Stored } from "./object-writer.ts";
import { Pause } from "./pause.ts";
import type { SealingShelf } from "./sealing-shelf.ts";
import type { StoreListing } from "./store-listing.ts";
import { nextUpload, type UploadView } from "./upload-plan.ts";
import type { WalRange } from "./wal-range.ts";
import { collectYoung } from "./young-collection.ts";
import { sha256 } from "../sealing/sealed-frame.ts";

/** Segments that are planned at a time; then the plan is made anew. */
const RUN_SEGMENTS = 16;

/** Segments that are sealed while one is stored and one read again. A second one would cost memory, and gain where cores are idle. */
const SEALED_AHEAD = 1;

/** Sealing takes so many times the size of what is sealed. */
const SEALING_HOLDS = 3;

export interface ArchiverParts {
  readonly name: string;
  readonly systemIdentifier: SystemIdentifier;
  readonly writer: ObjectWriter;
  readonly listing: StoreListing;
  readonly keys: KeySpace;
  readonly book: ArchiveBook;
  readonly local: LocalWal;
  readonly keeper: LocalKeeper;
  readonly sealer: ObjectSealer;
  readonly shelf: SealingShelf;
  readonly gate: ByteGate;
  readonly partialEveryMs: number;
  readonly commitsOf: ((range: WalRange) => Promise<SealedCommits | undefined>) | undefined;
  readonly world: ArchiveWorld;
}

interface Held {
  readonly place: SegmentPlace;
  readonly sealed: SealedObject;
  readonly release: (bytes: number) => void;
}

export class Archiver {
  readonly #parts: ArchiverParts;
  readonly #pause: Pause;
  #partialAtMs = Number.NEGATIVE_INFINITY;
  #state: StoreState = "starting";
  #lastError: { readonly code: string; readonly message: string; readonly atMs: number } | undefined;

  constructor(parts: ArchiverParts) {
    this.#parts = parts;
    this.#pause = new Pause(parts.world.clock);
  }

  get state(): StoreState {
    return this.#state;
  }

  /** The last attempt that failed; it stays shown while the state is `held`. */
  get lastError(): { readonly code: string; readonly message: string; readonly atMs: number } | undefined {
    return this.#state === "held" ? this.#lastError : undefined;
  }

  /** There may be something to do. */
  ring(): void {
    this.#pause.ring();
  }

  /** The growing segment is due now. */
  hurry(): void {
    this.#partialAtMs = Number.NEGATIVE_INFINITY;
    this.#pause.ring();
  }

  /** Works until `signal` aborts. Rejects only when the catalogue fails: then nothing can be claimed. */
  async run(signal: AbortSignal): Promise<void> {
    const { name, book, world } = this.#parts;
    const { clock, limits, logger } = world;
    let pauseMs = limits.firstPauseMs;
    while (!signal.aborted) {
      try {
        const waitMs = await this.#round(signal);
        pauseMs = limits.firstPauseMs;
        if (waitMs !== "again") await this.#pause.wait(waitMs, signal);
      } catch (error) {
        if (signal.aborted) break;
        if (isCatalogueFault(error)) throw error;
        this.#hold(error);
        book.keysFailed(name, error);
        logger.warn({ err: error, store: name, pauseMs }, "archiving is held up, trying again");
        // Rings do not end this: what failed will not work sooner because there is more of it.
        await new Pause(clock).wait(pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, limits.longestPauseMs);
      }
    }
    this.#state = "stopped";
  }

  async #round(signal: AbortSignal): Promise<number | undefined | "again"> {
    const { name, book, listing, world } = this.#parts;
    if (!book.catalogue.storeKnown(name)) {
      if (this.#state !== "held") this.#state = "reading";
      await listing.compare(signal);
    }
    const view = await this.#view();
    const upload = nextUpload({ ...view, sincePartialMs: world.clock.monotonicMs() - this.#partialAtMs });
    if (upload.kind === "wait") {
      this.#state = "current";
      return upload.forMs;
    }
    if (this.#state !== "held" && upload.kind !== "partial") this.#state = "archiving";
    if (upload.kind === "history") await this.#history(upload.timeline, signal);
    else if (upload.kind === "segments") await this.#segments(upload.places, signal);
    else await this.#partial(upload.piece, signal);
    if (this.#state === "held") this.#state = "archiving";
    return "again";
  }

  async #view(): Promise<Omit<UploadView, "sincePartialMs">> {
    const { name, book, local, keeper } = this.#parts;
    const histories: Timeline[] = [];
    for (const timeline of keeper.histories) {
      if (!(await this.#hasHistory(timeline))) histories.push(timeline);
    }
    const segments = book.catalogue.segmentsNotIn(name, RUN_SEGMENTS + keeper.unusable).filter((place) => keeper.isUsable(place));
    const growing = local.growing();
    // What was sealed in the meantime is no longer growing: its seal is about to be told.
    const sealed = growing !== undefined && book.catalogue.segment(growing) !== undefined;
    const stored = growing === undefined ? [] : book.catalogue.objectsAt(name, growing);
    return {
      histories,
      segments: segments.slice(0, RUN_SEGMENTS),
      growing: sealed ? undefined : growing,
      growingStoredTo: stored.reduce<Lsn | undefined>((most, { end }) => (most === undefined || end > most ? end : most), undefined),
      partialEveryMs: this.#parts.partialEveryMs,
    };
  }

  async #hasHistory(timeline: Timeline): Promise<boolean> {
    const { name, book, keys } = this.#parts;
    const key = keys.history(timeline);
    if (book.catalogue.object(name, key) !== undefined) return true;
    const content = book.catalogue.histories().find((history) => history.timeline === timeline)?.content ?? "";
    const digest = (await sha256(Buffer.from(content, "utf8"))).toString("hex");
    return book.catalogue.object(name, keys.evidence(key, "conflict", digest)) !== undefined;
  }

  async #history(timeline: Timeline, signal: AbortSignal): Promise<void> {
    const { keys, local, sealer, writer } = this.#parts;
    const content = await local.history(timeline);
    if (content === undefined) return this.#parts.keeper.changed();
    const sealed = await sealer.seal(
      { facts: this.#facts("timeline-history", timeline), source: { content: Buffer.from(content, "utf8") } },
      signal,
    );
    const range: WalRange = { timeline, start: 0n as Lsn, end: 0n as Lsn };
    const stored = await writer.store({ kind: "history", key: keys.history(timeline), range, sealed, lock: true }, signal);
    this.#claim(await writer.verify(stored, signal));
  }

  /** Sealing, storing and reading again overlap, one segment in each; the order of the puts and of the claims is that of the WAL. */
  async #segments(places: readonly SegmentPlace[], signal: AbortSignal): Promise<void> {
    const { writer, listing } = this.#parts;
    let verifying: Promise<void> = Promise.resolve();
    const own = new AbortController();
    const ended = AbortSignal.any([signal, own.signal]);
    const ahead: Promise<Held | undefined>[] = [];
    const sealAhead = (from: number): void => {
      for (const place of places.slice(from + ahead.length, from + SEALED_AHEAD)) {
        const sealing = this.#sealSegment(place, ended);
        // It is awaited in its turn; until then a failure is nobody's yet.
        sealing.catch(() => undefined);
        ahead.push(sealing);
      }
    };
    try {
      for (let index = 0; index < places.length; index++) {
        sealAhead(index);
        const held = await ahead.shift();
        if (held === undefined) break;
        sealAhead(index + 1);
        const stored = await this.#storeSegment(held, ended);
        await this.#ended(verifying, held);
        verifying = writer
          .verify(stored, ended)
          .then((object) => {
            this.#claim(object);
            return listing.expire(object, ended);
          })
          .finally(() => this.#letGo(held));
        verifying.catch(() => undefined);
      }
      await verifying;
    } finally {
      own.abort(new TidemarkError("TM-OBJECT-STORE-AWAY", "the run of segments ended"));
      for (const sealing of ahead) (await sealing.catch(() => undefined))?.release(0);
      await verifying.catch(() => undefined);
    }
  }

  #letGo({ sealed, release }: Held): void {
    // Another store may be about to take it from the shelf.
    if (!this.#parts.shelf.isShared) discard(sealed.bytes);
    collectYoung();
    release(0);
  }

  /** What was stored before counts first; when it does not, the next one is given up with it. */
  async #ended(verifying: Promise<void>, next: Held): Promise<void> {
    try {
      await verifying;
    } catch (error) {
      next.release(0);
      throw error;
    }
  }

  /** Undefined when the segment here cannot be archived: the keeper knows, and the plan goes round it. */
  async #sealSegment(place: SegmentPlace, signal: AbortSignal): Promise<Held | undefined> {
    const { book, local, keeper, gate, shelf, sealer, world } = this.#parts;
    const release = await gate.hold(SEALING_HOLDS * local.segmentBytes, signal);
    try {
      const path = await local.sealedPath(place);
      if (path === undefined) throw new TidemarkError("TM-VAULT-SEGMENT-MISSING", `${local.name(place)} was sealed here and is gone`);
      const range: WalRange = { ...place, end: (place.start + BigInt(local.segmentBytes)) as Lsn };
      const recorded = book.catalogue.segment(place);
      const expectSha256 = recorded?.sha256;
      if (recorded !== undefined && expectSha256 === undefined) await keeper.vouch(place, path);
      const commits = await this.#commits(range);
      const facts = this.#facts("wal", place.timeline, range, commits);
      world.step("seal");
      const order = { facts, source: { path, bytes: local.segmentBytes }, ...(expectSha256 === undefined ? {} : { expectSha256 }) };
      const sealed = await shelf.take(local.name(place), () => sealer.seal(order, signal));
      if (recorded !== undefined && expectSha256 === undefined) await keeper.record(place, { path, sha256: sealed.header.rawSha256 });
      release(2 * sealed.bytes.length);
      return { place, sealed, release };
    } catch (error) {
      release(0);
      if (!isLocalFault(error)) throw error;
      if (book.catalogue.segment(place) !== undefined) keeper.damaged(place, error);
      return undefined;
    }
  }

  async #storeSegment({ place, sealed, release }: Held, signal: AbortSignal): Promise<Stored> {
    const { keys, local, writer } = this.#parts;
    const range: WalRange = { timeline: place.timeline, start: place.start, end: (place.start + BigInt(local.segmentBytes)) as Lsn };
    try {
      return await writer.store({ kind: "segment", key: keys.segment(place), range, sealed, lock: true }, signal);
    } catch (error) {
      release(0);
      throw error;
    }
  }

  async #partial(piece: WalRange, signal: AbortSignal): Promise<void> {
    const { keys, local, sealer, writer, gate, world } = this.#parts;
    this.#partialAtMs = world.clock.monotonicMs();
    const path = await local.growingPath(piece);
    if (path === undefined) return this.#parts.keeper.changed();
    const bytes = Number(piece.end - piece.start);
    const release = await gate.hold(SEALING_HOLDS * bytes, signal);
    try {
      const facts = this.#facts("wal-partial", piece.timeline, piece, await this.#commits(piece));
      world.step("seal");
      const sealed = await sealer.seal({ facts, source: { path, bytes } }, signal);
      const order = { kind: "partial" as const, key: keys.partial(piece, piece.end), range: piece, sealed, lock: false };
      this.#claim(await writer.verify(await writer.store(order, signal), signal));
      discard(sealed.bytes);
    } finally {
      release(0);
    }
    await this.#parts.listing.expire(piece, signal);
  }

  /** Says in the catalogue that the object is archived, and lets the partial ones go that it replaces. */
  #claim(object: ArchivedObject): void {
    const { book, name } = this.#parts;
    book.archived(object);
    book.keysWork(name);
    this.#parts.world.step("catalogued");
  }

  async #commits(range: WalRange): Promise<SealedCommits | undefined> {
    return this.#parts.commitsOf?.(range);
  }

  #facts(kind: SealedFacts["kind"], timeline: Timeline, range?: WalRange, commits?: SealedCommits): SealedFacts {
    return {
      kind,
      systemIdentifier: this.#parts.systemIdentifier,
      timeline,
      ...(range === undefined ? {} : { range: { start: range.start, end: range.end } }),
      ...(commits === undefined ? {} : { commits }),
    };
  }

  #hold(error: unknown): void {
    this.#state = "held";
    const code = error instanceof TidemarkError ? error.code : "unexpected";
    this.#lastError = { code, message: error instanceof Error ? error.message : String(error), atMs: this.#parts.world.clock.wallMs() };
  }
}
