// Bounds what is held in memory at a time, over all stores of an archive.

export class ByteGate {
  readonly #limit: number;
  #held = 0;
  readonly #waiting: { readonly bytes: number; readonly enter: () => void }[] = [];

  /** @param limit bytes that may be held at once; one hold that is larger waits until it is alone. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Resolves in the order of asking. The function that it gives changes how much is held; 0 gives all back. */
  async hold(bytes: number, signal: AbortSignal): Promise<(bytes: number) => void> {
    signal.throwIfAborted();
    if (this.#waiting.length > 0 || !this.#fits(bytes)) {
      await new Promise<void>((resolve, reject) => {
        const leave = (): void => {
          this.#waiting.splice(this.#waiting.indexOf(entry), 1);
          this.#admit();
          reject(signal.reason as Error);
        };
        const entry = {
          bytes,
          enter: () => {
            signal.removeEventListener("abort", leave);
            resolve();
          },
        };
        this.#waiting.push(entry);
        signal.addEventListener("abort", leave, { once: true });
      });
    } else {
      this.#held += bytes;
    }
    let own = bytes;
    return (next) => {
      this.#held += next - own;
      own = next;
      this.#admit();
    };
  }

  #fits(bytes: number): boolean {
    return this.#held === 0 || this.#held + bytes <= this.#limit;
  }

  #admit(): void {
    for (let [next] = this.#waiting; next !== undefined && this.#fits(next.bytes); [next] = this.#waiting) {
      this.#waiting.shift();
      this.#held += next.bytes;
      next.enter();
    }
  }
}
