// The embedded lease store: one SQLite file, one process. A change is acknowledged after SQLite has synced it: a
// write-ahead log with synchronous = FULL syncs the log at every commit, and recovery after a power cut keeps it.
import { DatabaseSync } from "node:sqlite";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { LeaseEntry, LeaseStore } from "./lease-store.ts";
import { KeyWatch } from "./key-watch.ts";
import { checkKey, conflict, encodeValue } from "./lease-limits.ts";

/** PRAGMA user_version of the file. */
const FORMAT_VERSION = 1;

export class SqliteLeaseStore implements LeaseStore {
  readonly #database: DatabaseSync;
  readonly #watch: KeyWatch;
  readonly #onBroken: (error: TidemarkError) => void;
  #broken: unknown;

  /**
   * Opens or makes the file; `:memory:` for tests. A second process on the same file is refused: its waiters would not hear
   * of our changes. Throws TM-CLUSTER-LEASE-STORE-VALUE when the file is of another format version.
   * @param onBroken called once, when the store has stopped after a fault: only a new process, which recovers the file, cures it.
   */
  constructor(path: string, clock: Clock, onBroken: (error: TidemarkError) => void = () => undefined) {
    this.#watch = new KeyWatch(clock);
    this.#onBroken = onBroken;
    this.#database = new DatabaseSync(path);
    this.#database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;",
    );
    const { user_version: version } = this.#database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (version !== 0 && version !== FORMAT_VERSION) {
      throw new TidemarkError(
        "TM-CLUSTER-LEASE-STORE-VALUE",
        `${path} has format version ${version}; this Tidemark knows ${FORMAT_VERSION}`,
      );
    }
    this.#database.exec(
      `BEGIN IMMEDIATE;
       CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL CHECK (revision > 0)) STRICT, WITHOUT ROWID;
       PRAGMA user_version = ${FORMAT_VERSION};
       COMMIT;`,
    );
  }

  async read(key: string): Promise<LeaseEntry | undefined> {
    checkKey(key);
    return this.#attempt(() => this.#find(key));
  }

  async compareAndSet(key: string, expected: number, value: unknown): Promise<LeaseEntry> {
    const text = encodeValue(key, value);
    const entry = this.#attempt(() => {
      const statement =
        expected === 0
          ? this.#database.prepare("INSERT INTO entry (key, value, revision) VALUES (?, ?, 1) ON CONFLICT DO NOTHING").run(key, text)
          : this.#database
              .prepare("UPDATE entry SET value = ?, revision = revision + 1 WHERE key = ? AND revision = ?")
              .run(text, key, expected);
      return statement.changes === 1 ? this.#find(key) : undefined;
    });
    if (entry === undefined) throw conflict(key, expected, (await this.read(key))?.revision ?? 0);
    this.#watch.changed(entry);
    return entry;
  }

  async waitFor(key: string, after: number, options: { waitMs: number; signal?: AbortSignal }): Promise<LeaseEntry | undefined> {
    checkKey(key);
    // In one turn: a change between the look and the wait would be missed.
    return this.#watch.wait(key, after, { ...options, current: this.#attempt(() => this.#find(key)) });
  }

  close(): void {
    this.#watch.close();
    this.#database.close();
  }

  #find(key: string): LeaseEntry | undefined {
    const row = this.#database.prepare("SELECT value, revision FROM entry WHERE key = ?").get(key) as
      | { value: string; revision: number }
      | undefined;
    return row === undefined ? undefined : { key, value: JSON.parse(row.value) as unknown, revision: row.revision };
  }

  /** FAIL-STOP: after a failed write or sync the file is not trusted again until the process has started anew and recovered it. */
  #attempt<T>(work: () => T): T {
    if (this.#broken !== undefined)
      throw new TidemarkError("TM-CLUSTER-LEASE-STORE-AWAY", "the lease store stopped after a fault", { cause: this.#broken });
    try {
      return work();
    } catch (cause) {
      this.#broken = cause;
      const error = new TidemarkError("TM-CLUSTER-LEASE-STORE-AWAY", "the lease store's file could not be read or written", { cause });
      this.#onBroken(error);
      throw error;
    }
  }
}
