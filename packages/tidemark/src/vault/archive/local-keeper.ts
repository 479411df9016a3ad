/**
 * Keeps the sealed segments of the vault's folder as they were: knows which are there, records their digests, reads them
 * again in turn, fetches what is damaged or gone from the archive, and lets those go that are archived everywhere.
 */
import { createHash } from "node:crypto";
import { link, mkdir, open, readFile, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { sleep } from "@tidemark/kernel/clock";
import { hasCode, TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import type { Timeline } from "@tidemark/kernel/brands";
import { formatLsn, type Lsn } from "@tidemark/kernel/lsn";
import { LOCAL, type ArchiveBook } from "./archive-book.ts";
import type { ArchiveWorld } from "./archive-options.ts";
import { inOrder, type LocalWal, type SegmentPlace } from "./local-wal.ts";
import { fileDigest } from "./object-sealer.ts";
import { Pause } from "./pause.ts";
import { mayLeave } from "./retention.ts";

/** Sealed segments that were told and not registered yet; further ones are found by looking through the folder. */
const SEALED_REMEMBERED = 1_024;

/** Segments that leave in one go; the next look comes soon. */
const LEAVING_AT_ONCE = 64;

/** A segment that could not be repaired is tried again after so long, milliseconds. */
const REPAIR_EVERY_MS = 60_000;

/** Segments of one hole that are looked for in one go; the next look takes more. */
const HOLE_SEGMENTS = 64;

/** So often is looked whether the receiver has passed a segment that is damaged or missing, milliseconds. */
const RECEIVER_LOOK_MS = 1_000;

/** What is wrong with a local segment by itself, whatever its archive says. */
export const LOCAL_FAULTS: readonly ErrorCode[] = ["TM-VAULT-DAMAGED", "TM-VAULT-SEGMENT-MISSING", "TM-VAULT-SEGMENT-UNREADABLE"];

export function isLocalFault(error: unknown): error is TidemarkError {
  return LOCAL_FAULTS.some((code) => hasCode(error, code));
}

export interface LocalKeeperParts {
  readonly book: ArchiveBook;
  readonly local: LocalWal;
  readonly keepLocalBytes: number;
  readonly neededFrom: (() => Lsn | undefined) | undefined;
  readonly receiveAgain: ((place: SegmentPlace) => Promise<Uint8Array | undefined>) | undefined;
  readonly damageOf: ((bytes: Uint8Array, place: SegmentPlace) => Promise<string | undefined>) | undefined;
  /** The bytes of a segment from whichever store gives it whole; undefined when none has it. */
  readonly fetchWhole: (place: SegmentPlace) => Promise<Uint8Array | undefined>;
  /** Whether a store is being filled: what it reads it digests, so the keeper need not. */
  readonly isReading: () => boolean;
  /** There may be something to archive. */
  readonly onNew: () => void;
  readonly world: ArchiveWorld;
}

export class LocalKeeper {
  readonly #parts: LocalKeeperParts;
  readonly #pause: Pause;
  /** Segments here that must not be archived or served: their bytes are wrong, or gone. With when to try again. */
  readonly #unusable = new Map<string, number>();
  #histories: readonly Timeline[] = [];
  readonly #sealed: SegmentPlace[] = [];
  /** Looks that were asked for, and how many of them have been taken: the first is open at the start. */
  #looksWanted = 1;
  #looksTaken = 0;
  #segments = 0;
  #checked = 0;

  constructor(parts: LocalKeeperParts) {
    this.#parts = parts;
    this.#pause = new Pause(parts.world.clock);
  }

  /** Timelines whose history files are here. */
  get histories(): readonly Timeline[] {
    return this.#histories;
  }

  get segments(): number {
    return this.#segments;
  }

  /** Segments that were read again since the start. */
  get checked(): number {
    return this.#checked;
  }

  /** Whether everything that was told is in the catalogue. */
  get isUpToDate(): boolean {
    return this.#sealed.length === 0 && this.#looksTaken >= this.#looksWanted;
  }

  isUsable(place: SegmentPlace): boolean {
    return !this.#unusable.has(this.#parts.local.name(place));
  }

  get unusable(): number {
    return this.#unusable.size;
  }

  /** A segment was sealed. Only noted here: whoever tells must not meet the catalogue's troubles. */
  sealed(place: SegmentPlace): void {
    // Too many to remember are found by looking.
    if (this.#sealed.length < SEALED_REMEMBERED) this.#sealed.push(place);
    else this.#looksWanted++;
    this.#pause.ring();
  }

  /** The folder is looked through at the next turn. */
  changed(): void {
    this.#looksWanted++;
    this.#pause.ring();
  }

  /** Looks, digests, checks, repairs and lets go, until `signal` aborts. Rejects when the catalogue fails. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, limits } = this.#parts.world;
    let listAtMs = clock.monotonicMs() + limits.localListEveryMs;
    let checkAtMs = clock.monotonicMs() + limits.localCheckEveryMs;
    while (!signal.aborted) {
      const now = clock.monotonicMs();
      this.#register();
      if (this.#looksTaken < this.#looksWanted || now >= listAtMs) {
        await this.list();
        listAtMs = clock.monotonicMs() + limits.localListEveryMs;
      }
      await this.#letGo();
      const digested = !this.#parts.isReading() && (await this.#digestOne());
      if (!digested && now >= checkAtMs) {
        await this.#checkOne();
        checkAtMs = clock.monotonicMs() + limits.localCheckEveryMs;
      }
      await this.#repairDue();
      if (digested) await sleep(clock, 0, signal).catch(() => undefined);
      else await this.#pause.wait(Math.max(0, Math.min(listAtMs, checkAtMs) - clock.monotonicMs()), signal);
    }
  }

  #register(): void {
    const { book, onNew } = this.#parts;
    if (this.#sealed.length === 0) return;
    for (let place = this.#sealed[0]; place !== undefined; place = this.#sealed[0]) {
      if (book.catalogue.segment(place) === undefined) this.#segments++;
      book.segmentHere(place);
      this.#sealed.shift();
    }
    onNew();
  }

  /** Compares the folder with the catalogue. */
  async list(): Promise<void> {
    const { book, local } = this.#parts;
    const wanted = this.#looksWanted;
    const known = new Map(book.catalogue.segments().map((segment) => [local.name(segment), segment]));
    const listing = await local.list();
    for (const place of listing.sealed) {
      if (!known.delete(local.name(place))) book.segmentHere(place);
    }
    await this.#readHistories(listing.histories);
    // Sealed while we looked: what the catalogue learnt after the folder was read is no loss.
    for (const gone of known.values()) await this.#vanished(gone);
    await this.#missFromHoles();
    this.#segments = book.catalogue.segments().length;
    this.#looksTaken = Math.max(this.#looksTaken, wanted);
    this.#parts.onNew();
  }

  /** A segment here turned out to be damaged, gone or unreadable: it counts for nothing until it is repaired, which is tried at once. */
  damaged(place: SegmentPlace, error: TidemarkError): void {
    const { book, local, world } = this.#parts;
    const name = local.name(place);
    const end = (place.start + BigInt(local.segmentBytes)) as Lsn;
    book.fault({ where: LOCAL, subject: name, code: error.code, message: error.message, range: { ...place, end } });
    book.uncover(place);
    this.#unusable.set(name, world.clock.monotonicMs());
    this.#pause.ring();
  }

  /** After the catalogue was lost: what is missing between what is here was here once, unless it is known why it never was. */
  async #missFromHoles(): Promise<void> {
    const { book, local } = this.#parts;
    const bytes = BigInt(local.segmentBytes);
    for (const hole of book.holes().filter(({ where, kind }) => where === LOCAL && kind === "wal")) {
      if (book.gapsIn(hole).length > 0) continue;
      const first = (hole.start + bytes - 1n) / bytes;
      for (let start = first * bytes, most = HOLE_SEGMENTS; start + bytes <= hole.end && most > 0; start += bytes, most--) {
        const place = { timeline: hole.timeline, start: start as Lsn };
        if (book.catalogue.segment(place) !== undefined) continue;
        book.segmentHere(place);
        await this.#vanished(place);
      }
    }
  }

  async #readHistories(timelines: readonly Timeline[]): Promise<void> {
    const { book, local } = this.#parts;
    const known = new Map(book.catalogue.histories().map(({ timeline, content }) => [timeline, content]));
    for (const timeline of timelines) {
      const content = await local.history(timeline);
      if (content !== undefined && known.get(timeline) !== content) book.history(timeline, content);
    }
    this.#histories = timelines;
  }

  async #vanished(place: SegmentPlace): Promise<void> {
    const { book, local } = this.#parts;
    if ((await local.sealedPath(place)) !== undefined) return;
    const fork = book.forkOf(place.timeline);
    if (fork !== undefined && place.start + BigInt(local.segmentBytes) > fork) {
      // Diverged: put aside as evidence (trap 11).
      book.segmentGone(place);
      this.#unusable.delete(local.name(place));
      return;
    }
    if (this.#unusable.has(local.name(place))) return;
    const error = new TidemarkError("TM-VAULT-SEGMENT-MISSING", `${local.name(place)} was sealed here and is gone`);
    this.damaged(place, error);
  }

  async #digestOne(): Promise<boolean> {
    const { book, local } = this.#parts;
    const next = book.catalogue.nextSegmentToDigest();
    if (next === undefined || !this.isUsable(next)) return false;
    return this.#guarded(next, async (path) => {
      const sha256 = await fileDigest({ path, bytes: local.segmentBytes });
      await this.#compareWithArchive(next, { path, sha256 });
      book.segmentHere(next, sha256);
    });
  }

  /**
   * What archived objects say that the bytes are, where nothing is recorded here: after the catalogue was lost, damage since
   * then is still found. Other bytes that are whole WAL are no damage but a name that was taken (trap 10): the object
   * counts no more, and the archiver keeps both.
   */
  async #compareWithArchive(place: SegmentPlace, here: { path: string; sha256: string }): Promise<void> {
    const { book, damageOf } = this.#parts;
    const others = book.stores
      .flatMap((store) => book.catalogue.objectsAt(store, place))
      .filter(({ kind, rawSha256 }) => kind === "segment" && rawSha256 !== here.sha256);
    const [other] = others;
    if (other === undefined) return;
    if (damageOf !== undefined && (await damageOf(await readFile(here.path), place)) !== undefined)
      throw changed(here.path, other.rawSha256, here.sha256);
    // What is right here is known first: nobody takes the other object for ours again.
    book.segmentHere(place, here.sha256);
    for (const object of others) {
      const message = `${object.store} has other bytes under ${object.key} than this vault received; both are kept`;
      book.gone(object, { where: object.store, subject: object.key, code: "TM-VAULT-OTHER-BYTES", message, range: object });
    }
    this.#parts.onNew();
  }

  async #checkOne(): Promise<void> {
    const { book, local } = this.#parts;
    const next = book.catalogue.nextSegmentToCheck();
    if (next === undefined) return;
    await this.#guarded(next, async (path) => {
      const sha256 = await fileDigest({ path, bytes: local.segmentBytes });
      if (next.sha256 !== undefined && next.sha256 !== sha256) throw changed(path, next.sha256, sha256);
      book.catalogue.putSegment({ ...next, checkTurn: book.catalogue.nextTurn() });
      this.#checked++;
      this.#mended(next);
    });
  }

  async #guarded(place: SegmentPlace, work: (path: string) => Promise<void>): Promise<boolean> {
    const { local, book } = this.#parts;
    try {
      const path = await local.sealedPath(place);
      if (path === undefined) throw new TidemarkError("TM-VAULT-SEGMENT-MISSING", `${local.name(place)} was sealed here and is gone`);
      await work(path);
      return true;
    } catch (error) {
      if (!isLocalFault(error)) throw error;
      // It may have left the folder rightly while it was read.
      if (book.catalogue.segment(place) !== undefined) this.damaged(place, error);
      // Its turn comes again after all others.
      const row = book.catalogue.segment(place);
      if (row !== undefined) book.catalogue.putSegment({ ...row, checkTurn: book.catalogue.nextTurn() });
      return false;
    }
  }

  #mended(place: SegmentPlace): void {
    const name = this.#parts.local.name(place);
    if (this.#unusable.delete(name)) this.#parts.book.segmentHere(place);
    this.#parts.book.repaired(LOCAL, name);
  }

  async #repairDue(): Promise<void> {
    const { clock } = this.#parts.world;
    const { local } = this.#parts;
    for (const segment of this.#unusable.size === 0 ? [] : this.#parts.book.catalogue.segments()) {
      const dueMs = this.#unusable.get(this.#parts.local.name(segment));
      if (dueMs === undefined || dueMs > clock.monotonicMs()) continue;
      this.#unusable.set(this.#parts.local.name(segment), clock.monotonicMs() + REPAIR_EVERY_MS);
      if (local.isBehind(segment)) await this.#repair(segment);
      // What is not behind it the receiver gets itself.
      else this.#unusable.set(local.name(segment), clock.monotonicMs() + RECEIVER_LOOK_MS);
    }
  }

  /** Gets the segment from the archive or the primary, keeps the damaged file as evidence, puts the right one in its place. */
  async #repair(place: SegmentPlace): Promise<void> {
    const { book, local, world } = this.#parts;
    const name = local.name(place);
    const recorded = book.catalogue.segment(place)?.sha256;
    const path = local.receivedPath(place);
    const there = await local.sealedPath(place);
    // Somebody else has put it right meanwhile.
    if (there !== undefined && recorded !== undefined && (await fileDigest({ path: there, bytes: local.segmentBytes })) === recorded) {
      this.#mended(place);
      return;
    }
    const bytes = await this.#rightBytes(place, recorded);
    // The receiver may have been set back meanwhile: then it is its own again.
    if (bytes === undefined || !local.isBehind(place)) return;
    if (there !== undefined) await this.#keepEvidence(there, place);
    await writeDurably(path, bytes);
    if (there !== undefined && there !== path) await unlink(there);
    const sha256 = await fileDigest({ path, bytes: local.segmentBytes });
    book.segmentHere(place, sha256);
    this.#mended(place);
    world.logger.info({ segment: name }, "a damaged or missing segment was put in its place again");
  }

  /** The segment from whoever has it right: with the digest that it was sealed with, where that is known, and as WAL. */
  async #rightBytes(place: SegmentPlace, recorded: string | undefined): Promise<Uint8Array | undefined> {
    const { book, local, world, damageOf, fetchWhole, receiveAgain } = this.#parts;
    const name = local.name(place);
    const end = (place.start + BigInt(local.segmentBytes)) as Lsn;
    for (const [source, get] of [["the archive", fetchWhole] as const, ["the primary", receiveAgain] as const]) {
      const bytes = await get?.(place).catch((error: unknown) => {
        world.logger.warn({ err: error, segment: name }, `${source} could not give a damaged segment back yet`);
        return undefined;
      });
      if (bytes === undefined) continue;
      const digest = createHash("sha256").update(bytes).digest("hex");
      const why =
        recorded !== undefined && digest !== recorded
          ? `it has SHA-256 ${digest}, and was sealed with ${recorded}`
          : await damageOf?.(bytes, place);
      if (why === undefined) return bytes;
      // Nothing is replaced by what is not known to be right; the damaged file says more about what happened.
      const message = `what ${source} has of ${name} was not put in its place: ${why}`;
      book.fault({ where: LOCAL, subject: name, code: "TM-VAULT-OTHER-BYTES", message, range: { ...place, end } });
    }
    world.logger.error({ segment: name }, "a damaged segment is nowhere else");
    return undefined;
  }

  /** As docs/vault-format.md, "Evidence", says. Linked, not moved: at no moment is the segment's name without a file. */
  async #keepEvidence(path: string, place: SegmentPlace): Promise<void> {
    const { local, world } = this.#parts;
    const name = local.name(place);
    const stamp = new Date(world.clock.wallMs()).toISOString().replaceAll(/[-:]/g, "");
    const folder = join(local.directory, "diverged", `${stamp}-damaged`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await link(path, join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      // Kept already, by an attempt of this very millisecond.
      if (error.code !== "EEXIST") throw error;
    });
    const end = (place.start + BigInt(local.segmentBytes)) as Lsn;
    const point = (lsn: Lsn): object => ({ timeline: place.timeline, lsn: formatLsn(lsn) });
    const facts = { formatVersion: 1, reason: "damaged", from: point(place.start), to: point(end), files: [name] };
    await writeDurably(join(folder, "evidence.json"), Buffer.from(`${JSON.stringify(facts, undefined, 2)}\n`));
    await syncFolder(dirname(folder));
  }

  /** Removes what may leave. The catalogue forgets a segment before its file goes, so that one that is gone is never missed. */
  async #letGo(): Promise<void> {
    const { book, local, world } = this.#parts;
    const surplus = this.#segments * local.segmentBytes > this.#parts.keepLocalBytes;
    if (!surplus || book.stores.length === 0) return;
    const leaving = mayLeave({
      oldest: book.catalogue
        .oldestSegments(book.stores, LEAVING_AT_ONCE)
        .map((segment) => ({ ...segment, archived: segment.archived && this.isUsable(segment) })),
      segments: this.#segments,
      segmentBytes: local.segmentBytes,
      keepBytes: this.#parts.keepLocalBytes,
      stores: book.stores.length,
      neededFrom: this.#parts.neededFrom?.(),
    });
    for (const place of leaving.sort(inOrder)) {
      const path = await local.sealedPath(place);
      world.step("removing");
      book.segmentGone(place);
      this.#segments--;
      if (path !== undefined) await unlink(path);
      world.step("removed");
    }
    if (leaving.length === LEAVING_AT_ONCE) this.#pause.ring();
  }
}

function changed(path: string, expected: string, sha256: string): TidemarkError {
  return new TidemarkError("TM-VAULT-DAMAGED", `${path} had SHA-256 ${expected} when it was sealed and has ${sha256} now`);
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.repair`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
