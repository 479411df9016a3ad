import { Socket } from "node:net";
import type { Redacted } from "@tidemark/kernel/redacted";
import postgres from "postgres";
import { DatabaseError } from "../database.ts";
import { WireAnswers, type AnswerSink, type ReportFields, type ResultColumn } from "./wire-answers.ts";
import { WireBatch } from "./wire-batch.ts";
import { troubleOf, type DatabaseFault, type Trouble } from "../trouble-table.ts";

/** Where and as whom to connect. */
export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: Redacted<string>;
}

/** Bounds of the session, ms. None of them bounds the wait of a COMMIT for its copies. */
export const CONNECT_WITHIN_MS = 5_000;
export const STATEMENT_WITHIN_MS = 30_000;
export const LOCK_WITHIN_MS = 5_000;

/** A statement prepared on one connection. */
export interface PreparedStatement {
  readonly name: string;
  /** The types of its parameters, object identifiers. */
  readonly types: readonly number[];
  /** Of its result; empty for none. */
  readonly columns: readonly ResultColumn[];
}

type Sql = postgres.Sql;
export type Row = Record<string, unknown>;
export type Answer = readonly Row[] & { readonly command?: string; readonly count?: number };

/** Leaves values as the text that the server sent or gets; arguments are turned into text before. */
const AS_TEXT = { to: 0, serialize: (value: unknown) => value as string };
const PLAIN_TYPES = {
  json: { ...AS_TEXT, to: 114, from: [114, 3802], parse: (text: string) => JSON.parse(text) as unknown },
  boolean: { ...AS_TEXT, to: 16, from: [16], parse: (text: string) => text === "t" },
  date: { ...AS_TEXT, to: 1184, from: [], parse: (text: string) => text },
  bytea: { ...AS_TEXT, to: 17, from: [], parse: (text: string) => text },
  number: { ...AS_TEXT, to: 0, from: [21, 23, 26, 700, 701], parse: Number },
};

/**
 * One connection through the `postgres` driver, taken apart from its pool: it connects once, and when it breaks it is over.
 * (The driver would connect again and send what is queued, statements of a broken transaction too, outside of any.)
 */
export class DatabaseConnection {
  readonly #sql: Sql;
  #socket: Socket | undefined;
  #lost: Trouble | undefined;
  readonly #lostListeners: ((trouble: Trouble) => void)[] = [];
  /** Warnings of the server about a cancelled wait for replication since {@link clearWarnings}. */
  #cancelledWait = false;
  readonly #prepared = new Map<string, PreparedStatement>();
  #attempts = 0;

  private constructor(address: DatabaseAddress) {
    const options = {
      host: address.host,
      port: address.port,
      database: address.database,
      username: address.user,
      password: address.password.reveal(),
      max: 1,
      fetch_types: false,
      idle_timeout: 0,
      max_lifetime: null,
      connect_timeout: CONNECT_WITHIN_MS / 1_000,
      types: PLAIN_TYPES,
      // Not among the driver's declared options. It calls this once for each connection and takes the socket as connected.
      socket: () => this.#dial(address),
      connection: {
        application_name: "tidemark_applier",
        synchronous_commit: "on",
        statement_timeout: STATEMENT_WITHIN_MS,
        lock_timeout: LOCK_WITHIN_MS,
        idle_in_transaction_session_timeout: 60_000,
        default_transaction_isolation: "read committed",
        TimeZone: "UTC",
        DateStyle: "ISO",
      },
      onnotice: (notice: Record<string, string | undefined>) => this.#notice(notice),
    };
    this.#sql = postgres(options as unknown as postgres.Options<Record<string, never>>);
  }

  /** Connects and logs in. Rejects with {@link DatabaseError}. */
  static async open(address: DatabaseAddress): Promise<DatabaseConnection> {
    const connection = new DatabaseConnection(address);
    try {
      await connection.query("SELECT 1 AS one", []);
      return connection;
    } catch (error) {
      connection.abandon();
      throw error;
    }
  }

  get lost(): Trouble | undefined {
    return this.#lost;
  }

  onLost(listener: (trouble: Trouble) => void): void {
    if (this.#lost !== undefined) listener(this.#lost);
    else this.#lostListeners.push(listener);
  }

  clearWarnings(): void {
    this.#cancelledWait = false;
  }

  get cancelledWait(): boolean {
    return this.#cancelledWait;
  }

  /** One statement. `values` are text or null. Rejects with {@link DatabaseError}. */
  query(text: string, values: readonly (string | null)[]): Promise<Answer> {
    return this.#orLost(this.#sql.unsafe(text, values as never[], { prepare: true, simple: false } as never));
  }

  /** Several statements in one text, without values; one transaction unless the text says otherwise. */
  async script(text: string): Promise<void> {
    await this.#orLost(this.#sql.unsafe(text).simple());
  }

  /** Prepares statements that this connection has not seen, one after the other. Rejects with {@link DatabaseError} at the first that fails. */
  async prepare(texts: readonly string[]): Promise<void> {
    for (const text of new Set(texts)) {
      if (this.#prepared.has(text)) continue;
      const batch = new WireBatch();
      const name = `tidemark_${this.#prepared.size}_${this.#attempts++}`;
      batch.prepare(name, text);
      batch.sync();
      let types: readonly number[] = [];
      let columns: readonly ResultColumn[] = [];
      let fault: DatabaseFault | undefined;
      await this.exchange(batch, 1, {
        wantsRows: false,
        parameters: (answer) => (types = answer),
        columns: (answer) => (columns = answer),
        row: () => undefined,
        complete: () => undefined,
        error: (fields) => (fault ??= faultOfReport(fields)),
      });
      if (fault !== undefined) throw new DatabaseError(troubleOf(fault));
      this.#prepared.set(text, { name, types, columns });
    }
  }

  /** A statement that was prepared before. */
  prepared(text: string): PreparedStatement | undefined {
    return this.#prepared.get(text);
  }

  /**
   * Sends a batch past the driver, which must be idle, and hands the answers to `sink` until the server has been ready
   * `readies` times. The driver sends a Sync behind every statement, for which the server writes to the socket each
   * time; a batch has one. Rejects with {@link DatabaseError} when the connection breaks.
   */
  exchange(batch: WireBatch, readies: number, sink: Omit<AnswerSink, "notice" | "ready">): Promise<void> {
    const socket = this.#socket;
    if (this.#lost !== undefined || socket === undefined)
      return Promise.reject(new DatabaseError(this.#lost ?? troubleOf({ message: "not connected" })));
    const driverListeners = socket.listeners("data") as ((bytes: Buffer) => void)[];
    socket.removeAllListeners("data");
    let left = readies;
    const done = new Promise<void>((resolve) => {
      const answers = new WireAnswers({
        get wantsRows() {
          return sink.wantsRows;
        },
        parameters: (types) => sink.parameters?.(types),
        columns: (columns) => sink.columns?.(columns),
        row: (values) => sink.row(values),
        complete: (tag) => sink.complete(tag),
        error: (fields) => sink.error(fields),
        notice: (fields) => this.#notice({ severity: fields["V"], routine: fields["R"], file: fields["F"] }),
        ready: () => {
          if (--left === 0) resolve();
        },
      });
      socket.on("data", (bytes: Buffer) => {
        try {
          answers.push(bytes);
        } catch (error) {
          this.#lose({ message: `the server's answer cannot be read: ${String(error)}` });
        }
      });
    });
    socket.write(batch.take());
    return this.#orLost(done).finally(() => {
      socket.removeAllListeners("data");
      for (const listener of driverListeners) socket.on("data", listener);
    });
  }

  #notice(notice: Record<string, string | undefined>): void {
    if (notice["severity"] !== "WARNING") return;
    if (notice["routine"] === "SyncRepWaitForLSN" || notice["file"] === "syncrep.c") this.#cancelledWait = true;
  }

  abandon(): void {
    this.#lose({ message: "the connection was given up" });
  }

  async close(): Promise<void> {
    if (this.#lost !== undefined) return;
    this.#lostListeners.length = 0;
    await this.#sql.end({ timeout: 1 });
    this.abandon();
  }

  /** Rejects also when the connection breaks before the driver has sent the statement: it would never settle it. */
  async #orLost<T>(answer: Promise<T>): Promise<T> {
    answer.catch(() => undefined);
    const lost = new Promise<never>((_, reject) => {
      const fail = (trouble: Trouble): void => reject(new DatabaseError(trouble));
      if (this.#lost === undefined) this.#lossWaiters.add(fail);
      else fail(this.#lost);
      answer.then(
        () => this.#lossWaiters.delete(fail),
        () => this.#lossWaiters.delete(fail),
      );
    });
    try {
      return await Promise.race([answer, lost]);
    } catch (error) {
      throw error instanceof DatabaseError ? error : new DatabaseError(troubleOf(faultOf(error)), { cause: error });
    }
  }

  readonly #lossWaiters = new Set<(trouble: Trouble) => void>();

  #dial(address: DatabaseAddress): Promise<Socket> {
    if (this.#socket !== undefined) throw new Error("a connection is made once");
    const socket = new Socket();
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 1_000);
    const timer = setTimeout(
      () => this.#lose({ message: `no connection to ${address.host}:${address.port} within ${CONNECT_WITHIN_MS} ms` }),
      CONNECT_WITHIN_MS,
    );
    socket.once("close", () => {
      clearTimeout(timer);
      this.#lose({ message: `the connection to ${address.host}:${address.port} closed` });
    });
    return new Promise((resolve, reject) => {
      socket.once("error", (error) => {
        this.#lose({ message: `${address.host}:${address.port}: ${error.message}` });
        reject(error);
      });
      socket.connect(address.port, address.host, () => {
        clearTimeout(timer);
        resolve(socket);
      });
    });
  }

  #lose(fault: DatabaseFault): void {
    if (this.#lost !== undefined) return;
    const trouble = troubleOf(fault);
    this.#lost = trouble;
    this.#socket?.destroy();
    for (const fail of this.#lossWaiters) fail(trouble);
    this.#lossWaiters.clear();
    for (const listener of this.#lostListeners) listener(trouble);
  }
}

/** Reduces an error that the server reported in a batch. */
export function faultOfReport(fields: ReportFields): DatabaseFault {
  const { C: sqlstate, M: message, R: routine, n: constraint } = fields;
  return {
    message: message ?? "an error without a message",
    ...(sqlstate === undefined ? {} : { sqlstate }),
    ...(routine === undefined ? {} : { routine }),
    ...(constraint === undefined ? {} : { constraint }),
  };
}

/** Reduces an error of the driver. Its own codes (CONNECTION_CLOSED and the like) are no SQLSTATE. */
export function faultOf(error: unknown): DatabaseFault {
  if (!(error instanceof Error)) return { message: String(error) };
  const fields = error as Error & { code?: string; routine?: string; constraint_name?: string; severity?: string };
  const fromServer = fields.severity !== undefined && fields.code?.length === 5;
  return {
    message: error.message,
    ...(fromServer && fields.code !== undefined ? { sqlstate: fields.code } : {}),
    ...(fields.routine === undefined ? {} : { routine: fields.routine }),
    ...(fields.constraint_name === undefined ? {} : { constraint: fields.constraint_name }),
  };
}
