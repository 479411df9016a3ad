/**
 * The catalogue with what follows from it kept at hand: what each store covers, and the faults. Every change goes to the
 * catalogue first, durably, and only then into memory: what is shown was written (no claim that a crash takes back).
 */
import type { Clock } from "@tidemark/kernel/clock";
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { parseTimelineHistory, type TimelineSwitch } from "@tidemark/postgres/timeline-history";
import type { ArchivedObject, Catalogue, RecordedFault, RecordedGap } from "./catalogue.ts";
import { findHoles, forkOf, newestReach, type Coverage, type Hole, type Reach } from "./hole-check.ts";
import { RangeSet, type LsnRange, type WalRange } from "./wal-range.ts";

/** The place of faults and holes of the vault's own folder; stores have other names. */
export const LOCAL = "local";

/** What a fault of the keys themselves is about. */
const KEYS = "keys";
const KEY_TROUBLES: ReadonlySet<ErrorCode> = new Set(["TM-SEAL-KEY-SOURCE", "TM-SEAL-KMS-AWAY", "TM-SEAL-KMS-DENIED"] as const);

type Place = { readonly timeline: Timeline; readonly start: Lsn };
type Sets = Map<Timeline, RangeSet>;

export interface BookParts {
  readonly catalogue: Catalogue;
  readonly segmentBytes: number;
  readonly stores: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface FaultNote {
  readonly where: string;
  readonly subject: string;
  readonly code: ErrorCode;
  readonly message: string;
  readonly range?: WalRange;
}

export class ArchiveBook {
  readonly catalogue: Catalogue;
  readonly segmentBytes: number;
  readonly stores: readonly string[];
  readonly #parts: BookParts;
  /** Everything that is listed, and what of it was read again and compared. */
  readonly #listed = new Map<string, Sets>();
  readonly #verified = new Map<string, Sets>();
  readonly #local: Sets = new Map();
  #gaps: readonly RecordedGap[] = [];
  readonly #histories = new Map<Timeline, readonly TimelineSwitch[]>();
  readonly #holes = new Map<string, readonly Hole[]>();
  readonly #listeners = new Set<() => void>();

  constructor(parts: BookParts) {
    this.#parts = parts;
    this.catalogue = parts.catalogue;
    this.segmentBytes = parts.segmentBytes;
    this.stores = parts.stores;
    this.reload();
  }

  /** Reads everything anew from the catalogue. */
  reload(): void {
    this.#local.clear();
    this.#gaps = this.catalogue.gaps();
    for (const { timeline, content } of this.catalogue.histories()) this.#histories.set(timeline, parseTimelineHistory(content));
    for (const segment of this.catalogue.segments()) setOf(this.#local, segment.timeline).add(this.#whole(segment));
    for (const store of this.stores) {
      this.#listed.set(store, new Map());
      this.#verified.set(store, new Map());
      for (const object of this.catalogue.objectsOf(store)) this.#cover(object);
    }
    this.#recheck([...this.stores, LOCAL]);
  }

  /** Calls `listener` after every change until the function that it returns is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The object is in its store; with `checkTurn` above 0 it was read again and compared, which ends what was wrong with it. */
  archived(object: ArchivedObject): void {
    this.catalogue.transaction(() => {
      this.catalogue.putObject(object);
      if (object.checkTurn > 0) this.catalogue.removeFaults(object.store, object.key);
    });
    this.#cover(object);
    this.#recheck([object.store]);
  }

  /** The object is gone from its store, or does not count any more; with a fault where nobody meant that. */
  gone(object: ArchivedObject, fault?: FaultNote): void {
    this.catalogue.transaction(() => {
      this.catalogue.removeObject(object.store, object.key);
      if (fault !== undefined) this.#write(fault);
    });
    if (object.kind === "segment" || object.kind === "partial") {
      const rest = this.catalogue.objectsAt(object.store, object);
      for (const [book, only] of [
        [this.#listed, false],
        [this.#verified, true],
      ] as const) {
        const set = setOf(book.get(object.store) ?? new Map(), object.timeline);
        set.remove(this.#whole(object));
        for (const other of rest) {
          if (other.kind !== "conflict" && (!only || other.checkTurn > 0)) set.add(other);
        }
      }
    }
    this.#recheck([object.store]);
  }

  /** Forgets all objects of a store, which has to be listed anew. */
  forgetStore(store: string): void {
    this.catalogue.transaction(() => {
      this.catalogue.removeObjectsOf(store);
      this.catalogue.setStoreKnown(store, false);
    });
    this.#listed.set(store, new Map());
    this.#verified.set(store, new Map());
    this.#recheck([store]);
  }

  /** A sealed segment that is here. Keeps what is known of it already. */
  segmentHere(place: Place): void {
    if (this.catalogue.segment(place) === undefined) this.#putSegment(place, undefined);
    setOf(this.#local, place.timeline).add(this.#whole(place));
    this.#recheck([LOCAL]);
  }

  /**
   * The segment here was read and has this digest. The first one that is recorded stands: two readers may be at it, and the file may be
   * damaged between them. False when another one is recorded: then it is not what it was.
   */
  digested(place: Place, sha256: string): boolean {
    const known = this.catalogue.segment(place)?.sha256;
    if (known !== undefined) return known === sha256;
    this.#putSegment(place, sha256);
    this.segmentHere(place);
    return true;
  }

  segmentGone(place: Place): void {
    this.catalogue.removeSegment(place);
    this.uncover(place);
  }

  /** The segment counts for nothing until it is here again: it is damaged or gone. */
  uncover(place: Place): void {
    setOf(this.#local, place.timeline).remove(this.#whole(place));
    this.#recheck([LOCAL]);
  }

  /** Throws TM-PG-TIMELINE-HISTORY. */
  history(timeline: Timeline, content: string): void {
    const parsed = parseTimelineHistory(content);
    this.catalogue.putHistory(timeline, content);
    this.#histories.set(timeline, parsed);
    this.#recheck([...this.stores, LOCAL]);
  }

  /** Gaps that overlap a range. */
  gapsIn(range: WalRange): RecordedGap[] {
    return this.#gaps.filter((gap) => gap.timeline === range.timeline && gap.start < range.end && gap.end > range.start);
  }

  get histories(): ReadonlyMap<Timeline, readonly TimelineSwitch[]> {
    return this.#histories;
  }

  /** Where the timeline ends in the newest history that names it. */
  forkOf(timeline: Timeline): Lsn | undefined {
    return forkOf(this.#histories, timeline);
  }

  /** WAL that could not be received. */
  gap(gap: WalRange & { readonly reason: string }): void {
    const { timeline, start, end, reason } = gap;
    if (this.#gaps.some((known) => known.timeline === timeline && known.start === start && known.end === end)) return;
    this.catalogue.putGap({ timeline, start, end, reason, atMs: this.#parts.clock.wallMs() });
    this.#gaps = this.catalogue.gaps();
    this.#recheck([...this.stores, LOCAL]);
  }

  fault(note: FaultNote): void {
    this.catalogue.transaction(() => this.#write(note));
    this.#changed();
  }

  repaired(where: string, subject: string, code?: ErrorCode): void {
    if (this.catalogue.removeFaults(where, subject, code)) this.#changed();
  }

  /** Keys cannot be had at all (a file that is gone, a KMS that is away): no object's fault, and archiving waits for it. */
  keysFailed(where: string, error: unknown): void {
    if (!(error instanceof TidemarkError) || !KEY_TROUBLES.has(error.code)) return;
    this.fault({ where, subject: KEYS, code: error.code, message: error.message });
  }

  keysWork(where: string): void {
    this.repaired(where, KEYS);
  }

  /** What a store covers by what was read again and compared, or by what is listed. */
  coverage(store: string, what: "verified" | "listed"): Coverage {
    const sets = (what === "verified" ? this.#verified : this.#listed).get(store) ?? new Map<Timeline, RangeSet>();
    return this.#coverageOf(sets);
  }

  localCoverage(): Coverage {
    return this.#coverageOf(this.#local);
  }

  reach(store: string): Reach | undefined {
    return newestReach(this.coverage(store, "verified"));
  }

  /** Holes by place, as of the last change. */
  holes(): readonly (Hole & { readonly where: string })[] {
    return [...this.#holes].flatMap(([where, holes]) => holes.map((hole) => ({ ...hole, where })));
  }

  #cover(object: ArchivedObject): void {
    if (object.kind !== "segment" && object.kind !== "partial") return;
    setOf(this.#listed.get(object.store) ?? new Map(), object.timeline).add(object);
    if (object.checkTurn > 0) setOf(this.#verified.get(object.store) ?? new Map(), object.timeline).add(object);
  }

  /** NO-HOLE: at every change, of what changed. New holes become faults, filled ones end theirs. */
  #recheck(places: readonly string[]): void {
    for (const where of places) {
      const before = new Set(this.catalogue.subjectsOf(where, "TM-VAULT-HOLE"));
      const holes = findHoles(where === LOCAL ? this.localCoverage() : this.coverage(where, "listed"));
      this.#holes.set(where, holes);
      for (const hole of holes) {
        if (before.delete(nameOf(hole))) continue;
        const words = `from ${formatLsn(hole.start)} to ${formatLsn(hole.end)} of timeline ${hole.timeline}`;
        const message =
          hole.kind === "wal"
            ? `WAL is missing ${words}`
            : `the history of timeline ${hole.timeline} is missing; WAL ${words} cannot be read without it`;
        this.#write({ where, subject: nameOf(hole), code: "TM-VAULT-HOLE", message, range: hole });
      }
      for (const name of before) this.catalogue.removeFaults(where, name, "TM-VAULT-HOLE");
    }
    this.#changed();
  }

  #write(note: FaultNote): void {
    const now = this.#parts.clock.wallMs();
    const old = this.catalogue.fault(note.where, note.subject, note.code);
    const fault: RecordedFault = { ...note, range: note.range, sinceMs: old?.sinceMs ?? now, seenMs: now };
    this.catalogue.putFault(fault);
    if (old === undefined) this.#parts.logger.error({ ...note, range: undefined }, note.message);
  }

  #putSegment({ timeline, start }: Place, sha256: string | undefined): void {
    this.catalogue.putSegment({ timeline, start, sha256, checkTurn: this.catalogue.nextTurn() });
  }

  #whole(place: Place): LsnRange {
    return { start: place.start, end: (place.start + BigInt(this.segmentBytes)) as Lsn };
  }

  #coverageOf(sets: Sets): Coverage {
    const covered = new Map([...sets].map(([timeline, set]) => [timeline, this.#received(timeline, set)] as const));
    return { segmentBytes: this.segmentBytes, covered, histories: this.#histories };
  }

  /** A file may be there and hold zeros where nothing was received: a gap is no coverage. */
  #received(timeline: Timeline, set: RangeSet): readonly LsnRange[] {
    const gaps = this.#gaps.filter((gap) => gap.timeline === timeline);
    if (gaps.length === 0) return set.ranges;
    const received = new RangeSet();
    for (const range of set.ranges) received.add(range);
    for (const gap of gaps) received.remove(gap);
    return received.ranges;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function nameOf(hole: Hole): string {
  return `${hole.kind} ${hole.timeline} ${formatLsn(hole.start)}-${formatLsn(hole.end)}`;
}

function setOf(sets: Sets, timeline: Timeline): RangeSet {
  let set = sets.get(timeline);
  if (set === undefined) {
    set = new RangeSet();
    sets.set(timeline, set);
  }
  return set;
}
