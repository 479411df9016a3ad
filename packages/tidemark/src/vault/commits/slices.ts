import type { Clock } from "@tidemark/kernel/clock";

/** How long reading may hold the event loop at a time, milliseconds; one piece of WAL comes on top. */
export const SLICE_MS = 4;

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

  /** Lets others work when the slice is spent. */
  async breathe(): Promise<void> {
    if (this.spent) await this.turn();
  }
}
