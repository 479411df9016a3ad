import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { ListenAddress } from "../config/listen-address.ts";
import { InternalClient } from "./internal-client.ts";
import type { LeaseEntry, LeaseStore } from "./lease-store.ts";
import { checkKey, encodeValue } from "./lease-limits.ts";

/** How long a read or a change may take, milliseconds; it is short because a lease may depend on it (R5). */
const REQUEST_TIMEOUT_MS = 1_500;
/** The longest single wait at the other side; a longer one is made of several, milliseconds. */
export const MOST_WAIT_MS = 25_000;
/** How much later than its wait an answer may come, milliseconds. */
const WAIT_GRACE_MS = 2_000;

/** The lease store in the control process, as the other roles reach it. Each request is made once: repeating is the caller's decision. */
export class HttpLeaseStore implements LeaseStore {
  readonly #client: InternalClient;
  readonly #timeoutMs: number;

  /** @param options.timeoutMs how long a read or a change may take; default 1,500. */
  constructor(options: { address: ListenAddress; token: Redacted<string>; clock: Clock; timeoutMs?: number }) {
    this.#timeoutMs = options.timeoutMs ?? REQUEST_TIMEOUT_MS;
    this.#client = new InternalClient({ ...options, away: "TM-CLUSTER-LEASE-STORE-AWAY" });
  }

  async read(key: string): Promise<LeaseEntry | undefined> {
    const { status, body } = await this.#client.request({ path: pathOf(key), timeoutMs: this.#timeoutMs });
    return status === 404 ? undefined : entryOf(key, body);
  }

  async compareAndSet(key: string, expected: number, value: unknown): Promise<LeaseEntry> {
    encodeValue(key, value);
    const { body } = await this.#client.request({ path: pathOf(key), body: { expected, value }, timeoutMs: this.#timeoutMs });
    return entryOf(key, body);
  }

  async waitFor(key: string, after: number, options: { waitMs: number; signal?: AbortSignal }): Promise<LeaseEntry | undefined> {
    if (isAborted(options.signal)) return undefined;
    const waitMs = Math.min(Math.max(0, options.waitMs), MOST_WAIT_MS);
    const request = { path: `${pathOf(key)}?after=${after}&waitMs=${Math.ceil(waitMs)}`, timeoutMs: waitMs + WAIT_GRACE_MS };
    try {
      const { status, body } = await this.#client.request({
        ...request,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      return status === 204 || status === 404 ? undefined : entryOf(key, body);
    } catch (error) {
      // The port says that an abort is an answer, not a fault; the signal may have fired while the request was under way.
      if (isAborted(options.signal)) return undefined;
      throw error;
    }
  }
}

/** Asked through a function, because the signal changes while something is awaited. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function pathOf(key: string): string {
  checkKey(key);
  return `/v1/lease-store/${encodeURIComponent(key)}`;
}

function entryOf(key: string, body: unknown): LeaseEntry {
  const entry = body as { revision?: unknown; value?: unknown } | undefined;
  if (typeof entry?.revision !== "number" || !("value" in entry)) {
    throw new TidemarkError("TM-CLUSTER-LEASE-STORE-AWAY", `asked for ${key} and got an answer that is no entry`);
  }
  return { key, value: entry.value, revision: entry.revision };
}
