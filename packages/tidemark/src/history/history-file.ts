// The file of the history: one SQLite database, one process. Four tables in the order in which data goes through them:
//
//   frame          every second one row with all series: a small append, whatever the number of series
//   second_block   per series and minute its seconds, written within half a minute after the minute is over
//   minute_bucket  the same minute as one bucket (min, max, sum, counts), in the same transaction
//   hour_bucket    from the buckets of its minutes once the hour is over
//
// A second_block says the last frame that is in it. After a crash the frames that are still there are read again, and what is
// in a block already is left out: nothing is counted twice. A write-ahead log with synchronous = NORMAL loses no committed second when the
// process is killed; when the machine loses power it may lose the last ones, and the file stays whole.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Bucket } from "./bucket.ts";

/** PRAGMA user_version of the file. */
const FORMAT_VERSION = 1;

/** The write-ahead log is moved into the file when it has so many pages of 4 KiB, and cut to so many bytes then. */
const CHECKPOINT_PAGES = 4_000;
const MOST_LOG_BYTES = 64 * 1_048_576;

/** Pages in memory. */
const CACHE_KIB = 32_768;

/** The file may be so much larger than its content, for what is being removed. */
const HARD_LIMIT = 1.25;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, metric TEXT NOT NULL, labels TEXT NOT NULL, rolled INTEGER NOT NULL, UNIQUE (metric, labels)) STRICT;
  CREATE TABLE IF NOT EXISTS frame (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS second_block (series INTEGER, start INTEGER, through INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (series, start)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS minute_bucket (series INTEGER, start INTEGER, known INTEGER NOT NULL, unknown INTEGER NOT NULL, min REAL, max REAL, sum REAL, PRIMARY KEY (series, start)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS hour_bucket (series INTEGER, start INTEGER, known INTEGER NOT NULL, unknown INTEGER NOT NULL, min REAL, max REAL, sum REAL, PRIMARY KEY (series, start)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS kept (tier TEXT PRIMARY KEY, from_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;`;

const add = (table: string): string =>
  `INSERT INTO ${table} AS was (series, start, known, unknown, min, max, sum) VALUES (?, ?, ?, ?, ?, ?, ?)
   ON CONFLICT DO UPDATE SET known = was.known + excluded.known, unknown = was.unknown + excluded.unknown,
     min = coalesce(min(was.min, excluded.min), was.min, excluded.min), max = coalesce(max(was.max, excluded.max), was.max, excluded.max),
     sum = coalesce(was.sum + excluded.sum, was.sum, excluded.sum)`;

const STATEMENTS = {
  allSeries: "SELECT id, metric, labels, rolled FROM series",
  addSeries: "INSERT OR IGNORE INTO series (id, metric, labels, rolled) VALUES (?, ?, ?, ?)",
  dropSeries: `DELETE FROM series WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM hour_bucket WHERE series = ?1)
     AND NOT EXISTS (SELECT 1 FROM minute_bucket WHERE series = ?1) AND NOT EXISTS (SELECT 1 FROM second_block WHERE series = ?1)`,
  setRolled: "UPDATE series SET rolled = ? WHERE id = ?",
  addFrame: "INSERT INTO frame (id, at_ms, body) VALUES (?, ?, ?)",
  lastFrame: "SELECT seq AS id FROM sqlite_sequence WHERE name = 'frame'",
  lastTime: "SELECT at_ms AS ms FROM frame ORDER BY id DESC LIMIT 1",
  frames: "SELECT id, at_ms, body FROM frame ORDER BY id",
  dropFrames: "DELETE FROM frame WHERE id < ?",
  block: "SELECT through, body FROM second_block WHERE series = ? AND start = ?",
  setBlock: "INSERT OR REPLACE INTO second_block (series, start, through, body) VALUES (?, ?, ?, ?)",
  blocks: "SELECT start, body FROM second_block WHERE series = ? AND start >= ? AND start < ? ORDER BY start",
  addMinute: add("minute_bucket"),
  addHour: add("hour_bucket"),
  minutes: "SELECT start, known, unknown, min, max, sum FROM minute_bucket WHERE series = ? AND start >= ? AND start < ? ORDER BY start",
  hours: "SELECT start, known, unknown, min, max, sum FROM hour_bucket WHERE series = ? AND start >= ? AND start < ? ORDER BY start",
  rollUp: `INSERT OR REPLACE INTO hour_bucket (series, start, known, unknown, min, max, sum)
     SELECT series, start / 60, sum(known), sum(unknown), min(min), max(max), sum(sum) FROM minute_bucket
     WHERE series = ? AND start >= ? AND start < ? GROUP BY start / 60`,
  trimSeconds: "DELETE FROM second_block WHERE series = ?1 AND (start < ?2 OR start > ?3)",
  trimMinutes: "DELETE FROM minute_bucket WHERE series = ?1 AND (start < ?2 OR start > ?3)",
  trimHours: "DELETE FROM hour_bucket WHERE series = ?1 AND (start < ?2 OR start > ?3)",
  kept: "SELECT tier, from_ms FROM kept",
  setKept: "INSERT OR REPLACE INTO kept (tier, from_ms) VALUES (?, ?)",
  pages:
    "SELECT p.page_count AS pages, f.freelist_count AS free, s.page_size AS size FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s",
} as const;

export interface BucketRow {
  readonly start: number;
  readonly known: number;
  readonly unknown: number;
  readonly min: number | null;
  readonly max: number | null;
  readonly sum: number | null;
}

export class HistoryFile {
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<keyof typeof STATEMENTS, StatementSync>();

  /** Opens or makes the file; `:memory:` for tests. Throws what SQLite throws, and TM-HISTORY-VERSION. */
  constructor(path: string, mostBytes: number) {
    this.#database = new DatabaseSync(path);
    try {
      this.#open(path, mostBytes);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  #open(path: string, mostBytes: number): void {
    this.#database.exec(
      `PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF;
       PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = ${MOST_LOG_BYTES}; PRAGMA cache_size = -${CACHE_KIB};`,
    );
    const { user_version: version } = this.#database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (version !== 0 && version !== FORMAT_VERSION)
      throw new TidemarkError("TM-HISTORY-VERSION", `${path} has format version ${version}; this Tidemark knows ${FORMAT_VERSION}`);
    this.transaction(() => {
      this.#database.exec(`${SCHEMA} PRAGMA user_version = ${FORMAT_VERSION};`);
    });
    const { size } = this.row("pages") as { size: number };
    this.#database.exec(`PRAGMA max_page_count = ${Math.max(64, Math.ceil((mostBytes * HARD_LIMIT) / size))};`);
  }

  /** All of `work` is in the file afterwards, or nothing of it. */
  transaction(work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      // SQLite has rolled back by itself after some faults.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  run(name: keyof typeof STATEMENTS, ...values: readonly (number | string | Uint8Array | null)[]): number {
    return Number(this.#statement(name).run(...values).changes);
  }

  row(name: keyof typeof STATEMENTS, ...values: readonly (number | string)[]): unknown {
    return this.#statement(name).get(...values);
  }

  rows(name: keyof typeof STATEMENTS, ...values: readonly (number | string)[]): Iterable<unknown> {
    return this.#statement(name).iterate(...values);
  }

  addBucket(name: "addMinute" | "addHour", key: { series: number; start: number }, bucket: Bucket): void {
    const { min, max, sum } = bucket.values ?? { min: null, max: null, sum: null };
    this.run(name, key.series, key.start, bucket.known, bucket.unknown, min, max, sum);
  }

  /** Bytes that its content takes: pages without the free ones. */
  usedBytes(): number {
    const { pages, free, size } = this.row("pages") as { pages: number; free: number; size: number };
    return (pages - free) * size;
  }

  close(): void {
    this.#database.close();
  }

  #statement(name: keyof typeof STATEMENTS): StatementSync {
    const found = this.#prepared.get(name) ?? this.#database.prepare(STATEMENTS[name]);
    this.#prepared.set(name, found);
    return found;
  }
}

export function bucketOfRow({ known, unknown, min, max, sum }: BucketRow): Bucket {
  return min === null || max === null || sum === null ? { known, unknown } : { known, unknown, values: { min, max, sum } };
}
