/**
 * The writes that wait to be sent, and the order that is kept among them.
 *
 * The order rule: a write with a key is not sent while an earlier write of the same key is undecided in another request.
 * Requests travel side by side on several connections, so nothing else keeps the gateway from accepting the later one
 * first; and a write whose request failed is undecided until its repeat is answered, so nothing may overtake it in the
 * meantime. Within one request the gateway accepts the lines in their order, so writes of one key may share it. Writes
 * without a key are sent as they come and promise no order.
 *
 * Keys with an undecided write have a lane; later writes of the key wait in it. What comes back for another attempt goes
 * before everything that was never sent, and the rest of its lane follows behind it.
 */

/** What the queue needs to know of a write. */
export interface Queued {
  readonly key: string | undefined;
  /** Length of its line in bytes. */
  readonly bytes: number;
  /** Nobody waits for it any more (aborted, out of time): it is dropped when its turn comes. */
  readonly abandoned: boolean;
  /** It is sent in a request of its own. */
  readonly alone: boolean;
}

export interface BatchLimits {
  readonly writes: number;
  readonly bytes: number;
}

interface Lane<W> {
  /** The batch that its undecided writes are in. */
  readonly batch: readonly W[];
  /** How many of its writes are undecided. */
  undecided: number;
  waiting: W[];
}

/** Abandoned writes are cleared out when more than this many wait, and more than half of all that wait. */
const MOST_ABANDONED = 1_024;

export class WriteQueue<W extends Queued> {
  #ready = new LayeredQueue<W>();
  readonly #lanes = new Map<string, Lane<W>>();
  #abandoned = 0;

  /** Writes that could be sent now, abandoned ones included. */
  get ready(): number {
    return this.#ready.length;
  }

  add(write: W): void {
    this.#ready.push(write);
  }

  /** Says that one of the waiting writes became `abandoned`, so that memory follows. */
  noteAbandoned(): void {
    this.#abandoned++;
    if (this.#abandoned <= MOST_ABANDONED || this.#abandoned * 2 <= this.ready) return;
    this.#abandoned = 0;
    this.#ready = this.#ready.filter((write) => !write.abandoned);
    for (const lane of this.#lanes.values()) lane.waiting = lane.waiting.filter((write) => !write.abandoned);
  }

  /** The next batch, in the order in which it must be sent; empty when nothing may be sent. One write is taken even when it is larger than the limit. */
  take(limits: BatchLimits): W[] {
    const batch: W[] = [];
    let bytes = 0;
    for (let write = this.#ready.peek(); write !== undefined; write = this.#ready.peek()) {
      if (write.abandoned) {
        this.#ready.shift();
        continue;
      }
      const lane = write.key === undefined ? undefined : this.#lanes.get(write.key);
      if (lane !== undefined && lane.batch !== batch) {
        this.#ready.shift();
        lane.waiting.push(write);
        continue;
      }
      const full = batch.length >= limits.writes || bytes + write.bytes > limits.bytes || write.alone;
      if (full && batch.length > 0) break;
      this.#ready.shift();
      batch.push(write);
      bytes += write.bytes;
      if (lane !== undefined) lane.undecided++;
      else if (write.key !== undefined) this.#lanes.set(write.key, { batch, undecided: 1, waiting: [] });
      if (write.alone) break;
    }
    return batch;
  }

  /** Says that a taken write is decided. The lane of its key opens when it was the last undecided one. */
  decided(write: W): void {
    const waiting = this.#leaveLane(write);
    if (waiting.length > 0) this.#ready.putFirst(waiting);
  }

  /**
   * Puts taken writes back, in their order, before everything else. Those of one key must come back in one call, after
   * the others of their batch were `decided`.
   */
  putBack(writes: readonly W[]): void {
    const behind = writes.flatMap((write) => this.#leaveLane(write));
    // What waited in a lane is older than what of its key is still further back in line: it goes before all of that.
    if (behind.length > 0) this.#ready.putFirst(behind);
    this.#ready.putFirst(writes.filter((write) => !write.abandoned));
  }

  /** Takes the write out of its key's lane; when it was the last undecided one, the lane goes and its waiting writes come back. */
  #leaveLane(write: W): readonly W[] {
    const lane = write.key === undefined ? undefined : this.#lanes.get(write.key);
    if (lane === undefined) return [];
    lane.undecided--;
    if (lane.undecided > 0) return [];
    this.#lanes.delete(write.key as string);
    return lane.waiting;
  }
}

/** First in, first out, where whole lists may be put before everything else: a stack of lists, the front one on top. */
class LayeredQueue<T> {
  readonly #layers: { items: T[]; head: number }[] = [{ items: [], head: 0 }];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    this.#layers[0]?.items.push(item);
    this.#length++;
  }

  putFirst(items: readonly T[]): void {
    if (items.length === 0) return;
    this.#layers.push({ items: [...items], head: 0 });
    this.#length += items.length;
  }

  peek(): T | undefined {
    const front = this.#layers.at(-1);
    return front?.items[front.head];
  }

  shift(): void {
    const front = this.#layers.at(-1);
    if (front === undefined || front.head >= front.items.length) return;
    front.head++;
    this.#length--;
    const empty = front.head === front.items.length;
    if (empty && this.#layers.length > 1) {
      this.#layers.pop();
    } else if (empty || (front.head > 1_024 && front.head * 2 > front.items.length)) {
      front.items = empty ? [] : front.items.slice(front.head);
      front.head = 0;
    }
  }

  filter(keep: (item: T) => boolean): LayeredQueue<T> {
    const kept = new LayeredQueue<T>();
    for (const { items, head } of this.#layers.toReversed())
      for (let i = head; i < items.length; i++) if (keep(items[i] as T)) kept.push(items[i] as T);
    return kept;
  }
}
