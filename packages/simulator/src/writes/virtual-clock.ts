// Virtual time for code that awaits: between two events every promise that can settle has settled, so that a run is decided
// by its seed alone.
import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { Random } from "@tidemark/kernel/random";

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  cleared: boolean;
}

/** Events of one run, at most; beyond it something runs in circles. */
const MOST_EVENTS = 400_000;

export class VirtualClock implements Clock {
  readonly random: Random;
  #nowMs = 0;
  #order = 0;
  #count = 0;
  readonly #heap: Event[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  wallMs(): number {
    return 1_800_000_000_000 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run: callback, cleared: false };
    this.#heap.push(event);
    this.#rise(this.#heap.length - 1);
    return { clear: () => (event.cleared = true) };
  }

  between(low: number, high: number): number {
    return low + this.random.fraction() * (high - low);
  }

  chance(probability: number): boolean {
    return this.random.fraction() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random.fraction() * items.length)] as T;
  }

  /** Resolves after a time that the seed draws. */
  delay(low: number, high: number): Promise<void> {
    return new Promise((resolve) => this.setTimer(this.between(low, high), resolve));
  }

  /** Runs events up to `untilMs`, or until `done` says so after one. */
  async run(untilMs: number, done: () => boolean = () => false): Promise<void> {
    await settle();
    while (!done()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#pop();
      if (next.cleared) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
      await settle();
      if (++this.#count > MOST_EVENTS) throw new Error(`more than ${MOST_EVENTS} events`);
    }
  }

  #before(a: Event, b: Event): boolean {
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #rise(index: number): void {
    const heap = this.#heap;
    for (let child = index; child > 0;) {
      const parent = (child - 1) >> 1;
      const [low, high] = [heap[child] as Event, heap[parent] as Event];
      if (!this.#before(low, high)) return;
      heap[child] = high;
      heap[parent] = low;
      child = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let parent = 0; ;) {
      const [left, right] = [2 * parent + 1, 2 * parent + 2];
      let least = parent;
      if (left < heap.length && this.#before(heap[left] as Event, heap[least] as Event)) least = left;
      if (right < heap.length && this.#before(heap[right] as Event, heap[least] as Event)) least = right;
      if (least === parent) return;
      [heap[parent], heap[least]] = [heap[least] as Event, heap[parent] as Event];
      parent = least;
    }
  }
}

/** Lets every promise settle that needs no event. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
