/**
 * The catalogue's file: SQLite in WAL mode with synchronous = FULL, so that what it says of the archive is durable before
 * anything is built on it. SQLite notices damage to its own structure only, so every row carries a sum of its values. A file
 * that is damaged is put aside, whole, and a new one begun: everything in it can be made again (docs/vault-format.md).
 */
import { existsSync, renameSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { Clock } from "@tidemark/kernel/clock";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";

/** PRAGMA user_version, and the fact `version`. */
const FORMAT_VERSION = 1;
/** PRAGMA application_id: "TMVC". */
const APPLICATION_ID = 0x544d_5643;

const SCHEMA = `
  CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE store (name TEXT PRIMARY KEY, known INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE object (
    store TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, timeline INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
    raw_bytes INTEGER NOT NULL, raw_sha256 TEXT NOT NULL, object_bytes INTEGER NOT NULL, object_sha256 TEXT, commit_ms INTEGER, archived_ms INTEGER NOT NULL,
    check_turn INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (store, key)) STRICT, WITHOUT ROWID;
  CREATE INDEX object_place ON object (store, timeline, start);
  CREATE INDEX object_turn ON object (store, check_turn, timeline, start);
  CREATE TABLE segment (
    timeline INTEGER NOT NULL, start INTEGER NOT NULL, sha256 TEXT, check_turn INTEGER NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (timeline, start)) STRICT, WITHOUT ROWID;
  CREATE INDEX segment_turn ON segment (check_turn, timeline, start);
  CREATE TABLE history (timeline INTEGER PRIMARY KEY, content TEXT NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE gap (
    timeline INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (timeline, start)) STRICT, WITHOUT ROWID;
  CREATE TABLE fault (
    place TEXT NOT NULL, subject TEXT NOT NULL, code TEXT NOT NULL, timeline INTEGER, start INTEGER, end INTEGER, message TEXT NOT NULL,
    since_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (place, subject, code)) STRICT, WITHOUT ROWID;
`;

const TABLES = ["fact", "store", "object", "segment", "history", "gap", "fault"] as const;
export type CatalogueTable = (typeof TABLES)[number];
export type CatalogueValue = string | bigint | null;
export type CatalogueRow = Readonly<Record<string, CatalogueValue>>;

/** SQLite's result codes for a file that is damaged, or is no database at all. */
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

export interface CatalogueFacts {
  readonly systemIdentifier: string;
  readonly segmentBytes: number;
}

/** What became of a damaged file. */
export interface PutAside {
  readonly path: string;
  readonly why: string;
}

export interface OpenedCatalogueFile {
  readonly file: CatalogueFile;
  readonly putAside: PutAside | undefined;
}

/**
 * Opens the catalogue at `path`, or begins one; checks all of it first. Throws TM-VAULT-CATALOGUE-VERSION for one of another
 * format, system or segment size, TM-VAULT-CATALOGUE-AWAY when the disk does not let it. Never throws for damage.
 */
export function openCatalogueFile(path: string, facts: CatalogueFacts, clock: Clock): OpenedCatalogueFile {
  if (!existsSync(path) || statSync(path).size === 0) return { file: begin(path, facts), putAside: undefined };
  const opened = attempt(() => openChecked(path, facts));
  if (opened instanceof CatalogueFile) return { file: opened, putAside: undefined };
  const aside = { path: putAside(path, clock), why: opened.damage };
  return { file: begin(path, facts), putAside: aside };
}

/** Renames a damaged file and what belongs to it; returns its new name. */
function putAside(path: string, clock: Clock): string {
  const stamp = new Date(clock.wallMs()).toISOString().replaceAll(/[-:]/g, "").replace(/\..*/, "Z");
  let aside = `${path}.damaged-${stamp}`;
  for (let number = 2; existsSync(aside); number++) aside = `${path}.damaged-${stamp}-${number}`;
  for (const ending of ["-wal", "-shm", ""]) {
    if (existsSync(path + ending)) renameSync(path + ending, aside + ending);
  }
  return aside;
}

interface Damage {
  readonly damage: string;
}

function attempt(work: () => CatalogueFile | Damage): CatalogueFile | Damage {
  try {
    return work();
  } catch (error) {
    if (error instanceof TidemarkError) throw error;
    if (isDamage(error)) return { damage: (error as Error).message };
    throw new TidemarkError("TM-VAULT-CATALOGUE-AWAY", "the catalogue could not be opened", { cause: error });
  }
}

function openChecked(path: string, facts: CatalogueFacts): CatalogueFile | Damage {
  const database = connect(path);
  const damage = (why: string): Damage => {
    database.close();
    return { damage: why };
  };
  try {
    const version = pragma(database, "user_version");
    const said = factsOf(database);
    // A flipped bit in the header may look like another version; another version says so in two places.
    if (said === undefined || said["version"] !== String(version) || pragma(database, "application_id") !== APPLICATION_ID)
      return damage("its header and its facts do not agree");
    if (version !== FORMAT_VERSION) throw foreign(path, `has format version ${version}; this Tidemark knows ${FORMAT_VERSION}`);
    const broken = (database.prepare("PRAGMA integrity_check(1)").get() as { integrity_check: string }).integrity_check;
    if (broken !== "ok") return damage(broken);
    if (said["systemIdentifier"] !== facts.systemIdentifier || said["segmentBytes"] !== String(facts.segmentBytes))
      throw foreign(path, `is of system ${said["systemIdentifier"] ?? "?"} with segments of ${said["segmentBytes"] ?? "?"} bytes`);
    const file = new CatalogueFile(database);
    for (const table of TABLES) {
      const wrong = file.firstWrongRow(table);
      if (wrong !== undefined) return damage(`a row of ${table} does not match its sum (${wrong})`);
    }
    return file;
  } catch (error) {
    if (database.isOpen) database.close();
    throw error;
  }
}

function begin(path: string, facts: CatalogueFacts): CatalogueFile {
  try {
    const database = connect(path);
    database.exec(`BEGIN IMMEDIATE; ${SCHEMA} PRAGMA user_version = ${FORMAT_VERSION}; PRAGMA application_id = ${APPLICATION_ID};`);
    const file = new CatalogueFile(database);
    const rows = { version: String(FORMAT_VERSION), systemIdentifier: facts.systemIdentifier, segmentBytes: String(facts.segmentBytes) };
    for (const [name, value] of Object.entries(rows)) file.write("fact", { name, value });
    database.exec("COMMIT");
    return file;
  } catch (error) {
    throw new TidemarkError("TM-VAULT-CATALOGUE-AWAY", "the catalogue could not be begun", { cause: error });
  }
}

function connect(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    // One process: the vault's. A reader beside it would ask the vault.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;");
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

function pragma(database: DatabaseSync, name: "user_version" | "application_id"): number {
  return (database.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[name] ?? 0;
}

function factsOf(database: DatabaseSync): Record<string, string> | undefined {
  const table = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'fact'").get();
  if (table === undefined) return undefined;
  const rows = database.prepare("SELECT name, value FROM fact").all() as { name: string; value: string }[];
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

function foreign(path: string, what: string): TidemarkError {
  return new TidemarkError("TM-VAULT-CATALOGUE-VERSION", `${path} ${what}`);
}

export function isDamage(error: unknown): boolean {
  const code = (error as { errcode?: unknown }).errcode;
  // The low byte is the primary code, the rest says more.
  return typeof code === "number" && [SQLITE_CORRUPT, SQLITE_NOTADB].includes(code & 0xff);
}

/** The sum of a row: CRC-32 over its values, in the order of their names. It finds accidents, not forgers. */
function rowSum(row: CatalogueRow): bigint {
  const named = Object.keys(row)
    .filter((name) => name !== "sum")
    .sort()
    .map((name) => [name, row[name] === undefined ? null : row[name]?.toString()]);
  return BigInt(crc32(JSON.stringify(named)));
}

/** Rows with sums. All faults become TM-VAULT-CATALOGUE-DAMAGED or TM-VAULT-CATALOGUE-AWAY. */
export class CatalogueFile {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Inserts or replaces; all columns but `sum` are to be given. */
  write(table: CatalogueTable, row: CatalogueRow): void {
    const names = Object.keys(row);
    const statement = `INSERT OR REPLACE INTO ${table} (${names.join(", ")}, sum) VALUES (${names.map(() => "?").join(", ")}, ?)`;
    this.#attempt(() => this.#prepare(statement).run(...Object.values(row), rowSum(row)));
  }

  /** `sql` is a constant of catalogue.ts, values are bound. Returns how many rows it changed. Deletions only: updates go through `write`. */
  remove(sql: string, ...values: CatalogueValue[]): number {
    return this.#attempt(() => Number(this.#prepare(sql).run(...values).changes));
  }

  /** Whole rows (`SELECT * …`), each checked against its sum; integers are bigint. */
  rows(sql: string, ...values: CatalogueValue[]): CatalogueRow[] {
    return this.#attempt(() => this.#prepare(sql).all(...values) as CatalogueRow[]).map(checked);
  }

  row(sql: string, ...values: CatalogueValue[]): CatalogueRow | undefined {
    return this.rows(sql, ...values)[0];
  }

  /** Rows that are not whole ones: counts and the like. */
  figures(sql: string, ...values: CatalogueValue[]): CatalogueRow[] {
    return this.#attempt(() => this.#prepare(sql).all(...values) as CatalogueRow[]);
  }

  /** All of `work`, or nothing of it; durable when it returns. */
  transaction<T>(work: () => T): T {
    this.#attempt(() => this.#database.exec("BEGIN IMMEDIATE"));
    try {
      const result = work();
      this.#attempt(() => this.#database.exec("COMMIT"));
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#attempt(() => this.#database.exec("ROLLBACK"));
      throw error;
    }
  }

  /** The first columns of a row whose sum is wrong. */
  firstWrongRow(table: CatalogueTable): string | undefined {
    const statement = this.#database.prepare(`SELECT * FROM ${table}`);
    statement.setReadBigInts(true);
    for (const row of statement.iterate() as Iterable<CatalogueRow>) {
      if (rowSum(row) !== row["sum"]) return Object.values(row).slice(0, 3).join(" ").slice(0, 120);
    }
    return undefined;
  }

  close(): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  #prepare(sql: string): ReturnType<DatabaseSync["prepare"]> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #attempt<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (isDamage(cause)) throw damaged("SQLite found it damaged", cause);
      throw new TidemarkError("TM-VAULT-CATALOGUE-AWAY", "the catalogue could not be read or written", { cause });
    }
  }
}

function checked(row: CatalogueRow): CatalogueRow {
  if (rowSum(row) !== row["sum"]) throw damaged(`a row does not match its sum (${Object.values(row).slice(0, 3).join(" ").slice(0, 120)})`);
  return row;
}

function damaged(what: string, cause?: unknown): TidemarkError {
  return new TidemarkError("TM-VAULT-CATALOGUE-DAMAGED", `the catalogue is damaged: ${what}`, { cause });
}

/** Whether `error` says that the catalogue failed: then nothing can be claimed, and whoever works with it stops. */
export function isCatalogueFault(error: unknown): boolean {
  return hasCode(error, "TM-VAULT-CATALOGUE-DAMAGED") || hasCode(error, "TM-VAULT-CATALOGUE-AWAY");
}
