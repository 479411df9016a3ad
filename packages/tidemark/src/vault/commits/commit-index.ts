/**
 * The index of commits by segment, so that a time can be turned into a position without reading the WAL again. Everything in it
 * can be made again from the segments: it is written without waiting for the disk, and a file that is damaged, or belongs to
 * another cluster, is put aside. SQLite notices damage to its own structure only, so every row carries a sum of its values.
 */
import { existsSync, renameSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { CommitPoint, SegmentCommits } from "./commit-point.ts";
import type { WalTrail } from "./wal-trail.ts";

/** PRAGMA application_id: "TMVX"; user_version is the format's. */
const APPLICATION_ID = 0x544d_5658;
const FORMAT_VERSION = 1;

/** SQLite's result codes for a file that is damaged, or is no database at all. */
const DAMAGED_CODES: ReadonlySet<unknown> = new Set([11, 26]);

const SCHEMA = `
  CREATE TABLE cluster (system_identifier TEXT NOT NULL, segment_bytes INTEGER NOT NULL) STRICT;
  CREATE TABLE segment (
    timeline INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL,
    first_lsn INTEGER, first_end INTEGER, first_us INTEGER, first_xid INTEGER,
    last_lsn INTEGER, last_end INTEGER, last_us INTEGER, last_xid INTEGER,
    earliest_us INTEGER, latest_us INTEGER, boundary INTEGER NOT NULL, previous INTEGER NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (timeline, start)) STRICT, WITHOUT ROWID;
`;

const COLUMNS = ["timeline", "start", "count", "first_lsn", "first_end", "first_us", "first_xid", "last_lsn", "last_end", "last_us", "last_xid", "earliest_us", "latest_us", "boundary", "previous"] as const; // prettier-ignore
type Values = Record<(typeof COLUMNS)[number], bigint | null>;

/** Rows of one look: some milliseconds at the most, also where none of them is wanted. */
const WINDOW_SEGMENTS = 20_000n;

export interface CommitIndexOptions {
  readonly path: string;
  readonly systemIdentifier: string;
  readonly segmentBytes: number;
  readonly clock: Clock;
}

/** Which rows are looked for: those with a time after, or with one not after. */
export type RowWish = { readonly laterThanUs: number } | { readonly notLaterThanUs: number } | { readonly anyCommit: true } | undefined;

export class CommitIndex {
  readonly #options: CommitIndexOptions;
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #get: StatementSync;

  /** Opens the index, or begins a new one; `putAside` is where a file went that could not be used. Throws TM-VAULT-COMMIT-INDEX. */
  static open(options: CommitIndexOptions): { readonly index: CommitIndex; readonly putAside?: string } {
    return attempt("opened the index of commits", () => {
      try {
        return { index: new CommitIndex(options) };
      } catch (error) {
        if (!isDamaged(error)) throw error;
        const putAside = CommitIndex.putAside(options);
        return { index: new CommitIndex(options), putAside };
      }
    });
  }

  /** Moves the file away, to be called when it is closed; the next opening begins a new one. Returns where it went. */
  static putAside({ path, clock }: CommitIndexOptions): string {
    const aside = `${path}.damaged-${clock.wallMs()}`;
    for (const ending of ["", "-wal", "-shm"]) if (existsSync(path + ending)) renameSync(path + ending, aside + ending);
    return aside;
  }

  private constructor(options: CommitIndexOptions) {
    this.#options = options;
    this.#database = new DatabaseSync(options.path);
    try {
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0");
      this.#prepareFile();
      const marks = COLUMNS.map(() => "?").join(", ");
      this.#put = this.#database.prepare(`INSERT OR REPLACE INTO segment (${COLUMNS.join(", ")}, sum) VALUES (${marks}, ?)`);
      this.#get = this.#bigints("SELECT * FROM segment WHERE timeline = ? AND start = ?");
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  put(facts: SegmentCommits): void {
    const values = valuesOf(facts);
    const list = COLUMNS.map((name) => values[name]);
    attempt("wrote to the index of commits", () => this.#put.run(...list, sumOf(list)));
  }

  get(timeline: Timeline, start: Lsn): SegmentCommits | undefined {
    return attempt("read the index of commits", () => factsOf(this.#get.get(timeline, start) as Values | undefined));
  }

  /** Forgets the segments of a timeline that end behind `lsn`. */
  forget(timeline: Timeline, lsn: Lsn): void {
    const start = lsn - BigInt(this.#options.segmentBytes);
    attempt("wrote to the index of commits", () =>
      this.#database.prepare("DELETE FROM segment WHERE timeline = ? AND start > ?").run(timeline, start),
    );
  }

  /**
   * The segments of a trail that end at or before `below`, newest first, in portions of bounded work: a portion may be empty
   * though more come. Throws TM-VAULT-COMMIT-INDEX.
   */
  *descending(trail: WalTrail, below: Lsn, wish?: RowWish): Generator<SegmentCommits[]> {
    for (const { timeline, from, to } of this.#ranges(trail, below).toReversed())
      for (let end = to; end > from; end -= this.#window) yield this.#portion(timeline, { from: end - this.#window > from ? end - this.#window : from, to: end }, "DESC", wish); // prettier-ignore
  }

  /** The same, oldest first, and only those that begin at `lowest` or later. */
  *ascending(trail: WalTrail, within: { lowest: Lsn; below: Lsn }, wish?: RowWish): Generator<SegmentCommits[]> {
    for (const { timeline, from, to } of this.#ranges(trail, within.below))
      for (let start = from > within.lowest ? from : within.lowest; start < to; start += this.#window) yield this.#portion(timeline, { from: start, to: start + this.#window < to ? start + this.#window : to }, "ASC", wish); // prettier-ignore
  }

  close(): void {
    this.#database.close();
  }

  get #window(): bigint {
    return WINDOW_SEGMENTS * BigInt(this.#options.segmentBytes);
  }

  /** By timeline, the starts of the segments whose last byte is on it. */
  #ranges(trail: WalTrail, below: Lsn): { timeline: Timeline; from: bigint; to: bigint }[] {
    const bytes = BigInt(this.#options.segmentBytes);
    const bounds = attempt("read the index of commits", () =>
      this.#bigints("SELECT timeline, min(start) AS low FROM segment GROUP BY timeline").all(),
    ) as { timeline: bigint; low: bigint }[];
    const lows = new Map(bounds.map(({ timeline, low }) => [Number(timeline), low]));
    return trail.pieces.flatMap(({ timeline, from, to }) => {
      const low = lows.get(timeline);
      const end = to === undefined || to > below ? below : to;
      const begin = from - (from % bytes);
      return low === undefined ? [] : [{ timeline, from: low > begin ? low : begin, to: end - (end % bytes) }];
    });
  }

  #portion(timeline: Timeline, span: { from: bigint; to: bigint }, order: "ASC" | "DESC", wish: RowWish): SegmentCommits[] {
    const [condition, values] = conditionOf(wish);
    const limit = wish === undefined ? "" : "LIMIT 1";
    return attempt("read the index of commits", () => {
      const text = `SELECT * FROM segment WHERE timeline = ? AND start >= ? AND start < ? ${condition} ORDER BY start ${order} ${limit}`;
      const rows = this.#bigints(text).all(timeline, span.from, span.to, ...values) as unknown as Values[];
      return rows.flatMap((row) => factsOf(row) ?? []);
    });
  }

  #bigints(text: string): StatementSync {
    const statement = this.#database.prepare(text);
    statement.setReadBigInts(true);
    return statement;
  }

  #prepareFile(): void {
    const { systemIdentifier, segmentBytes } = this.#options;
    const pragma = (name: string): number => Number(Object.values(this.#database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
    if (pragma("user_version") === 0 && pragma("schema_version") === 0) {
      this.#database.exec(`BEGIN; ${SCHEMA} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT_VERSION}; COMMIT`);
      this.#database.prepare("INSERT INTO cluster VALUES (?, ?)").run(systemIdentifier, segmentBytes);
    }
    if (pragma("application_id") !== APPLICATION_ID || pragma("user_version") !== FORMAT_VERSION)
      throw new UnusableIndex("is of another format");
    const [verdict] = Object.values(this.#database.prepare("PRAGMA quick_check(1)").get() ?? {});
    if (verdict !== "ok") throw new UnusableIndex(`is damaged: ${String(verdict)}`);
    const cluster = this.#database.prepare("SELECT * FROM cluster").get();
    if (cluster?.["system_identifier"] !== systemIdentifier || cluster["segment_bytes"] !== segmentBytes)
      throw new UnusableIndex("is of another cluster");
  }
}

/** The file cannot be used and is to be made again. */
class UnusableIndex extends Error {}

/** Whether `error` says that the index must be made again. */
export function isDamaged(error: unknown): boolean {
  if (error instanceof UnusableIndex) return true;
  if (error instanceof TidemarkError) return isDamaged(error.cause);
  return DAMAGED_CODES.has((error as { errcode?: unknown } | undefined)?.errcode);
}

function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof TidemarkError) throw error;
    throw new TidemarkError("TM-VAULT-COMMIT-INDEX", `${what}: ${(error as Error).message}`, { cause: error });
  }
}

function conditionOf(wish: RowWish): [string, number[]] {
  if (wish === undefined) return ["", []];
  if ("anyCommit" in wish) return ["AND count > 0", []];
  if ("laterThanUs" in wish) return ["AND latest_us > ?", [wish.laterThanUs]];
  return ["AND earliest_us <= ?", [wish.notLaterThanUs]];
}

function sumOf(values: readonly (bigint | null)[]): bigint {
  return BigInt(crc32(values.join(" ")));
}

function valuesOf(facts: SegmentCommits): Values {
  const { first, last } = facts;
  const number = (value: number | undefined): bigint | null => (value === undefined ? null : BigInt(value));
  return {
    timeline: BigInt(facts.timeline),
    start: facts.start,
    count: BigInt(facts.count),
    first_lsn: first?.lsn ?? null,
    first_end: first?.end ?? null,
    first_us: number(first?.timeUs),
    first_xid: number(first?.xid),
    last_lsn: last?.lsn ?? null,
    last_end: last?.end ?? null,
    last_us: number(last?.timeUs),
    last_xid: number(last?.xid),
    earliest_us: number(facts.earliestUs),
    latest_us: number(facts.latestUs),
    boundary: facts.boundary,
    previous: facts.previous,
  };
}

function factsOf(row: (Values & { sum?: bigint }) | undefined): SegmentCommits | undefined {
  if (row === undefined) return undefined;
  if (sumOf(COLUMNS.map((name) => row[name])) !== row.sum) throw new UnusableIndex("has a row whose sum is wrong");
  const first = pointOf(row.first_lsn, row.first_end, row.first_us, row.first_xid);
  const last = pointOf(row.last_lsn, row.last_end, row.last_us, row.last_xid);
  return {
    timeline: Number(row.timeline) as Timeline,
    start: row.start as Lsn,
    count: Number(row.count),
    ...(first === undefined ? {} : { first }),
    ...(last === undefined ? {} : { last }),
    ...(row.earliest_us === null ? {} : { earliestUs: Number(row.earliest_us) }),
    ...(row.latest_us === null ? {} : { latestUs: Number(row.latest_us) }),
    boundary: row.boundary as Lsn,
    previous: row.previous as Lsn,
  };
}

function pointOf(...[lsn, end, timeUs, xid]: readonly (bigint | null)[]): CommitPoint | undefined {
  if (lsn == null || end == null || timeUs == null || xid == null) return undefined;
  return { lsn: lsn as Lsn, end: end as Lsn, timeUs: Number(timeUs), xid: Number(xid) };
}
