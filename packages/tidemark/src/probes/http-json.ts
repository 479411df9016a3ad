// Asks a target over HTTP for JSON. No message holds the address, a header or a piece of the answer: each may hold a secret.
import type { Redacted } from "@tidemark/kernel/redacted";
import { AnotherCertificate, type Ask } from "../cluster/gateway-reach.ts";
import { garbage } from "./answer.ts";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";

export interface HttpTarget {
  /** `http://` or `https://`, without user and password. */
  readonly url: string;
  /** The whole value of the header, such as `Bearer …` or `Basic …`. */
  readonly authorization?: Redacted<string>;
  /** Asks instead of `fetch`, such as one that trusts a certificate of its own. */
  readonly ask?: Ask;
}

/** The largest answer that is read, bytes; a larger one is refused as no answer. */
export const MOST_ANSWER_BYTES = 4 * 1_048_576;

/** Rejects with a {@link ProbeFault}. Redirects are not followed: they would carry the header elsewhere. */
export async function getJson(target: HttpTarget, signal: AbortSignal): Promise<unknown> {
  let text: string;
  try {
    const ask = target.ask ?? fetch;
    const response = await ask(target.url, {
      headers: {
        accept: "application/json",
        ...(target.authorization === undefined ? {} : { authorization: target.authorization.reveal() }),
      },
      redirect: "manual",
      signal,
    });
    if (response.ok) text = await boundedText(response);
    else {
      await response.body?.cancel();
      throw statusFault(response.status);
    }
  } catch (error) {
    if (error instanceof ProbeFault) throw error;
    throw connectionFault(error, signal);
  }
  return parsedJson(text);
}

/** Throws TM-PROBE-GARBAGE. The parser's message would repeat a piece of the text. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw garbage("what it answered is no JSON");
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MOST_ANSWER_BYTES) throw garbage(`its answer is longer than ${MOST_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function statusFault(status: number): ProbeFault {
  if (status === 401 || status === 403) return new ProbeFault("TM-PROBE-DENIED", `it refused the question (HTTP ${status})`);
  if (status >= 300 && status < 400) return garbage(`it sends the question elsewhere (HTTP ${status})`);
  return new ProbeFault("TM-PROBE-FAILED", `it answered with HTTP ${status}`);
}

function connectionFault(error: unknown, signal: AbortSignal): ProbeFault {
  if (signal.aborted) return new ProbeFault("TM-PROBE-SLOW", "it did not answer in time", { cause: error });
  if (error instanceof AnotherCertificate) return new ProbeFault("TM-PROBE-AWAY", error.message, { cause: error });
  const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
  const name = typeof code === "string" && /^[A-Z0-9_]{1,60}$/.test(code) ? code : undefined;
  if (name?.startsWith("HPE_") === true)
    return new ProbeFault("TM-PROBE-GARBAGE", `what it answered is not HTTP (${name})`, { cause: error });
  return new ProbeFault("TM-PROBE-AWAY", name === undefined ? "no connection" : `no connection (${name})`, { cause: error });
}
