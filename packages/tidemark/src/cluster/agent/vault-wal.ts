// Fetches WAL files from a vault over HTTP, as a stream. What comes is not trusted: the caller checks it.
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { get } from "node:http";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { ListenAddress } from "../../config/listen-address.ts";
import { formatAddress } from "../../config/listen-address.ts";

/** A vault that sends nothing for so long is given up, milliseconds. */
const SILENT_MS = 3_000;
/** How much of an error's answer is read, characters. */
const MOST_PROBLEM = 2_000;

export interface WalFiles {
  /** The bytes of a segment or history file, of a segment nothing at or beyond `upTo`. Rejects with TM-CLUSTER-NOT-COMPLETED. */
  fetch(name: string, options: { upTo?: Lsn; signal: AbortSignal }): AsyncIterable<Uint8Array>;
}

export class VaultWal implements WalFiles {
  readonly #origin: string;
  readonly #token: Redacted<string>;
  readonly #clock: Clock;

  constructor(options: { address: ListenAddress; token: Redacted<string>; clock: Clock }) {
    this.#origin = `http://${formatAddress(options.address)}`;
    this.#token = options.token;
    this.#clock = options.clock;
  }

  async *fetch(name: string, options: { upTo?: Lsn; signal: AbortSignal }): AsyncGenerator<Uint8Array> {
    const { upTo, signal } = options;
    const silence = new AbortController();
    const onSilence = (): void => silence.abort();
    let timer = this.#clock.setTimer(SILENT_MS, onSilence, { keepAlive: false });
    const query = upTo === undefined ? "" : `?upTo=${encodeURIComponent(formatLsn(upTo))}`;
    try {
      // Not by fetch: its streams take twice the time for as many bytes, and this is time without a primary.
      const request = get(`${this.#origin}/wal/${name}${query}`, {
        headers: { authorization: `Bearer ${this.#token.reveal()}` },
        signal: AbortSignal.any([signal, silence.signal]),
      });
      // Once there is a response, its stream fails too: that is where it is heard.
      request.on("error", () => request.destroy());
      const [response] = (await once(request, "response")) as [IncomingMessage];
      if (response.statusCode !== 200) throw new Error(await problemOf(response));
      for await (const chunk of response) {
        timer.clear();
        timer = this.#clock.setTimer(SILENT_MS, onSilence, { keepAlive: false });
        yield chunk as Uint8Array;
      }
    } catch (cause) {
      if (cause instanceof TidemarkError) throw cause;
      const why = silence.signal.aborted ? `nothing came for ${SILENT_MS} ms` : wordsOf(cause);
      throw new TidemarkError("TM-CLUSTER-NOT-COMPLETED", `asked the vault at ${this.#origin} for ${name}: ${why}`, { cause });
    } finally {
      timer.clear();
    }
  }
}

async function problemOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > MOST_PROBLEM) break;
  }
  try {
    const { code, detail } = JSON.parse(text) as { code?: string; detail?: string };
    return `${code ?? `status ${response.statusCode ?? "unknown"}`}: ${detail ?? ""}`;
  } catch {
    return `status ${response.statusCode ?? "unknown"}`;
  }
}

function wordsOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return `${error instanceof Error ? error.message : String(error)}${cause}`;
}
