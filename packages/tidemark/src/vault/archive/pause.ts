import type { Clock } from "@tidemark/kernel/clock";

/** Waits that an event ends early: nobody polls, nothing that happened before the wait is missed. */
export class Pause {
  readonly #clock: Clock;
  #rung = false;
  #end: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the wait, or the next one. */
  ring(): void {
    this.#rung = true;
    this.#end?.();
  }

  /** Resolves after `ms` (undefined: never by time), when rung, or when `signal` aborts. */
  async wait(ms: number | undefined, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = ms === undefined ? undefined : this.#clock.setTimer(ms, () => end());
        const end = (): void => {
          timer?.clear();
          signal.removeEventListener("abort", end);
          resolve();
        };
        this.#end = end;
        signal.addEventListener("abort", end, { once: true });
      });
      this.#end = undefined;
    }
    this.#rung = false;
  }
}
