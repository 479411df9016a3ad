import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import type { Frontier } from "../receiver/shared-frontier.ts";

/** How long reading may hold the event loop at a time, milliseconds; one piece of WAL comes on top. */
export const SLICE_MS = 4;

/** A receiver that is so far behind its server needs the processor more than those who read what it wrote, bytes. */
const CATCHING_UP_BYTES = 67_108_864n;
/** How long reading rests between two slices meanwhile, milliseconds. */
const REST_MS = 20;

export function isCatchingUp({ serverEnd, flushed }: Pick<Frontier, "serverEnd" | "flushed">): boolean {
  return serverEnd - flushed > CATCHING_UP_BYTES;
}

/** Work cut into slices: everything else in the process has its turn between two of them. */
export class Slices {
  readonly #clock: Clock;
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.monotonicMs();
  }

  get spent(): boolean {
    return this.#clock.monotonicMs() - this.#since >= SLICE_MS;
  }

  /** Lets others work. */
  async turn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#since = this.#clock.monotonicMs();
  }

  /** Leaves the processor to others for a while, also to those outside of this thread. */
  async rest(signal: AbortSignal): Promise<void> {
    await sleep(this.#clock, REST_MS, signal).catch(() => undefined);
    this.#since = this.#clock.monotonicMs();
  }

  /** Lets others work when the slice is spent. */
  async breathe(): Promise<void> {
    if (this.spent) await this.turn();
  }
}
