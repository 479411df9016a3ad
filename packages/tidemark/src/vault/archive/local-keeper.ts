/**
 * Keeps the sealed segments of the vault's folder as they were: knows which are there, records their digests, reads them
 * again in turn, fetches what is damaged or gone from the archive, and lets those go that are archived everywhere.
 */
import { rm } from "node:fs/promises";
import { sleep } from "@tidemark/kernel/clock";
import { discard } from "@tidemark/kernel/discard";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { LOCAL } from "./archive-book.ts";
import { isCatalogueFault } from "./catalogue-file.ts";
import { inOrder, isLocalFault, LOCAL_FAULTS, type SegmentPlace } from "./local-wal.ts";
import { fileDigest, readStart } from "./object-sealer.ts";
import { Pause } from "./pause.ts";
import { mayLeave } from "./retention.ts";
import { SegmentRepair, type SegmentRepairParts } from "./segment-repair.ts";
import type { WalRange } from "./wal-range.ts";

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

export interface LocalKeeperParts extends SegmentRepairParts {
  readonly keepLocalBytes: number;
  readonly neededFrom: (() => Lsn | undefined) | undefined;
  /** Whether a store is being filled: what it reads it digests, so the keeper need not. */
  readonly isReading: () => boolean;
  /** There may be something to archive. */
  readonly onNew: () => void;
  /** Segments that are known to be damaged or gone though the catalogue does not say so: it was lost since. */
  readonly knownDamage: readonly SegmentPlace[];
}

interface Unusable {
  readonly place: SegmentPlace;
  /** When to try again to repair it, monotonic. */
  readonly dueMs: number;
}

export class LocalKeeper {
  readonly #parts: LocalKeeperParts;
  readonly #pause: Pause;
  readonly #repair: SegmentRepair;
  /** Segments here that must not be archived or vouched for: their bytes are wrong, or gone. By name. */
  readonly #unusable = new Map<string, Unusable>();
  /** Sealed since the start and not digested yet: nobody had them out of memory for long. By name. */
  readonly #fresh = new Set<string>();
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
    this.#repair = new SegmentRepair(parts);
    this.#remember();
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

  /** What of the WAL here is damaged or gone and not mended yet. */
  get damage(): WalRange[] {
    return [...this.#unusable.values()].map(({ place }) => this.#rangeOf(place));
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
    await this.#repair.clearUnfinished();
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

  /** What was damaged when it was last looked at is so until it is mended, whatever has ended since: a process, a catalogue. */
  #remember(): void {
    const { book, local, knownDamage } = this.#parts;
    const recorded = new Set(LOCAL_FAULTS.flatMap((code) => book.catalogue.subjectsOf(LOCAL, code)));
    for (const segment of book.catalogue.segments()) {
      if (recorded.has(local.name(segment))) this.#exclude(segment);
    }
    for (const place of knownDamage) {
      if (recorded.has(local.name(place))) continue;
      book.segmentHere(place);
      this.damaged(place, new TidemarkError("TM-VAULT-DAMAGED", `${local.name(place)} was damaged before the catalogue was made anew`));
    }
  }

  #register(): void {
    const { book, local, onNew } = this.#parts;
    if (this.#sealed.length === 0) return;
    for (let place = this.#sealed[0]; place !== undefined; place = this.#sealed[0]) {
      const known = book.catalogue.segment(place);
      if (known === undefined) this.#segments++;
      // The receiver had to get it again: what was here before, and may have been damaged, is evidence.
      if (known?.sha256 !== undefined) book.segmentGone(place);
      book.segmentHere(place);
      if (this.#unusable.has(local.name(place))) this.#mended(place);
      this.#fresh.add(local.name(place));
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
    const { book, local } = this.#parts;
    const { code, message } = error;
    book.fault({ where: LOCAL, subject: local.name(place), code, message, range: this.#rangeOf(place) });
    this.#exclude(place);
    this.#pause.ring();
  }

  /**
   * Reads a segment that nobody has digested although it was sealed before this process began: it may have been damaged since, and its
   * digest would say that it is right. Rejects with TM-VAULT-DAMAGED when its records do not pass their check.
   */
  async vouch(place: SegmentPlace, path: string): Promise<void> {
    const { local, damageOf } = this.#parts;
    if (damageOf === undefined || this.#fresh.has(local.name(place))) return;
    const bytes = await readStart({ path, bytes: local.segmentBytes });
    const damage = await damageOf(bytes, place);
    discard(bytes);
    if (damage !== undefined) throw new TidemarkError("TM-VAULT-DAMAGED", `${path}: ${damage}`);
  }

  #exclude({ timeline, start }: SegmentPlace): void {
    const { book, local, world } = this.#parts;
    const place = { timeline, start };
    this.#unusable.set(local.name(place), { place, dueMs: world.clock.monotonicMs() });
    book.uncover(place);
  }

  #rangeOf({ timeline, start }: SegmentPlace): WalRange {
    return { timeline, start, end: (start + BigInt(this.#parts.local.segmentBytes)) as Lsn };
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
      book.repaired(LOCAL, local.name(place));
      return;
    }
    if (this.#unusable.has(local.name(place))) return;
    const error = new TidemarkError("TM-VAULT-SEGMENT-MISSING", `${local.name(place)} was sealed here and is gone`);
    this.damaged(place, error);
  }

  /**
   * Records what a segment was sealed with, when it was read for the first time. Rejects with TM-VAULT-DAMAGED when it is not what it
   * was: to an archived copy, or to another reader who was faster.
   */
  async record(place: SegmentPlace, here: { readonly path: string; readonly sha256: string }): Promise<void> {
    const { book, local } = this.#parts;
    await this.#compareWithArchive(place, here);
    if (!book.digested(place, here.sha256)) throw changedSegment(here.path, here.sha256);
    this.#fresh.delete(local.name(place));
  }

  async #digestOne(): Promise<boolean> {
    const { book, local } = this.#parts;
    const next = book.catalogue.nextSegmentToDigest();
    if (next === undefined || !this.isUsable(next)) return false;
    return this.#guarded(next, async (path) => {
      await this.vouch(next, path);
      const sha256 = await fileDigest({ path, bytes: local.segmentBytes });
      await this.record(next, { path, sha256 });
    });
  }

  /**
   * What archived objects say that the bytes are, where nothing is recorded here: after the catalogue was lost, damage since
   * then is still found. Other bytes that are whole WAL are no damage but a name that was taken (trap 10): the object
   * counts no more, and the archiver keeps both.
   */
  async #compareWithArchive(place: SegmentPlace, here: { path: string; sha256: string }): Promise<void> {
    const { book, local, damageOf } = this.#parts;
    const others = book.stores
      .flatMap((store) => book.catalogue.objectsAt(store, place))
      .filter(({ kind, rawSha256 }) => kind === "segment" && rawSha256 !== here.sha256);
    const [other] = others;
    if (other === undefined) return;
    const bytes = await readStart({ path: here.path, bytes: local.segmentBytes });
    if (damageOf !== undefined && (await damageOf(bytes, place)) !== undefined)
      throw changedSegment(here.path, here.sha256, other.rawSha256);
    // What is right here is known first: nobody takes the other object for ours again.
    if (!book.digested(place, here.sha256)) throw changedSegment(here.path, here.sha256);
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
      if (next.sha256 !== undefined && next.sha256 !== sha256) throw changedSegment(path, sha256, next.sha256);
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
    const { local, world } = this.#parts;
    for (const [name, { place, dueMs }] of this.#unusable) {
      const nowMs = world.clock.monotonicMs();
      if (dueMs > nowMs) continue;
      // What is not behind it the receiver gets itself.
      const isOurs = local.isBehind(place);
      this.#unusable.set(name, { place, dueMs: nowMs + (isOurs ? REPAIR_EVERY_MS : RECEIVER_LOOK_MS) });
      if (isOurs && (await this.#repairOne(place))) this.#mended(place);
    }
  }

  /** A disk that is full or faulty keeps one segment from being mended, and nothing else from being done. */
  async #repairOne(place: SegmentPlace): Promise<boolean> {
    const { local, world } = this.#parts;
    try {
      return await this.#repair.repair(place);
    } catch (error) {
      const ofTheDisk = isLocalFault(error) || (error as NodeJS.ErrnoException).syscall !== undefined;
      if (isCatalogueFault(error) || !ofTheDisk) throw error;
      world.logger.error({ err: error, segment: local.name(place) }, "a damaged segment could not be put right; it is tried again");
      return false;
    }
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
      if (path !== undefined) await rm(path, { force: true });
      world.step("removed");
    }
    if (leaving.length === LEAVING_AT_ONCE) this.#pause.ring();
  }
}

/** @param expected what it was sealed with; absent where the catalogue has it. */
function changedSegment(path: string, sha256: string, expected = "another one"): TidemarkError {
  return new TidemarkError("TM-VAULT-DAMAGED", `${path} had SHA-256 ${expected} when it was sealed and has ${sha256} now`);
}
