// The minutes that are not written per series yet, in memory: the newest one, the one before that is being written, and those
// that a clock which was set back opened again. The frames in the file hold the same, for the next start.
import type { FrameSample } from "./frame.ts";
import type { SecondBlock } from "./second-block.ts";

/** Seconds that a block has room for at first: a minute. Seconds that come twice make it grow. */
const FIRST_ROOM = 60;

/** The seconds of one series in one minute, while more come: 9 bytes each, since there are many thousands of series. */
export class OpenBlock {
  lastFrame = 0;
  #offsets = new Uint8Array(FIRST_ROOM);
  /** NaN: not known. It stays in here. */
  #values = new Float64Array(FIRST_ROOM);
  #length = 0;

  add(offset: number, value: number | undefined): void {
    if (this.#length === this.#offsets.length) {
      const [offsets, values] = [this.#offsets, this.#values];
      this.#offsets = new Uint8Array(2 * offsets.length);
      this.#offsets.set(offsets);
      this.#values = new Float64Array(2 * values.length);
      this.#values.set(values);
    }
    this.#offsets[this.#length] = offset;
    this.#values[this.#length] = value ?? Number.NaN;
    this.#length++;
  }

  get length(): number {
    return this.#length;
  }

  toBlock(): SecondBlock {
    const offsets = [...this.#offsets.subarray(0, this.#length)];
    const values = Array.from(this.#values.subarray(0, this.#length), (value) => (Number.isNaN(value) ? undefined : value));
    return { offsets, values };
  }
}

interface OpenMinute {
  readonly firstFrame: number;
  readonly blocks: Map<number, OpenBlock>;
}

/** Minutes that may be open at once; while the disk is full they are all that is kept. The oldest goes then. */
const MOST_OPEN_MINUTES = 15;

export class OpenMinutes {
  /** By the minute's number since 1970, in the order in which they were opened. */
  readonly #minutes = new Map<number, OpenMinute>();

  /** Adds a second. Returns how many samples had to go because too many minutes are open. */
  add(at: { readonly secondMs: number; readonly frame: number }, samples: Iterable<FrameSample>): number {
    const second = Math.floor(at.secondMs / 1_000);
    const number = Math.floor(second / 60);
    let minute = this.#minutes.get(number);
    let dropped = 0;
    if (minute === undefined) {
      minute = { firstFrame: at.frame, blocks: new Map() };
      this.#minutes.set(number, minute);
      if (this.#minutes.size > MOST_OPEN_MINUTES) dropped = this.#dropOldest();
    }
    for (const { series, value } of samples) {
      let block = minute.blocks.get(series);
      if (block === undefined) {
        block = new OpenBlock();
        minute.blocks.set(series, block);
      }
      block.add(second % 60, value);
      block.lastFrame = at.frame;
    }
    return dropped;
  }

  /** Up to `most` blocks of minutes other than `current`, the longest open first. They stay until {@link written}. */
  *closed(current: number, most: number): Generator<{ series: number; minute: number; block: OpenBlock }> {
    let left = most;
    for (const [minute, { blocks }] of this.#minutes) {
      if (minute === current) continue;
      for (const [series, block] of blocks) {
        if (left-- <= 0) return;
        yield { series, minute, block };
      }
    }
  }

  /** Blocks that are to be written now besides `current`. */
  closedCount(current: number): number {
    let count = 0;
    for (const [minute, { blocks }] of this.#minutes) if (minute !== current) count += blocks.size;
    return count;
  }

  written(minute: number, series: number): void {
    const open = this.#minutes.get(minute);
    open?.blocks.delete(series);
    if (open?.blocks.size === 0) this.#minutes.delete(minute);
  }

  /** Frames before this one are not needed any more. */
  firstFrame(): number | undefined {
    return this.#minutes.size === 0 ? undefined : Math.min(...[...this.#minutes.values()].map((minute) => minute.firstFrame));
  }

  /** The open blocks of one series. */
  *of(series: number): Generator<{ minute: number; block: OpenBlock }> {
    for (const [minute, { blocks }] of this.#minutes) {
      const block = blocks.get(series);
      if (block !== undefined) yield { minute, block };
    }
  }

  clear(): void {
    this.#minutes.clear();
  }

  #dropOldest(): number {
    const [first] = this.#minutes;
    if (first === undefined) return 0;
    this.#minutes.delete(first[0]);
    return [...first[1].blocks.values()].reduce((sum, block) => sum + block.length, 0);
  }
}
