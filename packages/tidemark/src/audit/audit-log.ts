// The audit log: who did what to what, and why. Append-only lines, chained by their hashes: docs/audit-log.md.
//
// Ordering invariant: take the lock, write the line, fsync the file (and the folder of a new one), write the head,
// answer. One file per state folder with one chain; gateway, control and commands append to it from processes of their
// own, one at a time, under a lock (file-lock.ts) that a killed process cannot leave behind.
import { mkdir, open, readFile, rename, stat, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import {
  AUDIT_GENESIS,
  formatAuditLine,
  MAX_AUDIT_LINE_BYTES,
  nextAuditEntry,
  readAuditLine,
  type AuditEntry,
  type AuditHead,
  type AuditRecord,
} from "./audit-entry.ts";
import { FileLock } from "./file-lock.ts";

/** How long an append waits for other processes: each holds the lock for one write and two fsyncs. */
const LOCK_WAIT_MS = 10_000;

/** The most bytes of a torn tail that are kept as evidence in the entry that reports it. */
const TORN_TAIL_KEPT_BYTES = 4_096;

/** The most appends of one process that wait in line; beyond it the append is refused. */
const MAX_WAITING = 1_000;

const NEWLINE = 0x0a;

/** Which file, and what time it is. */
export interface AuditLogOptions {
  /** Usually `<stateDir>/audit/audit.jsonl`. */
  readonly file: string;
  readonly clock: Clock;
}

/** Opens the log; the file is made with its first entry. Rejects with TM-PROOF-AUDIT-IO when its folder cannot be made. */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  try {
    await mkdir(dirname(options.file), { recursive: true, mode: 0o700 });
    return new AuditLog(options);
  } catch (cause) {
    throw new TidemarkError("TM-PROOF-AUDIT-IO", `could not open the audit log ${options.file}`, { cause });
  }
}

export class AuditLog {
  readonly file: string;
  readonly #clock: Clock;
  readonly #lock: FileLock;
  /** Where the log ended when this process last saw it, and its size then: another size means that others appended. */
  #known: { head: AuditHead; bytes: number } = { head: { seq: 0, hash: AUDIT_GENESIS }, bytes: 0 };
  #line: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #stopped: TidemarkError | undefined;

  constructor(options: AuditLogOptions) {
    this.file = options.file;
    this.#clock = options.clock;
    this.#lock = new FileLock(`${options.file}.lock`, options.clock);
  }

  /**
   * Appends an entry and resolves with it when it is durable. Entries of one process stand in the order of the calls.
   * Rejects with TM-PROOF-AUDIT-TOO-LARGE, TM-PROOF-AUDIT-LOCKED or TM-PROOF-AUDIT-DAMAGED with nothing written, and with
   * TM-PROOF-AUDIT-STOPPED when writing or fsync failed: then the entry may or may not stand, and this log stops (FAIL-STOP).
   */
  append(record: AuditRecord): Promise<AuditEntry> {
    if (this.#waiting >= MAX_WAITING)
      return Promise.reject(
        new TidemarkError("TM-PROOF-AUDIT-LOCKED", `${MAX_WAITING} entries wait to be appended to ${this.file} already`),
      );
    this.#waiting++;
    const appended = this.#line.then(() => this.#appendLocked(record));
    // The line goes on after a rejected append; its caller has the rejection.
    this.#line = appended.then(
      () => this.#waiting--,
      () => this.#waiting--,
    );
    return appended;
  }

  /** Where the log ends now, as far as this process knows. */
  get head(): AuditHead {
    return this.#known.head;
  }

  async close(): Promise<void> {
    await this.#line;
    this.#lock.close();
  }

  async #appendLocked(record: AuditRecord): Promise<AuditEntry> {
    if (this.#stopped !== undefined) throw this.#stopped;
    await this.#acquire();
    try {
      const existed = await this.#catchUp();
      const entry = nextAuditEntry(this.#known.head, this.#clock.wallMs(), record);
      const line = Buffer.from(`${formatAuditLine(entry)}\n`);
      if (line.length > MAX_AUDIT_LINE_BYTES)
        throw new TidemarkError(
          "TM-PROOF-AUDIT-TOO-LARGE",
          `an audit entry of ${line.length} bytes, at most ${MAX_AUDIT_LINE_BYTES} are allowed`,
        );
      await this.#write(line, entry, !existed);
      return entry;
    } finally {
      this.#lock.release();
    }
  }

  async #acquire(): Promise<void> {
    let acquired: boolean;
    try {
      acquired = await this.#lock.acquire(LOCK_WAIT_MS);
    } catch (cause) {
      throw new TidemarkError("TM-PROOF-AUDIT-IO", `could not lock the audit log ${this.file}`, { cause });
    }
    if (!acquired) throw new TidemarkError("TM-PROOF-AUDIT-LOCKED", `waited ${LOCK_WAIT_MS} ms for the lock of the audit log ${this.file}`);
  }

  /** Learns where the log ends, and cuts a torn tail. Answers whether the file was there. */
  async #catchUp(): Promise<boolean> {
    const size = await sizeOf(this.file);
    if (size === undefined) {
      this.#known = { head: { seq: 0, hash: AUDIT_GENESIS }, bytes: 0 };
      const head = await readHead(this.file);
      if (head !== undefined)
        throw new TidemarkError("TM-PROOF-AUDIT-DAMAGED", `the audit log ${this.file} is gone, it ended at entry ${head.seq}`);
      return false;
    }
    if (size === this.#known.bytes && size > 0) return true;
    const bytes = await readFile(this.file);
    const whole = bytes.lastIndexOf(NEWLINE) + 1;
    const head = lastHead(bytes.subarray(0, whole), this.file);
    this.#known = { head, bytes: whole };
    if (whole < bytes.length) await this.#cutTornTail(bytes.subarray(whole));
    return true;
  }

  /** A line without an end was never answered: it is cut, and what it was is kept in an entry of its own. */
  async #cutTornTail(torn: Buffer): Promise<void> {
    await this.#guarded(async (handle) => {
      await handle.truncate(this.#known.bytes);
      await handle.sync();
    });
    const entry = nextAuditEntry(this.#known.head, this.#clock.wallMs(), {
      who: "audit-log",
      action: "cut-torn-tail",
      subject: this.file,
      reason: "The last line had no end: a crash or a power cut came before it was durable, so nobody was told that it stands.",
      facts: { bytes: torn.length, base64: torn.subarray(0, TORN_TAIL_KEPT_BYTES).toString("base64") },
    });
    await this.#write(Buffer.from(`${formatAuditLine(entry)}\n`), entry, false);
  }

  async #write(line: Buffer, entry: AuditEntry, isNew: boolean): Promise<void> {
    await this.#guarded(async (handle) => {
      await handle.write(line, 0, line.length, this.#known.bytes);
      await handle.sync();
      if (isNew) await syncFolder(dirname(this.file));
      this.#known = { head: { seq: entry.seq, hash: entry.hash }, bytes: this.#known.bytes + line.length };
      await writeHead(this.file, this.#known.head);
    });
  }

  /** Runs one change of the file; after a failure nothing more is appended by this process (FAIL-STOP). */
  async #guarded(change: (handle: FileHandle) => Promise<void>): Promise<void> {
    try {
      // Not in append mode: the place is known, and nothing may be written elsewhere.
      const handle = await open(this.file, (await sizeOf(this.file)) === undefined ? "wx" : "r+", 0o600);
      try {
        await change(handle);
      } finally {
        await handle.close();
      }
    } catch (cause) {
      this.#stopped = new TidemarkError(
        "TM-PROOF-AUDIT-STOPPED",
        `writing the audit log ${this.file} failed; whether the last entry stands is not known`,
        { cause },
      );
      throw this.#stopped;
    }
  }
}

function lastHead(whole: Buffer, file: string): AuditHead {
  if (whole.length === 0) return { seq: 0, hash: AUDIT_GENESIS };
  const line = whole.subarray(whole.lastIndexOf(NEWLINE, whole.length - 2) + 1, whole.length - 1).toString("utf8");
  try {
    const claimed = JSON.parse(line) as AuditEntry;
    const entry = readAuditLine(line, { seq: claimed.seq - 1, hash: claimed.prev });
    if ("fault" in entry) throw new Error(entry.fault);
    return { seq: entry.seq, hash: entry.hash };
  } catch (cause) {
    throw new TidemarkError("TM-PROOF-AUDIT-DAMAGED", `the last line of the audit log ${file} is damaged`, { cause });
  }
}

/** What the head file says, or undefined when there is none. Rejects with TM-PROOF-AUDIT-DAMAGED when it says nothing. */
export async function readHead(file: string): Promise<AuditHead | undefined> {
  let text: string;
  try {
    text = await readFile(`${file}.head`, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TidemarkError("TM-PROOF-AUDIT-IO", `could not read ${file}.head`, { cause: error });
  }
  const match = /^(\d{1,15}) ([0-9a-f]{64})\n$/.exec(text);
  if (match === null) throw new TidemarkError("TM-PROOF-AUDIT-DAMAGED", `${file}.head does not say where the audit log ends`);
  return { seq: Number(match[1]), hash: match[2] ?? "" };
}

/** Replaced as a whole, and durable: a head that stands was reached. */
async function writeHead(file: string, head: AuditHead): Promise<void> {
  const temporary = `${file}.head.new`;
  const handle = await open(temporary, "w", 0o600);
  try {
    await handle.writeFile(`${head.seq} ${head.hash}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, `${file}.head`);
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
