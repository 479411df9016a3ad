// One connection to the server that is checked. Each question is one message of the simple protocol (so that poolers let it
// pass) and one implicit transaction: read-only, with a time limit of the server's own, undone as a whole when it fails.
import { readFileSync } from "node:fs";
import { connect, isIP, type Socket } from "node:net";
import { join } from "node:path";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import postgres from "postgres";
import { ServerBytes } from "./server-bytes.ts";
import { withoutPassword, type ConnectionTarget } from "./connection-target.ts";

/** The server ends a question that takes longer, milliseconds. */
const STATEMENT_TIMEOUT_MS = 1_500;
/** It waits for no lock longer, milliseconds: a check never stands in anybody's way. */
const LOCK_TIMEOUT_MS = 250;
const TIME_OVER = "the time for the check was over";

const LIMITS = `set transaction read only; set local statement_timeout = ${STATEMENT_TIMEOUT_MS}; set local lock_timeout = ${LOCK_TIMEOUT_MS}; set local search_path = pg_catalog;`;

export type Answer = { readonly known: true; readonly value: unknown } | { readonly known: false; readonly why: string };

class Late extends Error {
  constructor(timeoutMs: number) {
    super(`no answer within ${(timeoutMs / 1_000).toFixed(1)} s`);
  }
}

interface AnsweredRow {
  readonly j: unknown;
}

export class ServerConnection {
  readonly #target: ConnectionTarget;
  readonly #clock: Clock;
  readonly #sql: postgres.Sql;
  readonly #end = new AbortController();
  #socket: Socket | undefined;
  #bytes: ServerBytes | undefined;
  #notPostgresql = false;
  #lost: string | undefined;
  /** The process id that the server named at login; behind a pooler it is not that of the process that answers. */
  processId: number | undefined;

  constructor(target: ConnectionTarget, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
    const options = {
      host: target.host,
      port: target.port,
      database: target.database,
      user: target.user,
      password: target.password?.reveal() ?? "",
      ssl: tlsOptions(target),
      socket: () => this.#open(),
      max: 1,
      connect_timeout: 0,
      backoff: false,
      fetch_types: false,
      prepare: false,
      onnotice: () => undefined,
      connection: { application_name: "tidemark check" },
    };
    this.#sql = postgres(options as unknown as postgres.Options<Record<string, never>>);
  }

  /** Logs in and asks the first question, within `timeoutMs`. Throws TM-CHECK-…. */
  async begin(query: string, timeoutMs: number): Promise<unknown> {
    try {
      return await this.#within(timeoutMs, this.#run(query));
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /**
   * Asks; what goes wrong is said in the answer. Questions may be asked while others wait: the server answers in their order.
   * Without an answer in `timeoutMs` the connection is given up, and every further answer says so at once.
   */
  async ask(query: string, timeoutMs: number): Promise<Answer> {
    if (this.#lost !== undefined) return { known: false, why: this.#lost };
    if (timeoutMs <= 0) return { known: false, why: TIME_OVER };
    try {
      return { known: true, value: await this.#within(timeoutMs, this.#run(query)) };
    } catch (error) {
      if (error instanceof postgres.PostgresError) return { known: false, why: whyNot(error, this.#words(error)) };
      this.#lost ??= error instanceof Late ? error.message : `the connection was lost: ${this.#words(error)}`;
      this.#socket?.destroy();
      return { known: false, why: this.#lost };
    }
  }

  /** Ends the connection at once, also where nobody answers any more. */
  close(): void {
    this.#end.abort(new Error("the check is over"));
    // What is still open is rejected by this; whoever asked has been answered.
    this.#sql.end({ timeout: 0 }).catch(() => undefined);
    // Within TLS the driver's own socket says goodbye through this one, which must not be gone by then.
    if (this.#bytes?.encrypted !== true) this.#socket?.destroySoon();
    this.#clock.setTimer(100, () => this.#socket?.destroy(), { keepAlive: false });
  }

  async #run(query: string): Promise<unknown> {
    const results = (await this.#sql.unsafe(`${LIMITS} ${query}`).simple()) as unknown as readonly (readonly AnsweredRow[])[];
    const last = results.at(-1);
    this.processId ??= (last as unknown as { state?: { pid?: number } } | undefined)?.state?.pid;
    const row = last?.[0];
    if (row === undefined) throw new Error("the answer holds no row");
    return row.j;
  }

  async #within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
    let timer: { clear(): void } | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.setTimer(timeoutMs, () => reject(new Late(timeoutMs)));
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      timer?.clear();
      // When time was up first, its rejection comes later and is of no interest any more.
      work.catch(() => undefined);
    }
  }

  /** The driver calls this for every attempt; there is one only: a server that hangs up is not asked again and again. */
  async #open(): Promise<Socket> {
    if (this.#socket !== undefined) throw new Error("the server closed the connection");
    const { host, port } = this.#target;
    const socket = host.startsWith("/") ? connect({ path: join(host, `.s.PGSQL.${port}`) }) : connect({ host, port });
    this.#socket = socket;
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve();
      });
      this.#end.signal.addEventListener("abort", () => reject(new Error("the check is over")), { once: true });
    });
    socket.setNoDelay(true);
    const bytes = new ServerBytes(tlsOptions(this.#target) !== false);
    this.#bytes = bytes;
    const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
    // Before the driver's listener, whichever it is: what it cannot read it would throw where nobody catches.
    socket.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      // When TLS begins the driver takes its listeners off and hears of the same fault from the TLS socket.
      if (event === "error" && socket.listenerCount("error") === 0) return false;
      if (event !== "data" || bytes.accept(args[0] as Buffer)) return emit(event, ...args);
      this.#notPostgresql = true;
      socket.destroy(new Error("what came is not PostgreSQL's protocol"));
      return false;
    };
    // The driver takes the name for TLS from here.
    return Object.assign(socket, { host });
  }

  #failure(error: unknown): TidemarkError {
    const words = this.#words(error);
    const failed = (code: ErrorCode, what: string): TidemarkError =>
      new TidemarkError(code, `the check of ${this.#target.shown} ${what}: ${words}`);
    if (this.#notPostgresql) return failed("TM-CHECK-NO-POSTGRESQL", "found no PostgreSQL");
    if (error instanceof postgres.PostgresError) {
      // Too many connections, starting up, shutting down.
      if (/^(53|57P)/.test(error.code)) return failed("TM-CHECK-AWAY", "was not let in now");
      if (/^(28|3D)/.test(error.code) || error.severity === "FATAL") return failed("TM-CHECK-LOGIN", "could not log in");
      return failed("TM-CHECK-REFUSED", "was refused its first question");
    }
    const code = (error as { code?: unknown } | null)?.code;
    if (typeof code === "string" && /SSL|TLS|CERT|SASL|AUTH|SELF_SIGNED/.test(code)) return failed("TM-CHECK-LOGIN", "could not log in");
    if (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)
      return failed("TM-CHECK-NO-POSTGRESQL", "could not make sense of what the server sent");
    return failed("TM-CHECK-AWAY", "did not reach the server");
  }

  #words(error: unknown): string {
    const message =
      error instanceof AggregateError ? error.errors.map(String).join("; ") : error instanceof Error ? error.message : String(error);
    return withoutPassword(message, this.#target);
  }
}

function whyNot(error: postgres.PostgresError, words: string): string {
  if (error.code === "42501") return `not allowed to this user (${words})`;
  if (error.code === "57014") return `it took longer than ${STATEMENT_TIMEOUT_MS / 1_000} s`;
  return words;
}

/** As libpq's sslmode: up to `require` no certificate is looked at, `verify-ca` looks at the chain, `verify-full` at the name as well. */
function tlsOptions(target: ConnectionTarget): unknown {
  const { sslMode, host } = target;
  if (sslMode === "disable" || sslMode === "allow" || host.startsWith("/")) return false;
  if (sslMode === "prefer") return "prefer";
  const read = (path: string | undefined): Buffer | undefined => (path === undefined ? undefined : readCertificate(path));
  // A root certificate makes libpq look at the chain for `require` as well.
  const verifies = sslMode !== "require" || target.rootCert !== undefined;
  return {
    rejectUnauthorized: verifies,
    ...(target.rootCert === undefined || target.rootCert === "system" ? {} : { ca: read(target.rootCert) }),
    cert: read(target.clientCert),
    key: read(target.clientKey),
    ...(sslMode === "verify-full" ? { servername: isIP(host) === 0 ? host : undefined, host } : { checkServerIdentity: () => undefined }),
  };
}

function readCertificate(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TidemarkError("TM-CHECK-TARGET", `the connection string cannot be used: its file ${path} cannot be read`, { cause: error });
  }
}
