/**
 * What the vault knows of its archive: the objects of each store, the sealed segments here with their digests, histories,
 * gaps and faults. An object stands here only after it was read again from its store and compared (trap 14), or, after the
 * catalogue was made anew, with `checkTurn` 0 until it is.
 */
import type { Timeline } from "@tidemark/kernel/brands";
import type { ErrorCode } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { CatalogueFile, CatalogueRow, CatalogueValue } from "./catalogue-file.ts";
import type { WalRange } from "./wal-range.ts";

/** `conflict`: our bytes of a segment whose key another object holds; kept, neither served nor counted. */
export type ArchivedKind = "segment" | "partial" | "history" | "conflict";

export interface ArchivedObject extends WalRange {
  readonly store: string;
  readonly key: string;
  readonly kind: ArchivedKind;
  readonly rawBytes: number;
  /** SHA-256 of what is sealed in it, hexadecimal. */
  readonly rawSha256: string;
  readonly objectBytes: number;
  /** SHA-256 of the object's bytes; undefined while it was never read whole. */
  readonly objectSha256: string | undefined;
  readonly commitMs: number | undefined;
  /** Wall time at which it was compared first. */
  readonly archivedMs: number;
  /** Grows with every comparison; 0: none yet. An order of turns and not of times, which jump. */
  readonly checkTurn: number;
}

export interface LocalSegment {
  readonly timeline: Timeline;
  readonly start: Lsn;
  /** Undefined before it was digested. */
  readonly sha256: string | undefined;
  /** As for objects. */
  readonly checkTurn: number;
}

export interface RecordedGap extends WalRange {
  readonly reason: string;
  readonly atMs: number;
}

export interface RecordedFault {
  readonly where: string;
  readonly subject: string;
  readonly code: ErrorCode;
  readonly range: WalRange | undefined;
  readonly message: string;
  readonly sinceMs: number;
  readonly seenMs: number;
}

/** Rows read in one call when all of a kind are gone through. */
const PAGE_ROWS = 1_000;

export class Catalogue {
  readonly #file: CatalogueFile;
  #turn: number;

  constructor(file: CatalogueFile) {
    this.#file = file;
    const highest = (sql: string): number => Number(file.figures(sql)[0]?.["most"] ?? 0n);
    this.#turn = Math.max(highest("SELECT max(check_turn) AS most FROM object"), highest("SELECT max(check_turn) AS most FROM segment"));
  }

  /** A number above all that were given: for `checkTurn`. */
  nextTurn(): number {
    return ++this.#turn;
  }

  transaction<T>(work: () => T): T {
    return this.#file.transaction(work);
  }

  /** Whether all that the store has is known here: false until its objects were listed once. */
  storeKnown(store: string): boolean {
    return this.#file.row("SELECT * FROM store WHERE name = ?", store)?.["known"] === 1n;
  }

  setStoreKnown(store: string, known: boolean): void {
    this.#file.write("store", { name: store, known: known ? 1n : 0n });
  }

  putObject(object: ArchivedObject): void {
    this.#file.write("object", {
      store: object.store,
      key: object.key,
      kind: object.kind,
      timeline: BigInt(object.timeline),
      start: object.start,
      end: object.end,
      raw_bytes: BigInt(object.rawBytes),
      raw_sha256: object.rawSha256,
      object_bytes: BigInt(object.objectBytes),
      object_sha256: object.objectSha256 ?? null,
      commit_ms: object.commitMs === undefined ? null : BigInt(Math.floor(object.commitMs)),
      archived_ms: BigInt(Math.floor(object.archivedMs)),
      check_turn: BigInt(object.checkTurn),
    });
  }

  removeObject(store: string, key: string): void {
    this.#file.remove("DELETE FROM object WHERE store = ? AND key = ?", store, key);
  }

  removeObjectsOf(store: string): void {
    this.#file.remove("DELETE FROM object WHERE store = ?", store);
  }

  object(store: string, key: string): ArchivedObject | undefined {
    return this.#objects("SELECT * FROM object WHERE store = ? AND key = ?", store, key)[0];
  }

  /** Objects of the segment that begins there: the whole one first, then partial ones, the longest first. */
  objectsAt(store: string, place: { timeline: Timeline; start: Lsn }): ArchivedObject[] {
    const sql = "SELECT * FROM object WHERE store = ? AND timeline = ? AND start = ?";
    const found = this.#objects(sql, store, BigInt(place.timeline), place.start).filter(({ kind }) => kind !== "history");
    const rank = ({ kind }: ArchivedObject): number => ["segment", "partial", "history", "conflict"].indexOf(kind);
    return found.sort((a, b) => rank(a) - rank(b) || (a.end > b.end ? -1 : 1));
  }

  partials(store: string): ArchivedObject[] {
    return this.#objects("SELECT * FROM object WHERE store = ? AND kind = 'partial' ORDER BY timeline, start, end", store);
  }

  /** A page of a store's objects in the order of their keys. */
  objectsAfter(store: string, key: string): ArchivedObject[] {
    return this.#objects(`SELECT * FROM object WHERE store = ? AND key > ? ORDER BY key LIMIT ${PAGE_ROWS}`, store, key);
  }

  /** Every object of a store, by page; the store may change meanwhile. */
  *objectsOf(store: string): Generator<ArchivedObject> {
    for (let after = ""; ;) {
      const page = this.objectsAfter(store, after);
      yield* page;
      if (page.length < PAGE_ROWS) return;
      after = page.at(-1)?.key ?? "";
    }
  }

  /** The newest object that was never read whole, before `below` in the order of the WAL. */
  nextUnread(store: string, below?: { timeline: Timeline; start: Lsn }): ArchivedObject | undefined {
    const order = "ORDER BY timeline DESC, start DESC LIMIT 1";
    if (below === undefined) return this.#objects(`SELECT * FROM object WHERE store = ? AND check_turn = 0 ${order}`, store)[0];
    const sql = `SELECT * FROM object WHERE store = ? AND check_turn = 0 AND (timeline, start) < (?, ?) ${order}`;
    return this.#objects(sql, store, BigInt(below.timeline), below.start)[0];
  }

  /** The object whose turn is longest ago. */
  longestUnchecked(store: string): ArchivedObject | undefined {
    return this.#objects("SELECT * FROM object WHERE store = ? AND check_turn > 0 ORDER BY check_turn LIMIT 1", store)[0];
  }

  /** The object that could not be opened and was looked at longest ago: keys may have come back. */
  nextUnopened(store: string): ArchivedObject | undefined {
    const sql = "SELECT * FROM fault WHERE place = ? AND code LIKE 'TM-SEAL-%' ORDER BY seen_ms LIMIT 1";
    const fault = this.#file.rows(sql, store).map(toFault)[0];
    return fault === undefined ? undefined : this.object(store, fault.subject);
  }

  conflicts(store: string): ArchivedObject[] {
    return this.#objects("SELECT * FROM object WHERE store = ? AND kind = 'conflict' ORDER BY key", store);
  }

  newest(store: string): ArchivedObject | undefined {
    const sql =
      "SELECT * FROM object WHERE store = ? AND kind IN ('segment', 'partial') ORDER BY timeline DESC, start DESC, end DESC LIMIT 1";
    return this.#objects(sql, store)[0];
  }

  /** The last known commit time of a store's verified objects on `timeline` up to `end`. */
  lastCommitMs(store: string, timeline: Timeline, end: Lsn): number | undefined {
    const sql =
      "SELECT * FROM object WHERE store = ? AND timeline = ? AND start < ? AND end <= ? AND commit_ms IS NOT NULL AND check_turn > 0 " +
      "ORDER BY start DESC, end DESC LIMIT 1";
    return this.#objects(sql, store, BigInt(timeline), end, end)[0]?.commitMs;
  }

  figures(store: string): { objects: number; unverified: number; bytes: number } {
    const sql = "SELECT count(*) AS objects, sum(check_turn = 0) AS unverified, sum(object_bytes) AS bytes FROM object WHERE store = ?";
    const row = this.#file.figures(sql, store)[0];
    return { objects: Number(row?.["objects"] ?? 0n), unverified: Number(row?.["unverified"] ?? 0n), bytes: Number(row?.["bytes"] ?? 0n) };
  }

  putSegment(segment: LocalSegment): void {
    this.#file.write("segment", {
      timeline: BigInt(segment.timeline),
      start: segment.start,
      sha256: segment.sha256 ?? null,
      check_turn: BigInt(segment.checkTurn),
    });
  }

  removeSegment(place: { timeline: Timeline; start: Lsn }): void {
    this.#file.remove("DELETE FROM segment WHERE timeline = ? AND start = ?", BigInt(place.timeline), place.start);
  }

  segment(place: { timeline: Timeline; start: Lsn }): LocalSegment | undefined {
    return this.#file.rows("SELECT * FROM segment WHERE timeline = ? AND start = ?", BigInt(place.timeline), place.start).map(toSegment)[0];
  }

  segments(): LocalSegment[] {
    return this.#file.rows("SELECT * FROM segment ORDER BY timeline, start").map(toSegment);
  }

  /** Sealed segments here that `store` has neither whole nor as a conflict, in order. */
  segmentsNotIn(store: string, most: number): LocalSegment[] {
    const sql =
      "SELECT segment.* FROM segment WHERE NOT EXISTS (SELECT 1 FROM object WHERE object.store = ? AND object.timeline = segment.timeline " +
      "AND object.start = segment.start AND object.kind IN ('segment', 'conflict')) ORDER BY segment.timeline, segment.start LIMIT ?";
    return this.#file.rows(sql, store, BigInt(most)).map(toSegment);
  }

  /** The oldest sealed segments here, each with whether every one of `stores` has these very bytes whole, read again. */
  oldestSegments(stores: readonly string[], most: number): (LocalSegment & { readonly archived: boolean })[] {
    const oldest = this.#file.rows("SELECT * FROM segment ORDER BY timeline, start LIMIT ?", BigInt(most)).map(toSegment);
    return oldest.map((segment) => ({
      ...segment,
      archived: segment.sha256 !== undefined && stores.every((store) => this.hasWhole(store, segment)),
    }));
  }

  /** Whether the store has the segment whole, read again, and with the bytes that are here; false while these are not known. */
  hasWhole(store: string, place: { timeline: Timeline; start: Lsn }): boolean {
    const here = this.segment(place);
    if (here !== undefined && here.sha256 === undefined) return false;
    const whole = this.objectsAt(store, place).filter(({ kind, checkTurn }) => kind === "segment" && checkTurn > 0);
    return whole.some(({ rawSha256 }) => here === undefined || here.sha256 === rawSha256);
  }

  nextSegmentToCheck(): LocalSegment | undefined {
    return this.#file.rows("SELECT * FROM segment WHERE sha256 IS NOT NULL ORDER BY check_turn LIMIT 1").map(toSegment)[0];
  }

  nextSegmentToDigest(): LocalSegment | undefined {
    return this.#file.rows("SELECT * FROM segment WHERE sha256 IS NULL ORDER BY check_turn, timeline, start LIMIT 1").map(toSegment)[0];
  }

  putHistory(timeline: Timeline, content: string): void {
    this.#file.write("history", { timeline: BigInt(timeline), content });
  }

  histories(): { timeline: Timeline; content: string }[] {
    const rows = this.#file.rows("SELECT * FROM history ORDER BY timeline");
    return rows.map((row) => ({ timeline: number(row, "timeline") as Timeline, content: text(row, "content") }));
  }

  putGap(gap: RecordedGap): void {
    this.#file.write("gap", {
      timeline: BigInt(gap.timeline),
      start: gap.start,
      end: gap.end,
      reason: gap.reason,
      at_ms: BigInt(Math.floor(gap.atMs)),
    });
  }

  gaps(): RecordedGap[] {
    return this.#file.rows("SELECT * FROM gap ORDER BY timeline, start").map((row) => ({
      timeline: number(row, "timeline") as Timeline,
      start: big(row, "start"),
      end: big(row, "end"),
      reason: text(row, "reason"),
      atMs: number(row, "at_ms"),
    }));
  }

  putFault(fault: RecordedFault): void {
    this.#file.write("fault", {
      place: fault.where,
      subject: fault.subject,
      code: fault.code,
      timeline: fault.range === undefined ? null : BigInt(fault.range.timeline),
      start: fault.range?.start ?? null,
      end: fault.range?.end ?? null,
      message: fault.message,
      since_ms: BigInt(Math.floor(fault.sinceMs)),
      seen_ms: BigInt(Math.floor(fault.seenMs)),
    });
  }

  /** Returns whether there was one. Without `code`: all of the subject. */
  removeFaults(where: string, subject: string, code?: ErrorCode): boolean {
    if (code === undefined) return this.#file.remove("DELETE FROM fault WHERE place = ? AND subject = ?", where, subject) > 0;
    return this.#file.remove("DELETE FROM fault WHERE place = ? AND subject = ? AND code = ?", where, subject, code) > 0;
  }

  fault(where: string, subject: string, code: ErrorCode): RecordedFault | undefined {
    return this.#file.rows("SELECT * FROM fault WHERE place = ? AND subject = ? AND code = ?", where, subject, code).map(toFault)[0];
  }

  /** The oldest faults first, at most `most`. */
  faults(most: number): RecordedFault[] {
    return this.#file.rows("SELECT * FROM fault ORDER BY since_ms, place, subject LIMIT ?", BigInt(most)).map(toFault);
  }

  subjectsOf(where: string, code: ErrorCode): string[] {
    const rows = this.#file.rows("SELECT * FROM fault WHERE place = ? AND code = ?", where, code);
    return rows.map((row) => text(row, "subject"));
  }

  close(): void {
    this.#file.close();
  }

  #objects(sql: string, ...values: CatalogueValue[]): ArchivedObject[] {
    return this.#file.rows(sql, ...values).map(toObject);
  }
}

function toObject(row: CatalogueRow): ArchivedObject {
  const commit = row["commit_ms"];
  return {
    store: text(row, "store"),
    key: text(row, "key"),
    kind: text(row, "kind") as ArchivedKind,
    timeline: number(row, "timeline") as Timeline,
    start: big(row, "start"),
    end: big(row, "end"),
    rawBytes: number(row, "raw_bytes"),
    rawSha256: text(row, "raw_sha256"),
    objectBytes: number(row, "object_bytes"),
    objectSha256: row["object_sha256"] === null ? undefined : text(row, "object_sha256"),
    commitMs: commit === null || commit === undefined ? undefined : Number(commit),
    archivedMs: number(row, "archived_ms"),
    checkTurn: number(row, "check_turn"),
  };
}

function toSegment(row: CatalogueRow): LocalSegment {
  return {
    timeline: number(row, "timeline") as Timeline,
    start: big(row, "start"),
    sha256: row["sha256"] === null ? undefined : text(row, "sha256"),
    checkTurn: number(row, "check_turn"),
  };
}

function toFault(row: CatalogueRow): RecordedFault {
  const range =
    row["timeline"] === null
      ? undefined
      : { timeline: number(row, "timeline") as Timeline, start: big(row, "start"), end: big(row, "end") };
  return {
    where: text(row, "place"),
    subject: text(row, "subject"),
    code: text(row, "code") as ErrorCode,
    range,
    message: text(row, "message"),
    sinceMs: number(row, "since_ms"),
    seenMs: number(row, "seen_ms"),
  };
}

function text(row: CatalogueRow, column: string): string {
  return String(row[column]);
}

function number(row: CatalogueRow, column: string): number {
  return Number(row[column]);
}

function big(row: CatalogueRow, column: string): Lsn {
  return BigInt(row[column] ?? 0n) as Lsn;
}
