import { Agent, request, type IncomingMessage } from "node:http";
import type { Intent, LedgerReceipt } from "../ledger/ledger-entry.ts";
import type { AttemptResult } from "./attempt-policy.ts";
import type { WriteTransport } from "./write-sender.ts";

/** Connections kept open to the gateway; writes beyond so many at once wait, and their latency counts the wait. */
const MOST_CONNECTIONS = 256;
/** An answer longer than this is not a receipt. */
const MOST_ANSWER_BYTES = 1_048_576;

/** `POST /v1/writes` over keep-alive connections, as an application would. */
export class HttpWriteTransport implements WriteTransport {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MOST_CONNECTIONS, scheduling: "fifo" });
  readonly #url: URL;
  readonly #token: string;
  readonly #command: string;

  constructor(options: { url: string; token: string; command: string }) {
    this.#url = new URL("/v1/writes", options.url);
    this.#token = options.token;
    this.#command = options.command;
  }

  attempt(intent: Intent, timeoutMs: number): Promise<AttemptResult> {
    const body = JSON.stringify({
      command: this.#command,
      args: { number: intent.order, customer: intent.customer, amount_cents: intent.amountCents },
      key: intent.customer,
      idempotencyKey: intent.idempotencyKey,
    });
    return new Promise((resolve) => {
      let connected = false;
      const outgoing = request(
        this.#url,
        {
          method: "POST",
          agent: this.#agent,
          timeout: timeoutMs,
          headers: {
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
            authorization: `Bearer ${this.#token}`,
          },
        },
        (response) => {
          readAnswer(response).then(resolve, (error: Error) => resolve({ kind: "no-answer", reason: error.message }));
        },
      );
      outgoing.on("socket", (socket) => {
        if (!socket.connecting) connected = true;
        else socket.once("connect", () => (connected = true));
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        const reason = error.code ?? error.message;
        resolve(connected ? { kind: "no-answer", reason } : { kind: "not-sent", reason });
      });
      outgoing.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function readAnswer(response: IncomingMessage): Promise<AttemptResult> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_ANSWER_BYTES) throw new Error(`answer of more than ${MOST_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (!response.complete) throw new Error("the answer broke off");
  return readResult(response.statusCode ?? 0, Buffer.concat(chunks).toString("utf8"), response.headers["retry-after"]);
}

/** Reads an answer of the gateway. A 2xx that is not a receipt settles nothing, so it counts as no answer. */
export function readResult(status: number, text: string, retryAfter: string | undefined): AttemptResult {
  const answer = parseObject(text);
  if (status >= 200 && status < 300) {
    const receipt = answer === undefined ? undefined : asReceipt(answer);
    return receipt === undefined ? { kind: "no-answer", reason: `${status} without a receipt` } : { kind: "receipt", receipt };
  }
  const code = typeof answer?.["code"] === "string" ? answer["code"] : `HTTP-${status}`;
  const seconds = Number(retryAfter);
  return {
    kind: "error",
    status,
    code,
    ...(retryAfter !== undefined && Number.isFinite(seconds) ? { retryAfterMs: seconds * 1_000 } : {}),
  };
}

function asReceipt(answer: Record<string, unknown>): LedgerReceipt | undefined {
  const { id, frozenId, journal, partition, sequence } = answer;
  if (typeof id !== "string" || typeof frozenId !== "string" || typeof journal !== "string" || typeof partition !== "number")
    return undefined;
  if (typeof sequence !== "string" && typeof sequence !== "number") return undefined;
  return { id, frozenId, journal, partition, sequence: String(sequence) };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // Not JSON: the caller says what that means.
  }
}
