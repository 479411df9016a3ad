import { TidemarkError } from "@tidemark/kernel/errors";

export interface Question {
  readonly url: string;
  readonly token: string;
  readonly method?: "GET" | "POST";
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

/** An answer longer than this is none that the prover asked for. */
const DEFAULT_TIMEOUT_MS = 5_000;

/** Asks a role over HTTP; gives status and JSON. Rejects with TM-PROVE-API when nothing answers. */
export async function ask(question: Question): Promise<{ status: number; body: unknown }> {
  const { url, token, method = "GET", body, timeoutMs = DEFAULT_TIMEOUT_MS } = question;
  try {
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : parse(text) };
  } catch (cause) {
    throw new TidemarkError("TM-PROVE-API", `${method} ${url} was not answered`, { cause });
  }
}

/** As {@link ask}; rejects with TM-PROVE-API on any other status than 2xx. */
export async function askFor<T>(question: Question): Promise<T> {
  const { status, body } = await ask(question);
  if (status >= 200 && status < 300) return body as T;
  const detail = typeof body === "object" && body !== null ? JSON.stringify(body) : String(body);
  throw new TidemarkError(
    "TM-PROVE-API",
    `${question.method ?? "GET"} ${question.url} was answered with ${status}: ${detail.slice(0, 300)}`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // Not JSON: the caller sees the text.
  }
}
