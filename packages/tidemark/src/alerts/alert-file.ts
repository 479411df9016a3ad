// What judgement must not forget, in one SQLite file: alerts, their transitions, what is owed to receivers, silences, the copies
// that were seen. Ordering invariant: a change of an alert's state and the deliveries that it owes are one transaction, made
// durable (write-ahead log, synchronous = FULL) before anything is delivered. So a crash between leaves either both or neither.
import { DatabaseSync } from "node:sqlite";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Alert, Notification } from "./alert.ts";
import type { Silence } from "./silence.ts";

/** PRAGMA user_version of the file. */
const FORMAT_VERSION = 1;

/** Transitions kept for looking back, the newest, besides those that are still owed. */
const KEPT_TRANSITIONS = 10_000;

const SCHEMA = `
  CREATE TABLE identity (id TEXT NOT NULL) STRICT;
  CREATE TABLE alert (
    fingerprint TEXT PRIMARY KEY, key TEXT NOT NULL, body TEXT NOT NULL,
    firing_transition INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE transition (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE TABLE delivery (
    receiver TEXT NOT NULL, transition INTEGER NOT NULL, fingerprint TEXT NOT NULL, queued_at_ms INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, alone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (receiver, transition)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX delivery_in_order ON delivery (receiver, fingerprint, transition);
  CREATE TABLE receiver (name TEXT PRIMARY KEY, given_up INTEGER NOT NULL, last_error TEXT) STRICT, WITHOUT ROWID;
  CREATE TABLE silence (id TEXT PRIMARY KEY, ends_at_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE copy (store TEXT NOT NULL, name TEXT NOT NULL, seen_at_ms INTEGER NOT NULL, PRIMARY KEY (store, name)) STRICT, WITHOUT ROWID;
  CREATE TABLE usual_peak (service TEXT NOT NULL, scenario TEXT NOT NULL, peak_ms REAL NOT NULL, PRIMARY KEY (service, scenario)) STRICT, WITHOUT ROWID;
`;

/** An alert as it is kept. */
export interface KeptAlert extends Alert {
  /** What it is the same by: see subject-key.ts. */
  readonly key: string;
  /** The transition with which it began to fire. */
  readonly firingTransition?: number;
}

export class AlertFile {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #identity: string;
  #broken: unknown;
  #inTransaction = false;

  /**
   * Opens or makes the file; `:memory:` for tests. One process at a time: a second is refused.
   * @param identity names the file when it is new, so that transitions of two files never have one id. A UUID.
   * Throws TM-ALERT-STORE.
   */
  constructor(path: string, identity: string) {
    this.#path = path;
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { timeout: 0 });
      database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;");
      const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
      if (version !== 0 && version !== FORMAT_VERSION)
        throw new TidemarkError("TM-ALERT-STORE", `${path} has format version ${version}; this Tidemark knows ${FORMAT_VERSION}`);
      if (version === 0) {
        database.exec(`BEGIN IMMEDIATE; ${SCHEMA}`);
        database.prepare("INSERT INTO identity (id) VALUES (?)").run(identity);
        database.exec(`PRAGMA user_version = ${FORMAT_VERSION}; COMMIT;`);
      }
      this.#identity = (database.prepare("SELECT id FROM identity").get() as { id: string }).id;
      this.#database = database;
    } catch (cause) {
      database?.close();
      if (cause instanceof TidemarkError) throw cause;
      throw new TidemarkError("TM-ALERT-STORE", `could not open ${path}`, { cause });
    }
  }

  /** For the other parts of the file (outbox.ts). Statements run within {@link transaction} or {@link read}. */
  get database(): DatabaseSync {
    return this.#database;
  }

  close(): void {
    this.#database.close();
  }

  /** Runs `work` as one durable transaction. After a failure nothing more is written by this process (FAIL-STOP). Throws TM-ALERT-STORE. */
  transaction<T>(work: () => T): T {
    if (this.#inTransaction) return work();
    return this.#attempt(() => {
      this.#database.exec("BEGIN IMMEDIATE");
      this.#inTransaction = true;
      try {
        const result = work();
        this.#database.exec("COMMIT");
        return result;
      } finally {
        this.#inTransaction = false;
        if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      }
    });
  }

  /** Runs a query. Throws TM-ALERT-STORE. */
  read<T>(work: () => T): T {
    return this.#attempt(work);
  }

  alerts(): KeptAlert[] {
    const rows = this.read(() => this.#database.prepare("SELECT key, body, firing_transition FROM alert").all()) as {
      key: string;
      body: string;
      firing_transition: number | null;
    }[];
    return rows.map((row) => ({
      ...(JSON.parse(row.body) as Alert),
      key: row.key,
      ...(row.firing_transition === null ? {} : { firingTransition: row.firing_transition }),
    }));
  }

  putAlert(alert: KeptAlert): void {
    const { key, firingTransition, ...body } = alert;
    this.#database
      .prepare(
        `INSERT INTO alert (fingerprint, key, body, firing_transition) VALUES (?, ?, ?, ?)
         ON CONFLICT (fingerprint) DO UPDATE SET key = excluded.key, body = excluded.body, firing_transition = excluded.firing_transition`,
      )
      .run(alert.fingerprint, key, JSON.stringify(body), firingTransition ?? null);
  }

  removeAlert(fingerprint: string): void {
    this.#database.prepare("DELETE FROM alert WHERE fingerprint = ?").run(fingerprint);
  }

  /** Records a transition; the number names it within this file, and is never given again. */
  addTransition(body: Omit<Notification, "id">, atMs: number): number {
    const { lastInsertRowid } = this.#database
      .prepare("INSERT INTO transition (at_ms, body) VALUES (?, ?)")
      .run(Math.round(atMs), JSON.stringify(body));
    const id = Number(lastInsertRowid);
    if (id % 100 === 0)
      this.#database
        .prepare(
          `DELETE FROM transition WHERE id <= ? AND id NOT IN (SELECT transition FROM delivery)
           AND id NOT IN (SELECT firing_transition FROM alert WHERE firing_transition IS NOT NULL)`,
        )
        .run(id - KEPT_TRANSITIONS);
    return id;
  }

  /** The name of a transition outside of this file. */
  notificationId(transition: number): string {
    return `${this.#identity}-${transition}`;
  }

  /** The newest transitions, newest first. */
  transitions(most: number): Notification[] {
    const rows = this.read(() => this.#database.prepare("SELECT id, body FROM transition ORDER BY id DESC LIMIT ?").all(most)) as {
      id: number;
      body: string;
    }[];
    return rows.map(({ id, body }) => ({ ...(JSON.parse(body) as Omit<Notification, "id">), id: this.notificationId(id) }));
  }

  silences(): Silence[] {
    const rows = this.read(() => this.#database.prepare("SELECT body FROM silence ORDER BY id").all()) as { body: string }[];
    return rows.map(({ body }) => JSON.parse(body) as Silence);
  }

  putSilence(silence: Silence): void {
    this.#database
      .prepare(
        `INSERT INTO silence (id, ends_at_ms, body) VALUES (?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET ends_at_ms = excluded.ends_at_ms, body = excluded.body`,
      )
      .run(silence.id, Math.round(silence.endsAtMs), JSON.stringify(silence));
  }

  removeSilencesBefore(nowMs: number): void {
    this.#database.prepare("DELETE FROM silence WHERE ends_at_ms <= ?").run(Math.round(nowMs));
  }

  copies(): { store: string; name: string; seenAtMs: number }[] {
    return this.read(() => this.#database.prepare("SELECT store, name, seen_at_ms AS seenAtMs FROM copy").all()) as {
      store: string;
      name: string;
      seenAtMs: number;
    }[];
  }

  putCopy(store: string, name: string, seenAtMs: number): void {
    this.#database
      .prepare(
        "INSERT INTO copy (store, name, seen_at_ms) VALUES (?, ?, ?) ON CONFLICT (store, name) DO UPDATE SET seen_at_ms = excluded.seen_at_ms",
      )
      .run(store, name, Math.round(seenAtMs));
  }

  removeCopy(store: string, name: string): void {
    this.#database.prepare("DELETE FROM copy WHERE store = ? AND name = ?").run(store, name);
  }

  usualPeaks(): { service: string; scenario: string; peakMs: number }[] {
    return this.read(() => this.#database.prepare("SELECT service, scenario, peak_ms AS peakMs FROM usual_peak").all()) as {
      service: string;
      scenario: string;
      peakMs: number;
    }[];
  }

  putUsualPeak(service: string, scenario: string, peakMs: number): void {
    this.#database
      .prepare(
        `INSERT INTO usual_peak (service, scenario, peak_ms) VALUES (?, ?, ?)
         ON CONFLICT (service, scenario) DO UPDATE SET peak_ms = excluded.peak_ms`,
      )
      .run(service, scenario, peakMs);
  }

  #attempt<T>(work: () => T): T {
    const code: ErrorCode = "TM-ALERT-STORE";
    if (this.#broken !== undefined)
      throw new TidemarkError(code, `${this.#path} is not used any more after a fault`, { cause: this.#broken });
    try {
      return work();
    } catch (cause) {
      this.#broken = cause;
      throw new TidemarkError(code, `${this.#path} could not be read or written`, { cause });
    }
  }
}
