// Requests from role to role: JSON over HTTP with the internal bearer token and a deadline. An answer that is a problem
// (RFC 9457) with one of our codes becomes the error that it was on the other side.
import type { Clock } from "@tidemark/kernel/clock";
import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { ListenAddress } from "../config/listen-address.ts";
import { formatAddress } from "../config/listen-address.ts";
import type { Ask, GatewayReach } from "./gateway-reach.ts";

export interface InternalRequest {
  readonly path: string;
  /** With a body it is a POST, without a GET, unless this says otherwise. */
  readonly method?: "DELETE";
  readonly body?: unknown;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The largest answer that is read, characters. */
const MOST_ANSWER_CHARACTERS = 4_194_304;

export class InternalClient {
  readonly #origin: string;
  readonly #ask: Ask;
  readonly #token: Redacted<string>;
  readonly #clock: Clock;
  readonly #away: ErrorCode;

  /**
   * @param options.address where HTTP is spoken, or the gateway's reach: that may speak HTTPS.
   * @param options.away code of the error when the other side cannot be reached, does not answer in time, or answers nonsense.
   */
  constructor(options: {
    address: (ListenAddress & { readonly tls?: never }) | GatewayReach;
    token: Redacted<string>;
    clock: Clock;
    away: ErrorCode;
  }) {
    const { address } = options;
    this.#origin = "url" in address ? address.url : `http://${formatAddress(address)}`;
    this.#ask = "url" in address ? address.ask : (url, asking) => fetch(url, asking);
    this.#token = options.token;
    this.#clock = options.clock;
    this.#away = options.away;
  }

  /** Resolves with status and JSON (undefined without a body). Rejects with the code of the problem that was answered, or with `away`. */
  async request(request: InternalRequest): Promise<{ status: number; body: unknown }> {
    const abort = new AbortController();
    const timer = this.#clock.setTimer(request.timeoutMs, () => abort.abort(new Error(`no answer within ${request.timeoutMs} ms`)), {
      keepAlive: false,
    });
    const onAbort = (): void => abort.abort(request.signal?.reason);
    request.signal?.addEventListener("abort", onAbort, { once: true });
    if (request.signal?.aborted === true) onAbort();
    try {
      const response = await this.#ask(this.#origin + request.path, {
        method: request.method ?? (request.body === undefined ? "GET" : "POST"),
        headers: {
          authorization: `Bearer ${this.#token.reveal()}`,
          ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        signal: abort.signal,
        redirect: "error",
      });
      const text = await response.text();
      if (text.length > MOST_ANSWER_CHARACTERS) throw new Error(`an answer of ${text.length} characters`);
      const body: unknown = text === "" ? undefined : JSON.parse(text);
      if (response.ok || response.status === 404) return { status: response.status, body };
      throw problemOf(response.status, body);
    } catch (cause) {
      if (cause instanceof TidemarkError) throw cause;
      const reason = reasonOf(abort.signal.aborted ? abort.signal.reason : cause);
      throw new TidemarkError(this.#away, `asked ${this.#origin}${request.path} in vain: ${reason}`, { cause });
    } finally {
      timer.clear();
      request.signal?.removeEventListener("abort", onAbort);
    }
  }
}

/** Of `fetch failed` what its cause says. */
function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  return message === "fetch failed" && cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code || message : message;
}

function problemOf(status: number, body: unknown): Error {
  const problem = (body ?? {}) as { code?: unknown; detail?: unknown };
  const detail = typeof problem.detail === "string" ? problem.detail : `status ${status}`;
  if (typeof problem.code === "string" && problem.code in errorCatalogue) return new TidemarkError(problem.code as ErrorCode, detail);
  return new Error(detail);
}
