import type { Clock, Timer } from "../clock.ts";

/** A clock that stands still until a test moves it. Timers fire in order of their due time, ties in order of setting. */
export class ManualClock implements Clock {
  #nowMs: number;
  #wallOffsetMs: number;
  #nextId = 0;
  readonly #timers = new Map<number, { dueMs: number; callback: () => void }>();

  /** @param wallMs wall time at the start; monotonic time starts at 0. */
  constructor(wallMs = 1_700_000_000_000) {
    this.#nowMs = 0;
    this.#wallOffsetMs = wallMs;
  }

  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const id = this.#nextId++;
    this.#timers.set(id, { dueMs: this.#nowMs + Math.max(0, delayMs), callback });
    return { clear: () => void this.#timers.delete(id) };
  }

  /** Moves the wall clock alone, as NTP or an operator would. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Moves time forward, firing what falls due; microtasks run between timers. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      let next: [number, { dueMs: number; callback: () => void }] | undefined;
      for (const entry of this.#timers) {
        if (entry[1].dueMs <= endMs && (next === undefined || entry[1].dueMs < next[1].dueMs)) next = entry;
      }
      if (next === undefined) break;
      this.#timers.delete(next[0]);
      this.#nowMs = Math.max(this.#nowMs, next[1].dueMs);
      next[1].callback();
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.#nowMs = endMs;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
