// Who is due next: a binary heap, so that a thousand targets cost ten comparisons a turn instead of a walk over all of them.

interface Entry<T> {
  readonly dueMs: number;
  readonly item: T;
}

export class DueQueue<T> {
  readonly #heap: Entry<T>[] = [];

  /** When the first item is due, in whatever milliseconds it was pushed with; undefined when there is none. */
  get nextMs(): number | undefined {
    return this.#heap[0]?.dueMs;
  }

  push(item: T, dueMs: number): void {
    const heap = this.#heap;
    heap.push({ dueMs, item });
    let at = heap.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#due(parent) <= this.#due(at)) break;
      this.#swap(parent, at);
      at = parent;
    }
  }

  /** Takes the first item that is due at `nowMs`. */
  takeDue(nowMs: number): T | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.dueMs > nowMs) return undefined;
    const last = heap.pop() as Entry<T>;
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return first.item;
  }

  #sink(): void {
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= this.#heap.length) return;
      const child = this.#due(left + 1) < this.#due(left) ? left + 1 : left;
      if (this.#due(at) <= this.#due(child)) return;
      this.#swap(at, child);
      at = child;
    }
  }

  #due(at: number): number {
    return this.#heap[at]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  #swap(one: number, other: number): void {
    const kept = this.#heap[one] as Entry<T>;
    this.#heap[one] = this.#heap[other] as Entry<T>;
    this.#heap[other] = kept;
  }
}
