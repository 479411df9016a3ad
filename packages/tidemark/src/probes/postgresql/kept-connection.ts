// One session with one PostgreSQL, kept between turns and given up at once when a turn is: giving up destroys the socket, which is ours, so
// that nothing stays open, whatever the server does.
import { connect } from "node:net";
import type { Socket } from "node:net";
import { PostgresError, QuerySession } from "@tidemark/postgres/query-session";
import { ProbeFault, faultOf } from "./postgresql-fault.ts";
import type { PostgresqlTarget } from "./postgresql-target.ts";

/** The oldest that is supported; older ones lack columns that are asked for. */
const OLDEST_MAJOR = 15;

export interface SessionSettings {
  /** How the session is named in pg_stat_activity. */
  readonly applicationName: string;
  readonly readOnly: boolean;
  /** The server gives up a statement after this, milliseconds. It does not bound the wait for a commit (trap 18). */
  readonly statementTimeoutMs: number;
  readonly synchronousCommit?: "local";
}

export class KeptConnection {
  readonly #target: PostgresqlTarget;
  readonly #settings: SessionSettings;
  #socket: Socket | undefined;
  #session: QuerySession | undefined;
  #major: number | undefined;
  #closed = false;

  constructor(target: PostgresqlTarget, settings: SessionSettings) {
    this.#target = target;
    this.#settings = settings;
  }

  /** The server's major version, as it said at the login; undefined before. */
  get major(): number | undefined {
    return this.#major;
  }

  /** Whether there is a session to ask on. */
  get isOpen(): boolean {
    return this.#major !== undefined && this.#session?.hasEnded === false;
  }

  /** Rows of a question. Rejects with {@link ProbeFault}; the connection is kept when the server answered that it will not. */
  async ask<T>(sql: string, parameters: readonly string[], signal: AbortSignal): Promise<T[]> {
    if (signal.aborted) throw new ProbeFault("TM-PROBE-SLOW", "it was given up before it was asked");
    if (this.#closed) throw new ProbeFault("TM-PROBE-AWAY", "the probe is closed");
    let isLate = false;
    const onAbort = (): void => {
      isLate = true;
      // Whatever is awaited ends with it.
      this.drop();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const session = this.isOpen && this.#session !== undefined ? this.#session : await this.#open();
      return (await session.ask(sql, parameters)) as T[];
    } catch (error) {
      if (!keepsSession(error)) this.drop();
      if (isLate) throw new ProbeFault("TM-PROBE-SLOW", "no answer in time");
      throw faultOf(error, this.#target.password);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Gives the connection up, at once; the next question makes another. */
  drop(): void {
    // Without a last word to the server: it may not be listening.
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#session = undefined;
    this.#major = undefined;
  }

  close(): void {
    this.#closed = true;
    this.drop();
  }

  async #open(): Promise<QuerySession> {
    this.drop();
    const { host, user, password, database, tls } = this.#target;
    const { applicationName, readOnly, statementTimeoutMs, synchronousCommit } = this.#settings;
    const session = await QuerySession.open(await this.#connect(), {
      host,
      user,
      ...(password === undefined ? {} : { password }),
      database,
      tls,
      settings: {
        application_name: applicationName,
        search_path: "pg_catalog",
        statement_timeout: String(statementTimeoutMs),
        lock_timeout: String(statementTimeoutMs),
        ...(readOnly ? { default_transaction_read_only: "on" } : {}),
        ...(synchronousCommit === undefined ? {} : { synchronous_commit: synchronousCommit }),
      },
    });
    const major = Number.parseInt(session.version ?? "", 10);
    if (Number.isNaN(major)) throw new ProbeFault("TM-PROBE-GARBAGE", "it does not say which version it is");
    if (major < OLDEST_MAJOR)
      throw new ProbeFault("TM-PROBE-VERSION", `it is PostgreSQL ${major}; ${OLDEST_MAJOR} is the oldest supported`);
    this.#session = session;
    this.#major = major;
    return session;
  }

  #connect(): Promise<Socket> {
    const { host, port } = this.#target;
    const socket = connect({ host, port, noDelay: true });
    this.#socket = socket;
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        socket.removeListener("connect", settle);
        socket.removeListener("error", settle);
        socket.removeListener("close", onClose);
        if (error === undefined) resolve(socket);
        else reject(error);
      };
      const onClose = (): void => settle(new ProbeFault("TM-PROBE-SLOW", "it was given up while connecting"));
      socket.once("connect", () => settle());
      socket.once("error", settle);
      socket.once("close", onClose);
    });
  }
}

/** What the server answered to a question leaves the session as it was; a refused login, the server's end, and all else leave none or a doubtful one. */
function keepsSession(error: unknown): boolean {
  return error instanceof PostgresError && !error.endsSession && !/^(28|57P|08|3D)/.test(error.code);
}
