/** Wakes everybody who waits. A ring while nobody waits is remembered for the next one, so that none is missed. */
export class Wakeup {
  #waiting: (() => void)[] = [];
  #rung = false;

  wait(): Promise<void> {
    if (this.#rung) {
      this.#rung = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  ring(): void {
    if (this.#waiting.length === 0) {
      this.#rung = true;
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
