// A connection of the replication protocol. It pulls: bytes are read from the socket only while a message is awaited, so
// a slow consumer slows the server down and nothing piles up here. One command at a time. SQL goes through the `postgres`
// driver, not through this.
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { connect as connectTcp, isIP } from "node:net";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import { connect as connectTls } from "node:tls";
import type { Clock } from "@tidemark/kernel/clock";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { ByteReceiver } from "./incoming-bytes.ts";
import { IncomingBytes } from "./incoming-bytes.ts";
import type { BackendMessage } from "./protocol/backend-messages.ts";
import { MessageDecoder } from "./protocol/backend-messages.ts";
import { query, saslInitialResponse, saslResponse, sslRequest, startupMessage, terminate } from "./protocol/frontend-messages.ts";
import { SCRAM_MECHANISM, clientFinal, clientFirst } from "./protocol/scram.ts";

export interface ReplicationLogin {
  readonly host: string;
  readonly port: number;
  /** Needs the REPLICATION attribute. */
  readonly user: string;
  readonly password: Redacted<string>;
  readonly applicationName?: string;
  /** TLS is demanded when given; options as for node:tls. Default none. */
  readonly tls?: TlsOptions;
  readonly clock: Clock;
  /** Closes the connection; whatever is awaited then rejects with TM-PG-CONNECTION. */
  readonly signal?: AbortSignal;
  /** Time to connect and log in. Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** The longest silence of the server while an answer is awaited. Default 2 min: a checkpoint before a backup is silent. */
  readonly silenceTimeoutMs?: number;
}

/** One result of a command: the simple protocol may answer with several. Values are the server's text, as bytes. */
export interface CommandResult {
  readonly fields: readonly string[];
  readonly rows: readonly (readonly (Buffer | null)[])[];
  readonly tag: string;
}

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_SILENCE_TIMEOUT_MS = 120_000;

/** Codes of the authentication message. */
const AUTHENTICATION = { ok: 0, sasl: 10, saslContinue: 11, saslFinal: 12 } as const;

export class ReplicationConnection {
  readonly #login: ReplicationLogin;
  readonly #socket: Socket;
  readonly #incoming: IncomingBytes;
  readonly #decoder = new MessageDecoder();
  readonly #parameters = new Map<string, string>();
  readonly #onAbort: () => void;
  #deadlineMs: number;

  private constructor(login: ReplicationLogin, open: OpenSocket, deadlineMs: number) {
    this.#login = login;
    this.#socket = open.socket;
    this.#incoming = open.incoming;
    this.#deadlineMs = deadlineMs;
    this.#onAbort = () => void this.#socket.destroy(new Error("aborted"));
    login.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Connects and logs in. Rejects with TM-PG-CONNECTION, TM-PG-AUTHENTICATION, TM-PG-SERVER or TM-PG-PROTOCOL. */
  static async open(login: ReplicationLogin): Promise<ReplicationConnection> {
    const deadlineMs = login.clock.monotonicMs() + (login.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
    if (login.signal?.aborted === true) throw lost(login, login.signal.reason);
    const connection = new ReplicationConnection(login, await openSocket(login, deadlineMs), deadlineMs);
    try {
      await connection.#logIn();
      connection.#deadlineMs = Number.POSITIVE_INFINITY;
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** What the server reported about itself, such as `server_version` and `TimeZone`. */
  parameter(name: string): string | undefined {
    return this.#parameters.get(name);
  }

  /** The server's major version; 0 when it did not say. */
  get serverMajor(): number {
    return Number.parseInt(this.parameter("server_version") ?? "0", 10);
  }

  /** Runs one command to its end. Rejects with TM-PG-SERVER when the server refuses it; the connection stays usable then. */
  async command(text: string): Promise<CommandResult[]> {
    this.send(query(text));
    const results: CommandResult[] = [];
    let fields: readonly string[] = [];
    let rows: (readonly (Buffer | null)[])[] = [];
    for (;;) {
      const message = await this.read();
      if (message.kind === "ready") return results;
      if (message.kind === "fields") fields = message.names;
      else if (message.kind === "row") rows.push(message.values);
      else if (message.kind === "complete") {
        results.push({ fields, rows, tag: message.tag });
        fields = [];
        rows = [];
      } else throw new TidemarkError("TM-PG-PROTOCOL", `awaited the result of a command, got ${message.kind}`);
    }
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Bytes that were sent and that the system has not taken yet: the server reads slower than we send. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** All bytes that come from now on go to `receiver`, and no message is read here, until {@link takeBack}. */
  handTo(receiver: ByteReceiver): void {
    this.#incoming.handTo(receiver, this.#decoder.drain());
  }

  /** Goes on after the receiver refused to take more. */
  resume(): void {
    this.#incoming.resume();
  }

  /** Messages are read here again, beginning with `unread`: what the receiver got and did not use. */
  takeBack(unread: Buffer): void {
    this.#incoming.takeBack(unread);
  }

  /** `cause` as this connection's loss, TM-PG-CONNECTION. */
  lost(cause: unknown): TidemarkError {
    return lost(this.#login, cause);
  }

  /**
   * The next message that matters: notices and parameters are dealt with here. An error of the server rejects, after its
   * ReadyForQuery was read, so that the next command may follow.
   */
  async read(): Promise<Exclude<BackendMessage, { kind: "error" | "notice" | "parameter" | "ignored" }>> {
    const message = await this.#message();
    if (message.kind !== "error") return message;
    const error = serverError(message.fields);
    if ((message.fields["V"] ?? message.fields["S"]) === "ERROR") while ((await this.#message()).kind !== "ready") continue;
    else this.destroy();
    throw error;
  }

  /** Says goodbye and closes. */
  close(): void {
    this.#login.signal?.removeEventListener("abort", this.#onAbort);
    if (!this.#socket.destroyed) this.#socket.end(terminate());
    this.#socket.destroySoon();
  }

  /** Closes at once; the server ends what it was doing when it notices. */
  destroy(): void {
    this.#login.signal?.removeEventListener("abort", this.#onAbort);
    this.#socket.destroy();
  }

  async #message(): Promise<Exclude<BackendMessage, { kind: "notice" | "parameter" | "ignored" }>> {
    for (;;) {
      const message = this.#decode();
      if (message === undefined) {
        this.#decoder.push(await this.#chunk());
      } else if (message.kind === "parameter") {
        this.#parameters.set(message.name, message.value);
      } else if (message.kind !== "notice" && message.kind !== "ignored") {
        return message;
      }
    }
  }

  #decode(): BackendMessage | undefined {
    try {
      return this.#decoder.next();
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  async #chunk(): Promise<Buffer> {
    const { clock, silenceTimeoutMs } = this.#login;
    const waitMs = Math.min(silenceTimeoutMs ?? DEFAULT_SILENCE_TIMEOUT_MS, Math.max(0, this.#deadlineMs - clock.monotonicMs()));
    const timer = clock.setTimer(waitMs, () => this.#socket.destroy(new Error(`the server was silent for ${Math.round(waitMs)} ms`)));
    try {
      const next = await this.#incoming.next();
      if (next === undefined) throw new Error("the server closed the connection");
      return next;
    } catch (error) {
      throw lost(this.#login, error);
    } finally {
      timer.clear();
    }
  }

  async #logIn(): Promise<void> {
    const { user, applicationName } = this.#login;
    this.send(
      startupMessage({
        user,
        replication: "true",
        client_encoding: "UTF8",
        ...(applicationName === undefined ? {} : { application_name: applicationName }),
      }),
    );
    await this.#authenticate();
    for (;;) {
      const message = await this.read();
      if (message.kind === "ready") return;
      throw new TidemarkError("TM-PG-PROTOCOL", `awaited the end of the login, got ${message.kind}`);
    }
  }

  /**
   * Only SCRAM-SHA-256: a password is never sent in clear, md5 is not spoken, and a server that lets us in without having
   * shown that it knows the password could be anybody who took the port.
   */
  async #authenticate(): Promise<void> {
    const first = await this.#authentication();
    const mechanisms = first.data.toString("utf8").split("\0");
    if (first.code !== AUTHENTICATION.sasl || !mechanisms.includes(SCRAM_MECHANISM)) {
      throw new TidemarkError(
        "TM-PG-AUTHENTICATION",
        `logged in as ${this.#login.user}: the server wants a method other than SCRAM-SHA-256`,
        {
          details: { code: first.code },
        },
      );
    }
    const login = { password: this.#login.password.reveal(), nonce: randomBytes(18).toString("base64") };
    this.send(saslInitialResponse(SCRAM_MECHANISM, clientFirst(login)));
    const challenge = await this.#authentication(AUTHENTICATION.saslContinue);
    const answer = await clientFinal(login, challenge.data.toString("utf8"));
    this.send(saslResponse(answer.message));
    answer.verify((await this.#authentication(AUTHENTICATION.saslFinal)).data.toString("utf8"));
    await this.#authentication(AUTHENTICATION.ok);
  }

  async #authentication(code?: number): Promise<{ code: number; data: Buffer }> {
    const message = await this.read();
    if (message.kind !== "authentication" || (code !== undefined && message.code !== code)) {
      throw new TidemarkError("TM-PG-PROTOCOL", `awaited a step of the login, got ${message.kind}`);
    }
    return message;
  }
}

interface OpenSocket {
  readonly socket: Socket;
  readonly incoming: IncomingBytes;
}

/** Opens TCP, and TLS on it when asked for. */
async function openSocket(login: ReplicationLogin, deadlineMs: number): Promise<OpenSocket> {
  const incoming = new IncomingBytes();
  const { host, port } = login;
  const socket = connectTcp({
    host,
    port,
    noDelay: true,
    keepAlive: true,
    ...(login.tls === undefined ? { onread: incoming.onread } : {}),
  });
  const abort = (): void => void socket.destroy(new Error("aborted"));
  login.signal?.addEventListener("abort", abort, { once: true });
  const timer = login.clock.setTimer(Math.max(0, deadlineMs - login.clock.monotonicMs()), () =>
    socket.destroy(new Error("no answer in time")),
  );
  try {
    await settled(socket, "connect");
    if (login.tls === undefined) {
      incoming.attach(socket, true);
      return { socket, incoming };
    }
    socket.write(sslRequest());
    const answer = await new Promise<Buffer>((resolve, reject) => {
      socket
        .once("data", resolve)
        .once("error", reject)
        .once("close", () => reject(new Error("the server closed the connection")));
    });
    socket.pause();
    // More than one byte would be data that somebody slipped in before encryption began.
    if (answer.toString("latin1") !== "S")
      throw new TidemarkError("TM-PG-CONNECTION", `connected to ${login.host}:${login.port}: the server does not offer TLS`);
    socket.removeAllListeners();
    // A certificate is checked against the host in any case; only a name may stand in the TLS greeting (RFC 6066).
    const secure = connectTls({ host: login.host, ...(isIP(login.host) === 0 ? { servername: login.host } : {}), ...login.tls, socket });
    await settled(secure, "secureConnect");
    incoming.attach(secure, false);
    return { socket: secure, incoming };
  } catch (error) {
    socket.destroy();
    if (error instanceof TidemarkError) throw error;
    throw lost(login, error);
  } finally {
    timer.clear();
    login.signal?.removeEventListener("abort", abort);
  }
}

function settled(socket: Socket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed")));
  });
}

function lost(login: ReplicationLogin, cause: unknown): TidemarkError {
  return new TidemarkError("TM-PG-CONNECTION", `spoke with PostgreSQL at ${login.host}:${login.port}: the connection failed`, {
    cause,
    details: { host: login.host, port: login.port },
  });
}

/** Classes of SQLSTATE that are about the connection and not about the command. Source: errcodes.txt of PostgreSQL. */
const CODE_BY_SQLSTATE: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^28/, "TM-PG-AUTHENTICATION"], // invalid authorization
  [/^(57P0[123]|53300|08)/, "TM-PG-CONNECTION"], // shutting down, crashed, starting up, too many connections
];

/** An ErrorResponse as an error with a code. Fields: S severity (untranslated V), C sqlstate, M message, D detail, H hint. */
export function serverError(fields: Readonly<Record<string, string>>): TidemarkError {
  const sqlstate = fields["C"] ?? "";
  const code = CODE_BY_SQLSTATE.find(([form]) => form.test(sqlstate))?.[1] ?? "TM-PG-SERVER";
  return new TidemarkError(code, `PostgreSQL refused: ${fields["M"] ?? "without a message"}`, {
    details: { sqlstate, severity: fields["V"] ?? fields["S"], detail: fields["D"], serverHint: fields["H"] },
  });
}
