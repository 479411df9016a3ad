// One POST with a deadline. What it says of a failure never has more of the address than its origin: paths and queries of
// webhooks are secrets as often as not.
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";

export interface PostRequest {
  readonly url: Redacted<string>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Of a refusal so much is kept as evidence. */
const MOST_ANSWER_CHARACTERS = 300;

/** Statuses that say "not now" rather than "not this": too early, too many, and whatever is wrong on the other side. */
function isAway(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** Resolves when the answer was 2xx. Rejects with TM-ALERT-RECEIVER-AWAY or TM-ALERT-RECEIVER-REFUSED; redirects are refused. */
export async function post(request: PostRequest, clock: Clock): Promise<void> {
  const origin = originOf(request.url);
  const abort = new AbortController();
  const timer = clock.setTimer(request.timeoutMs, () => abort.abort(new Error(`no answer within ${request.timeoutMs} ms`)), {
    keepAlive: false,
  });
  const onAbort = (): void => abort.abort(request.signal.reason);
  request.signal.addEventListener("abort", onAbort, { once: true });
  if (request.signal.aborted) onAbort();
  try {
    let status: number;
    let text: string;
    try {
      const response = await fetch(request.url.reveal(), {
        method: "POST",
        headers: request.headers,
        body: request.body,
        signal: abort.signal,
        redirect: "manual",
      });
      status = response.status;
      text = response.ok ? "" : await beginningOf(response);
      if (response.ok) await response.body?.cancel();
    } catch (error) {
      throw new TidemarkError("TM-ALERT-RECEIVER-AWAY", `a POST to ${origin} was not answered: ${reasonOf(error)}`);
    }
    if (status >= 200 && status < 300) return;
    const words = `a POST to ${origin} was answered with ${status}${text === "" ? "" : `: ${text}`}`;
    throw new TidemarkError(isAway(status) ? "TM-ALERT-RECEIVER-AWAY" : "TM-ALERT-RECEIVER-REFUSED", words, { details: { status } });
  } finally {
    timer.clear();
    request.signal.removeEventListener("abort", onAbort);
  }
}

/** The part of an address that may be printed. Throws TM-ALERT-SECRET, without the text, when it is no HTTP address. */
export function originOf(url: Redacted<string>): string {
  const parsed = URL.canParse(url.reveal()) ? new URL(url.reveal()) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== "" || parsed.password !== "")
    throw new TidemarkError("TM-ALERT-SECRET", "a receiver's address is no http or https address without a user in it");
  return parsed.origin;
}

/** The innermost reason: of a failed connection the address and the code, never the path. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message.replaceAll(/https?:\/\/\S+/g, "…");
}

async function beginningOf(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  if (response.body === null) return text;
  for await (const chunk of response.body) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length >= MOST_ANSWER_CHARACTERS) break;
  }
  return text.slice(0, MOST_ANSWER_CHARACTERS).replaceAll(/\s+/g, " ").trim();
}
