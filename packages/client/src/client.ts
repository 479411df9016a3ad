import { TidemarkClientError } from "./client-error.ts";
import type { ClientWorld } from "./client-world.ts";
import { PendingWrite } from "./pending-write.ts";
import { HttpTransport } from "./platform/http-transport.ts";
import { systemWorld } from "./platform/system-world.ts";
import type { ReceiptFacts } from "./receipt.ts";
import { DEFAULT_RETRY_POLICY } from "./retry-policy.ts";
import { WriteSender } from "./write-sender.ts";
import type { WriteStatus } from "./write-status.ts";
import { WriteWaiter } from "./write-waiter.ts";

export { CLIENT_CODES, TidemarkClientError, type ClientCode, type Problem, type Retry } from "./client-error.ts";
export type { FailureDomain, ReceiptFacts } from "./receipt.ts";
export type { AppliedFacts, VerdictFacts, WriteStatus } from "./write-status.ts";

/** The limits of one client. Each has a default; docs/sdk.md says what happens at each. */
export interface ClientLimits {
  /** Requests with writes in flight at a time. Default 2. */
  readonly requests: number;
  /** Writes in one request. Default 500. A gateway that takes fewer answers 413 once, and the client goes down by itself. */
  readonly batchWrites: number;
  /** Bytes of one request. Default 524,288. */
  readonly batchBytes: number;
  /** Writes that have no receipt yet. Beyond it write() rejects with TM-CLIENT-QUEUE-FULL. Default 10,000. */
  readonly queuedWrites: number;
  /** Their bytes as JSON. Default 67,108,864. */
  readonly queuedBytes: number;
  /** Connections that wait for applications; applied() calls beyond it take turns. Default 64. */
  readonly waits: number;
}

export const DEFAULT_LIMITS: ClientLimits = {
  requests: 2,
  batchWrites: 500,
  batchBytes: 524_288,
  queuedWrites: 10_000,
  queuedBytes: 67_108_864,
  waits: 64,
};

/** Bearer tokens are visible ASCII; anything else would change the request's head. */
const TOKEN_FORM = /^[\x21-\x7e]+$/;
/** Longest idempotency key, in UTF-16 units, as the gateway has it. */
const MOST_KEY_CHARACTERS = 255;
/** How long keys are taken to be remembered until the first receipt has told. */
const ASSUMED_WINDOW_MS = 600_000;

export interface ClientOptions {
  /** Where the gateway is: `http://127.0.0.1:7400`. A path is kept as a prefix. */
  readonly url: string;
  /** The bearer token. Never shown in errors or inspection. */
  readonly token: string;
  /** How long a write may take until its receipt, repeats included. Default 30,000 ms. */
  readonly timeoutMs?: number;
  /** How long one request may go without a whole answer. Default 10,000 ms. */
  readonly requestTimeoutMs?: number;
  readonly limits?: Partial<ClientLimits>;
  /** Certificates to trust beside the system's, PEM, for https. */
  readonly ca?: string;
  /** Time and chance; for tests. */
  readonly world?: ClientWorld;
}

export interface WriteOptions {
  /**
   * What order is kept by; without it the gateway takes the command's own from the arguments. Writes that this client
   * is given with the same key are accepted in the order of the calls, whether they are awaited or not.
   */
  readonly key?: string;
  /** The name of this write for all time: the same one never takes effect twice. Default: a new UUID. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
  /** Instead of the client's `timeoutMs`. */
  readonly timeoutMs?: number;
}

/** The gateway's word that a write is safe, as {@link ReceiptFacts} has it. */
export interface Receipt extends ReceiptFacts {
  /** The idempotency key that the write was sent with. */
  readonly idempotencyKey: string;
  /**
   * Resolves once the write is in the database, as late as rule R14 of docs/write-protocol.md says. Rejects with
   * TM-CLIENT-NOT-APPLIED when the database refused it, or when `timeout` (milliseconds, default 30,000) has passed.
   */
  applied(options?: { timeout?: number }): Promise<WriteStatus>;
}

/**
 * Durable writes through a Tidemark gateway. One client serves a whole process: it batches what is written concurrently
 * and repeats what is safe to repeat. docs/sdk.md has the guide.
 */
export class TidemarkClient {
  readonly #world: ClientWorld;
  readonly #timeoutMs: number;
  readonly #transports: readonly HttpTransport[];
  readonly #sender: WriteSender;
  readonly #waiter: WriteWaiter;
  #closed = false;

  /** Asks about writes that were acknowledged before, by their receipts' ids. */
  readonly writes: {
    /** Where a write stands now. Rejects with the gateway's code when it knows no such write. */
    get(id: string, options?: { timeoutMs?: number }): Promise<WriteStatus>;
  };

  /** @throws TidemarkClientError TM-CLIENT-INVALID. Opens no connection yet. */
  constructor(options: ClientOptions) {
    const url = readUrl(options.url);
    if (typeof options.token !== "string" || !TOKEN_FORM.test(options.token))
      throw invalid("token must be the text of a bearer token, without spaces or line ends");
    const limits: ClientLimits = { ...DEFAULT_LIMITS, ...options.limits };
    for (const [name, value] of Object.entries(limits))
      if (!Number.isInteger(value) || value < 1) throw invalid(`limits.${name} must be a whole number of 1 or more`);
    this.#timeoutMs = positive("timeoutMs", options.timeoutMs ?? 30_000);
    this.#world = options.world ?? systemWorld;
    const ca = options.ca === undefined ? {} : { ca: options.ca };
    const writing = new HttpTransport(url, { connections: limits.requests, ...ca });
    const waiting = new HttpTransport(url, { connections: limits.waits, ...ca });
    this.#transports = [writing, waiting];
    const authorization = { authorization: `Bearer ${options.token}` };
    this.#sender = new WriteSender({
      options: {
        requests: limits.requests,
        batch: { writes: limits.batchWrites, bytes: limits.batchBytes },
        queuedWrites: limits.queuedWrites,
        queuedBytes: limits.queuedBytes,
        requestTimeoutMs: positive("requestTimeoutMs", options.requestTimeoutMs ?? 10_000),
        retry: DEFAULT_RETRY_POLICY,
        assumedWindowMs: ASSUMED_WINDOW_MS,
        headers: { ...authorization, "content-type": "application/x-ndjson", accept: "application/x-ndjson" },
      },
      transport: writing,
      world: this.#world,
    });
    this.#waiter = new WriteWaiter({ transport: waiting, world: this.#world, headers: authorization, retry: DEFAULT_RETRY_POLICY });
    this.writes = { get: (id, getOptions) => this.#waiter.get(id, getOptions?.timeoutMs ?? this.#timeoutMs) };
  }

  /**
   * Writes: resolves with a receipt when the gateway has acknowledged. Rejects with a TidemarkClientError; its `retry`
   * says whether the write may have been accepted all the same.
   * @param command a command of the gateway's tidemark.yaml.
   * @param args its arguments, JSON. They are read before this function returns.
   */
  async write(command: string, args: Readonly<Record<string, unknown>>, options: WriteOptions = {}): Promise<Receipt> {
    if (this.#closed) throw new TidemarkClientError("TM-CLIENT-CLOSED", "the client was closed before this write", { retry: "later" });
    const { key, signal, idempotencyKey = this.#world.uuid() } = options;
    const timeoutMs = options.timeoutMs === undefined ? this.#timeoutMs : positive("timeoutMs", options.timeoutMs);
    if (idempotencyKey === "" || idempotencyKey.length > MOST_KEY_CHARACTERS)
      throw invalid(`idempotencyKey must have 1 to ${MOST_KEY_CHARACTERS} characters`);
    const line = writeLine({ command, args, key, idempotencyKey });
    if (signal?.aborted === true)
      throw new TidemarkClientError("TM-CLIENT-ABORTED", "the signal was aborted before this write", { retry: "later", idempotencyKey });
    const facts = await this.#submit({ key, idempotencyKey, line, deadlineMs: this.#world.monotonicMs() + timeoutMs }, signal);
    return {
      ...facts,
      idempotencyKey,
      applied: (appliedOptions) => this.#waiter.applied(facts.id, positive("timeout", appliedOptions?.timeout ?? 30_000)),
    };
  }

  #submit(
    facts: { key: string | undefined; idempotencyKey: string; line: string; deadlineMs: number },
    signal: AbortSignal | undefined,
  ): Promise<ReceiptFacts> {
    return new Promise((resolve, reject) => {
      const write = new PendingWrite(facts, { resolve, reject });
      if (!this.#sender.admits(write.bytes)) {
        const message = "as many writes as limits.queuedWrites or limits.queuedBytes allow have no receipt yet";
        reject(new TidemarkClientError("TM-CLIENT-QUEUE-FULL", message, { retry: "later", idempotencyKey: facts.idempotencyKey }));
        return;
      }
      if (signal !== undefined) {
        const onAbort = (): void => this.#sender.abandon(write, "TM-CLIENT-ABORTED");
        signal.addEventListener("abort", onAbort, { once: true });
        write.onSettled(() => signal.removeEventListener("abort", onAbort));
      }
      this.#sender.submit(write);
    });
  }

  /**
   * Takes no more writes, waits up to `timeoutMs` (default: the client's) for the receipts of those under way, then ends
   * the connections. What has no receipt by then is rejected with TM-CLIENT-CLOSED. Idempotent.
   */
  async close(options: { timeoutMs?: number } = {}): Promise<void> {
    this.#closed = true;
    let stop: (() => void) | undefined;
    const inTime = new Promise<void>((resolve) => {
      const timer = this.#world.setTimer(options.timeoutMs ?? this.#timeoutMs, resolve);
      stop = () => timer.clear();
    });
    await Promise.race([this.#sender.drained(), inTime]);
    stop?.();
    this.#sender.close();
    for (const transport of this.#transports) transport.close();
  }
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:"))
    throw invalid("url must be the http or https address of a gateway");
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw invalid("url must have no user, password, query or fragment; the token goes into `token`");
  return url;
}

function writeLine(write: { command: string; args: unknown; key: string | undefined; idempotencyKey: string }): string {
  if (typeof write.command !== "string" || write.command === "") throw invalid("command must be the name of a command");
  try {
    return `${JSON.stringify(write)}\n`;
  } catch (cause) {
    throw new TidemarkClientError("TM-CLIENT-INVALID", "args cannot be written as JSON: no bigint, and nothing that holds itself", {
      retry: "never",
      cause,
    });
  }
}

function positive(name: string, value: number): number {
  if (!(value > 0)) throw invalid(`${name} must be a number of milliseconds above 0`);
  return value;
}

function invalid(message: string): TidemarkClientError {
  return new TidemarkClientError("TM-CLIENT-INVALID", message, { retry: "never" });
}
