// Fetches WAL files from a vault over HTTP, as a stream. What comes is not trusted: the caller checks it.
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
    const onSilence = (): void => silence.abort(new Error(`nothing came for ${SILENT_MS} ms`));
    let timer = this.#clock.setTimer(SILENT_MS, onSilence, { keepAlive: false });
    const query = upTo === undefined ? "" : `?upTo=${encodeURIComponent(formatLsn(upTo))}`;
    try {
      const response = await fetch(`${this.#origin}/wal/${name}${query}`, {
        headers: { authorization: `Bearer ${this.#token.reveal()}` },
        signal: AbortSignal.any([signal, silence.signal]),
        redirect: "error",
      });
      if (!response.ok) throw new Error(await problemOf(response));
      for await (const chunk of response.body ?? []) {
        timer.clear();
        timer = this.#clock.setTimer(SILENT_MS, onSilence, { keepAlive: false });
        yield chunk as Uint8Array;
      }
    } catch (cause) {
      if (cause instanceof TidemarkError) throw cause;
      throw new TidemarkError("TM-CLUSTER-NOT-COMPLETED", `asked the vault at ${this.#origin} for ${name}: ${wordsOf(cause)}`, { cause });
    } finally {
      timer.clear();
    }
  }
}

async function problemOf(response: Response): Promise<string> {
  const text = (await response.text()).slice(0, MOST_PROBLEM);
  try {
    const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown };
    return `${String(code ?? response.status)}: ${String(detail ?? "")}`;
  } catch {
    return `status ${response.status}`;
  }
}

function wordsOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return `${error instanceof Error ? error.message : String(error)}${cause}`;
}
