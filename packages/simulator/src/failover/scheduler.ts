// Virtual time. Processes are generators that yield how long they wait; everything runs in one thread, in an order that the
// seed decides alone.
import type { Random } from "@tidemark/kernel/random";

/** A process: yields milliseconds to wait. Returns a value to the process that calls it with `yield*`. */
export type Process<T = void> = Generator<number, T, void>;

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Events that one run may have; beyond it something runs in circles. */
const MOST_EVENTS = 2_000_000;

export class Scheduler {
  readonly random: Random;
  #nowMs = 0;
  #order = 0;
  #done = 0;
  /** A binary heap, the earliest first. */
  readonly #heap: Event[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** A number from `low` to `high`. */
  between(low: number, high: number): number {
    return low + this.random.fraction() * (high - low);
  }

  chance(probability: number): boolean {
    return this.random.fraction() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.random.fraction() * items.length)];
    if (item === undefined) throw new Error("picked from nothing");
    return item;
  }

  after(delayMs: number, run: () => void): void {
    this.#push({ atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run });
  }

  /** Runs a process until it ends, or `isAlive` says no: then it stops where it is, as in a crash. */
  spawn(process: Process<unknown>, isAlive: () => boolean): void {
    const step = (): void => {
      if (!isAlive()) return;
      const next = process.next();
      if (next.done !== true) this.after(next.value, step);
    };
    this.after(0, step);
  }

  /** Runs everything that falls due up to `untilMs`. */
  run(untilMs: number): void {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.atMs > untilMs) break;
      this.#pop();
      this.#nowMs = first.atMs;
      first.run();
      if (++this.#done > MOST_EVENTS) throw new Error(`more than ${MOST_EVENTS} events`);
    }
    this.#nowMs = untilMs;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    heap.push(event);
    let child = heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!isBefore(heap[child], heap[parent])) break;
      swap(heap, child, parent);
      child = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    swap(heap, 0, heap.length - 1);
    heap.pop();
    let parent = 0;
    for (;;) {
      const left = 2 * parent + 1;
      const smaller = isBefore(heap[left + 1], heap[left]) ? left + 1 : left;
      if (!isBefore(heap[smaller], heap[parent])) return;
      swap(heap, smaller, parent);
      parent = smaller;
    }
  }
}

function isBefore(a: Event | undefined, b: Event | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function swap(heap: Event[], a: number, b: number): void {
  const first = heap[a];
  const second = heap[b];
  if (first === undefined || second === undefined) return;
  heap[a] = second;
  heap[b] = first;
}
