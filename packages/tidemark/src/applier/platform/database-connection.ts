import { Socket } from "node:net";
import type { Redacted } from "@tidemark/kernel/redacted";
import postgres from "postgres";
import { DatabaseError } from "../database.ts";
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

/** The most statements in flight on one connection; the driver queues the rest. */
const MOST_PIPELINED = 4_096;

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

  private constructor(address: DatabaseAddress) {
    const options = {
      host: address.host,
      port: address.port,
      database: address.database,
      username: address.user,
      password: address.password.reveal(),
      max: 1,
      max_pipeline: MOST_PIPELINED,
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
      onnotice: (notice: Record<string, string | undefined>) => {
        if (notice["severity"] === "WARNING" && (notice["routine"] === "SyncRepWaitForLSN" || notice["file"] === "syncrep.c"))
          this.#cancelledWait = true;
      },
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

  /**
   * Sends a statement behind those already sent, without waiting for them. `values` are text or null. Resolves with the
   * rows, rejects with {@link DatabaseError}; when the connection breaks, also those that were never sent are rejected.
   */
  send(text: string, values: readonly (string | null)[]): Promise<Answer> {
    return this.#sql.unsafe(text, values as never[], { prepare: true, simple: false } as never);
  }

  /** {@link send} for one statement that is waited for. */
  async query(text: string, values: readonly (string | null)[]): Promise<Answer> {
    return this.#orLost(this.send(text, values));
  }

  /** Several statements in one text, without values. */
  async script(text: string): Promise<void> {
    await this.#orLost(this.#sql.unsafe(text).simple());
  }

  /** The types of a statement's parameters. Prepares it, so that the next {@link send} needs no answer in between. */
  async describe(text: string, parameters: number): Promise<readonly number[]> {
    const values = Array.from({ length: parameters }, () => "");
    const statement = (await this.#orLost(
      this.#sql.unsafe(text, values as never[], { prepare: true, simple: false } as never).describe() as unknown as Promise<never>,
    )) as unknown as {
      types: readonly number[];
    };
    return statement.types;
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
