// One connection to one PostgreSQL, kept between turns and given up at once when a turn is. The driver alone would wait for a server
// that hangs, or connect again by itself: here the socket is ours, each client of the driver has one socket in its life, and giving
// up destroys it. So nothing stays open, whatever the server does.
import { connect } from "node:net";
import type { Socket } from "node:net";
import postgres from "postgres";
import { ProbeFault, faultOf } from "./postgresql-fault.ts";
import type { PostgresqlTarget } from "./postgresql-target.ts";

/** The oldest that is supported; older ones lack columns that are asked for. */
const OLDEST_MAJOR = 15;

/** What a server may say first: authentication, an error, a notice, a version to agree on, and yes or no to TLS. */
const FIRST_BYTES = "RENvS";

const PREPARED = { prepare: true, simple: false };

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
  #client: postgres.Sql | undefined;
  #socket: Socket | undefined;
  #major: number | undefined;
  #closed = false;

  constructor(target: PostgresqlTarget, settings: SessionSettings) {
    this.#target = target;
    this.#settings = settings;
  }

  /** The server's major version, as it said at the login; undefined before. */
  get major(): number | undefined {
    if (this.#major === undefined) {
      const said = /^(\d+)/.exec(String(this.#client?.parameters["server_version"] ?? ""));
      this.#major = said === null ? undefined : Number(said[1]);
    }
    return this.#major;
  }

  /** Whether there is a session to ask on. */
  get isOpen(): boolean {
    return this.major !== undefined && this.#socket?.destroyed === false;
  }

  /** Rows of a question. Rejects with {@link ProbeFault}; the connection is kept when the server answered that it will not. */
  async ask<T>(sql: string, parameters: readonly (string | number)[], signal: AbortSignal): Promise<T[]> {
    if (signal.aborted) throw new ProbeFault("TM-PROBE-SLOW", "it was given up before it was asked");
    if (this.#closed) throw new ProbeFault("TM-PROBE-AWAY", "the probe is closed");
    const client = (this.#client ??= this.#open());
    let onAbort: (() => void) | undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(new ProbeFault("TM-PROBE-SLOW", "no answer in time"));
      signal.addEventListener("abort", onAbort, { once: true });
    });
    // Without parameters the driver would send the text each time, and the server parse and plan it each time.
    const answer = client.unsafe(sql, [...parameters], PREPARED) as unknown as Promise<T[]>;
    try {
      const rows = await Promise.race([answer, aborted]);
      this.#checkVersion();
      return Array.from(rows);
    } catch (error) {
      const fault = this.#isTooOld() ? this.#tooOld() : faultOf(error, this.#target.password);
      if (!keepsSession(error)) this.drop();
      throw fault;
    } finally {
      if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
      // The loser of the race may reject later, when its connection is gone: whoever asked has his answer.
      answer.catch(() => undefined);
    }
  }

  /** Gives the connection up, at once; the next question makes another. */
  drop(): void {
    const client = this.#client;
    this.#client = undefined;
    this.#major = undefined;
    // Without a last word to the server: it may not be listening.
    this.#socket?.destroy();
    this.#socket = undefined;
    client?.end({ timeout: 0 }).catch(() => undefined);
  }

  close(): void {
    this.#closed = true;
    this.drop();
  }

  #checkVersion(): void {
    if (this.major === undefined) throw new ProbeFault("TM-PROBE-GARBAGE", "it does not say which version it is");
    if (this.#isTooOld()) throw this.#tooOld();
  }

  #isTooOld(): boolean {
    return this.major !== undefined && this.major < OLDEST_MAJOR;
  }

  #tooOld(): ProbeFault {
    return new ProbeFault("TM-PROBE-VERSION", `it is PostgreSQL ${this.major}; ${OLDEST_MAJOR} is the oldest supported`);
  }

  #open(): postgres.Sql {
    const { host, port, user, password, database, tls } = this.#target;
    const { applicationName, readOnly, statementTimeoutMs, synchronousCommit } = this.#settings;
    let used = false;
    const options = {
      host,
      port,
      user,
      ...(password === undefined ? {} : { password: () => password.reveal() }),
      database,
      max: 1,
      idle_timeout: 0,
      max_lifetime: null,
      // The turn's signal bounds it.
      connect_timeout: 0,
      backoff: false,
      fetch_types: false,
      ssl: tls === "disable" ? false : tls,
      onnotice: () => undefined,
      connection: {
        application_name: applicationName,
        search_path: "pg_catalog",
        statement_timeout: statementTimeoutMs,
        lock_timeout: statementTimeoutMs,
        ...(readOnly ? { default_transaction_read_only: true } : {}),
        ...(synchronousCommit === undefined ? {} : { synchronous_commit: synchronousCommit }),
      },
      socket: async (): Promise<Socket> => {
        // The driver connects again by itself when a server closes during the login, without end.
        if (used || this.#closed) throw new ProbeFault("TM-PROBE-AWAY", "it ended the connection during the login");
        used = true;
        return this.#connect();
      },
    };
    return postgres(options as unknown as postgres.Options<Record<string, never>>);
  }

  #connect(): Promise<Socket> {
    const { host, port } = this.#target;
    const socket = connect({ host, port, noDelay: true });
    // The driver checks the certificate against it.
    Object.assign(socket, { host });
    this.#socket = socket;
    // The driver would wait for the rest of whatever length it reads out of another protocol's first bytes.
    socket.once("data", (chunk: Buffer) => {
      if (!FIRST_BYTES.includes(chunk.toString("latin1", 0, 1)))
        socket.destroy(new ProbeFault("TM-PROBE-GARBAGE", "what answers there does not speak PostgreSQL's protocol"));
    });
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
  const { name, code } = error as { name?: string; code?: string };
  return name === "PostgresError" && code !== undefined && !/^(28|57P|08|3D)/.test(code);
}
