// A session that asks one PostgreSQL the same few questions again and again: prepared once, one round trip each. It is small, because an
// observer keeps one for each server that it looks at, and a general driver's takes ten times the memory. One question at a time. It has no
// timeouts and connects to nothing: whoever made the socket destroys it when an answer takes too long, and that ends the session.
import { createHash, randomBytes } from "node:crypto";
import { isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { assert } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { BackendMessage } from "./protocol/backend-messages.ts";
import { MessageDecoder } from "./protocol/backend-messages.ts";
import {
  execute,
  passwordMessage,
  prepare,
  saslInitialResponse,
  saslResponse,
  sslRequest,
  startupMessage,
} from "./protocol/frontend-messages.ts";
import { SCRAM_MECHANISM, clientFinal, clientFirst } from "./protocol/scram.ts";

export interface QueryLogin {
  /** For the server's certificate. */
  readonly host: string;
  readonly user: string;
  readonly password?: Redacted<string>;
  readonly database: string;
  /** As libpq's sslmode. */
  readonly tls: "disable" | "prefer" | "require" | "verify-full";
  /** Of the session, such as statement_timeout. */
  readonly settings: Readonly<Record<string, string>>;
}

/** What the server answered instead. */
export class PostgresError extends Error {
  /** Its SQLSTATE. */
  readonly code: string;
  /** FATAL and PANIC end the session. */
  readonly endsSession: boolean;

  constructor(fields: Readonly<Record<string, string>>) {
    super(fields["M"] ?? "without a message");
    this.name = "PostgresError";
    this.code = fields["C"] ?? "";
    this.endsSession = (fields["V"] ?? fields["S"]) !== "ERROR";
  }
}

/** The session is over; `code` as Node's own errors of sockets have one. */
export class SessionEnd extends Error {
  readonly code: "CONNECTION_CLOSED" | "ERR_TLS_NOT_OFFERED";

  constructor(code: SessionEnd["code"], message: string) {
    super(message);
    this.name = "SessionEnd";
    this.code = code;
  }
}

/** Codes of the authentication message. */
const AUTHENTICATION = { ok: 0, clear: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const;
/** What a server may say first: authentication, an error, a notice, a version to agree on. Anything else does not speak the protocol. */
const FIRST_BYTES = "RENv";
/** SQLSTATEs that say that a prepared statement is of no use any more: its answer has other columns now, or the server does not know it. */
const FORGOTTEN = new Set(["0A000", "26000"]);
/** Numbers of pg_type; other types are text. */
const TYPE = { bool: 16, int2: 21, int4: 23, oid: 26, json: 114, float4: 700, float8: 701, jsonb: 3802 } as const;

interface Statement {
  readonly name: string;
  fields: readonly string[];
  types: readonly number[];
}

interface Question {
  readonly sql: string;
  readonly statement: Statement;
  readonly rows: Record<string, unknown>[];
  error: PostgresError | undefined;
  readonly resolve: (rows: Record<string, unknown>[]) => void;
  readonly reject: (error: unknown) => void;
}

export class QuerySession {
  readonly #socket: Socket;
  readonly #decoder = new MessageDecoder();
  readonly #statements = new Map<string, Statement>();
  #prepared = 0;
  #version: string | undefined;
  #question: Question | undefined;
  /** Of the login. */
  #inbox: BackendMessage[] | undefined = [];
  #wake: (() => void) | undefined;
  #isFirst = true;
  #end: { readonly error: unknown } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (error) => this.#onEnd(error));
    socket.on("close", () => this.#onEnd(new SessionEnd("CONNECTION_CLOSED", "the server closed the connection")));
  }

  /** Logs in on a socket that is connected. Rejects with {@link PostgresError}, {@link SessionEnd}, TM-PG-PROTOCOL, TM-PG-AUTHENTICATION or the socket's error. */
  static async open(socket: Socket, login: QueryLogin): Promise<QuerySession> {
    const isSecure = login.tls !== "disable";
    const secure = isSecure ? await encrypted(socket, login) : undefined;
    const session = new QuerySession(secure ?? socket);
    await session.#logIn(login, secure !== undefined);
    session.#inbox = undefined;
    return session;
  }

  /** The server's version as it says it; undefined: it did not. */
  get version(): string | undefined {
    return this.#version;
  }

  /** Nothing can be asked any more. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Rows by the names of their columns: booleans, numbers, JSON; all else as text. Rejects as {@link open}; after a plain error the session goes on. */
  ask(sql: string, values: readonly string[]): Promise<Record<string, unknown>[]> {
    assert(this.#question === undefined, "a session is asked one question at a time");
    if (this.#end !== undefined) return Promise.reject(this.#end.error);
    const known = this.#statements.get(sql);
    const statement = known ?? { name: `q${this.#prepared++}`, fields: [], types: [] };
    const run = execute(statement.name, values);
    return new Promise((resolve, reject) => {
      this.#question = { sql, statement, rows: [], error: undefined, resolve, reject };
      this.#socket.write(known === undefined ? Buffer.concat([prepare(statement.name, sql), run]) : run);
    });
  }

  /** Closes at once, without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    try {
      if (this.#isFirst && !FIRST_BYTES.includes(String.fromCharCode(chunk[0] ?? 0)))
        throw new Error("what answers there does not speak PostgreSQL's protocol");
      this.#isFirst = false;
      this.#decoder.push(chunk);
      for (let message = this.#decoder.next(); message !== undefined; message = this.#decoder.next()) this.#onMessage(message);
    } catch (error) {
      this.#onEnd(error);
    }
  }

  #onMessage(message: BackendMessage): void {
    if (message.kind === "parameter") {
      if (message.name === "server_version") this.#version = message.value;
    } else if (message.kind === "notice" || message.kind === "ignored") return;
    else if (this.#inbox !== undefined) {
      this.#inbox.push(message);
      this.#wake?.();
    } else this.#onAnswer(message);
  }

  #onAnswer(message: BackendMessage): void {
    if (message.kind === "error") {
      const error = new PostgresError(message.fields);
      if (error.endsSession) return this.#onEnd(error);
      if (this.#question !== undefined) this.#question.error = error;
      return;
    }
    const question = this.#question;
    if (question === undefined) throw new Error(`the server says ${message.kind} unasked`);
    const { statement } = question;
    if (message.kind === "parsed") this.#statements.set(question.sql, statement);
    else if (message.kind === "fields") {
      statement.fields = message.names;
      statement.types = message.types;
    } else if (message.kind === "row") question.rows.push(rowOf(statement, message.values));
    else if (message.kind === "ready") this.#answered(question);
    else if (message.kind !== "complete") throw new Error(`awaited an answer, got ${message.kind}`);
  }

  #answered(question: Question): void {
    this.#question = undefined;
    const { error, sql } = question;
    if (error === undefined) return question.resolve(question.rows);
    if (FORGOTTEN.has(error.code)) this.#statements.delete(sql);
    question.reject(error);
  }

  #onEnd(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#socket.destroy();
    this.#wake?.();
    this.#question?.reject(error);
    this.#question = undefined;
  }

  async #logIn(login: QueryLogin, isEncrypted: boolean): Promise<void> {
    const { user, database, settings } = login;
    this.#socket.write(startupMessage({ user, database, client_encoding: "UTF8", ...settings }));
    await this.#authenticate(login, isEncrypted);
    const message = await this.#next();
    if (message.kind !== "ready") throw new Error(`awaited the end of the login, got ${message.kind}`);
  }

  /** SCRAM-SHA-256 and MD5, as servers ask; in clear only where nobody can read along. */
  async #authenticate({ user, password }: QueryLogin, isEncrypted: boolean): Promise<void> {
    const first = await this.#authentication();
    if (first.code === AUTHENTICATION.ok) return;
    const secret = password?.reveal() ?? "";
    if (first.code === AUTHENTICATION.clear && isEncrypted) this.#socket.write(passwordMessage(secret));
    else if (first.code === AUTHENTICATION.md5) this.#socket.write(passwordMessage(md5Answer(secret, user, first.data)));
    else if (first.code === AUTHENTICATION.sasl && first.data.toString("utf8").split("\0").includes(SCRAM_MECHANISM)) {
      const terms = { password: secret, nonce: randomBytes(18).toString("base64") };
      this.#socket.write(saslInitialResponse(SCRAM_MECHANISM, clientFirst(terms)));
      const challenge = await this.#authentication(AUTHENTICATION.saslContinue);
      const answer = await clientFinal(terms, challenge.data.toString("utf8"));
      this.#socket.write(saslResponse(answer.message));
      answer.verify((await this.#authentication(AUTHENTICATION.saslFinal)).data.toString("utf8"));
    } else
      throw new PostgresError({
        C: "28000",
        V: "FATAL",
        M: `the server asks for the password in a way that is not spoken here (${first.code})`,
      });
    await this.#authentication(AUTHENTICATION.ok);
  }

  async #authentication(code?: number): Promise<{ code: number; data: Buffer }> {
    const message = await this.#next();
    if (message.kind !== "authentication" || (code !== undefined && message.code !== code))
      throw new Error(`awaited a step of the login, got ${message.kind}`);
    return message;
  }

  /** The next message of the login. */
  async #next(): Promise<BackendMessage> {
    for (;;) {
      const message = this.#inbox?.shift();
      if (message?.kind === "error") throw new PostgresError(message.fields);
      if (message !== undefined) return message;
      if (this.#end !== undefined) throw this.#end.error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}

/** TLS on the socket; undefined: the server offers none, and it is only preferred. */
async function encrypted(socket: Socket, { host, tls }: QueryLogin): Promise<Socket | undefined> {
  socket.write(sslRequest());
  const answer = await settled<Buffer>(socket, "data");
  socket.pause();
  // More than one byte would be data that somebody slipped in before encryption began.
  const said = answer.toString("latin1");
  if (said === "N" && tls === "prefer") {
    socket.resume();
    return undefined;
  }
  if (said === "N") throw new SessionEnd("ERR_TLS_NOT_OFFERED", "the server offers no TLS");
  if (said !== "S") throw new Error("what answers there does not speak PostgreSQL's protocol");
  // Only a name may stand in the greeting (RFC 6066); a certificate is checked against either.
  const secure = connectTls({ socket, host, ...(isIP(host) === 0 ? { servername: host } : {}), rejectUnauthorized: tls === "verify-full" });
  await settled(secure, "secureConnect");
  return secure;
}

function settled<T>(socket: Socket, event: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => done(() => reject(new SessionEnd("CONNECTION_CLOSED", "the server closed the connection")));
    const onError = (error: Error): void => done(() => reject(error));
    const onEvent = (value: T): void => done(() => resolve(value));
    const done = (settle: () => void): void => {
      socket.removeListener(event, onEvent);
      socket.removeListener("error", onError);
      socket.removeListener("close", onClose);
      settle();
    };
    socket.once(event, onEvent);
    socket.once("error", onError);
    socket.once("close", onClose);
  });
}

function md5Answer(password: string, user: string, salt: Buffer): string {
  const md5 = (...parts: (string | Buffer)[]): string => {
    const hash = createHash("md5");
    for (const part of parts) hash.update(part);
    return hash.digest("hex");
  };
  return `md5${md5(md5(password, user), salt)}`;
}

function rowOf({ fields, types }: Statement, values: readonly (Buffer | null)[]): Record<string, unknown> {
  if (values.length !== fields.length) throw new Error(`a row of ${values.length} values where ${fields.length} were described`);
  const row: Record<string, unknown> = {};
  for (const [at, bytes] of values.entries())
    row[fields[at] as string] = bytes === null ? null : valueOf(types[at] as number, bytes.toString("utf8"));
  return row;
}

function valueOf(type: number, text: string): unknown {
  switch (type) {
    case TYPE.bool:
      return text === "t";
    case TYPE.int2:
    case TYPE.int4:
    case TYPE.oid:
    case TYPE.float4:
    case TYPE.float8:
      return Number(text);
    case TYPE.json:
    case TYPE.jsonb:
      return JSON.parse(text);
    default:
      return text;
  }
}
