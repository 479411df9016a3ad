import type { Clock, Timer } from "@tidemark/kernel/clock";

/** A pause that ends early when something happened, also when it happened since the look before the pause began. */
export class WakeablePause {
  readonly #clock: Clock;
  #wake: (() => void) | undefined;
  #happened = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something happened: the pause ends, or the next one does not begin. */
  kick(): void {
    this.#happened = true;
    this.#wake?.();
  }

  /** A look begins: what happened before it is seen by it. */
  look(): void {
    this.#happened = false;
  }

  rest(pauseMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted || this.#happened) return resolve();
      let timer: Timer | undefined;
      this.#wake = () => {
        timer?.clear();
        this.#wake = undefined;
        resolve();
      };
      timer = this.#clock.setTimer(pauseMs, this.#wake);
    });
  }
}
