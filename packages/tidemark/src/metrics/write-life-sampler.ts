// Keeps the lives of some writes: a fair sample, and the slowest. Every write may be told to it; it follows so many at once and
// no more, and keeps so many of a minute and no more.
import { assert } from "@tidemark/kernel/errors";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { Random } from "@tidemark/kernel/random";
import type { FrontierStage, WriteLife, WriteStage } from "./write-life.ts";
import { lengthOf } from "./write-life.ts";

export interface SamplerLimits {
  /** Writes that are followed at once; others are not sampled, and counted. */
  readonly following: number;
  /** Writes of a window that are kept by chance, and as many by their length. */
  readonly sample: number;
  readonly slowest: number;
  readonly windowMs: number;
  /** Windows that are kept, the newest ones. */
  readonly windows: number;
  /** A write that has not passed all stages by then is kept as it is: an archive may be away for hours. */
  readonly giveUpMs: number;
}

export const SAMPLER_DEFAULTS: SamplerLimits = {
  following: 1_000,
  sample: 10,
  slowest: 10,
  windowMs: 60_000,
  windows: 60,
  giveUpMs: 60_000,
};

interface Followed {
  readonly id: string;
  readonly store: string;
  readonly startMs: number;
  readonly passedMs: Partial<Record<WriteStage, number>>;
  lsn?: { readonly text: string; readonly value: Lsn };
}

interface Window {
  readonly number: number;
  seen: number;
  readonly sample: WriteLife[];
  readonly slowest: WriteLife[];
}

export class WriteLifeSampler {
  readonly #random: Random;
  readonly #limits: SamplerLimits;
  readonly #expected: (store: string) => readonly WriteStage[];
  /** In the order of their beginning. */
  readonly #following = new Map<string, Followed>();
  readonly #windows: Window[] = [];
  #unfollowed = 0;

  /** @param options.expected the stages that a store's writes pass: one without a vault has no `archived`. */
  constructor(
    random: Random,
    options: { readonly expected: (store: string) => readonly WriteStage[]; readonly limits?: Partial<SamplerLimits> },
  ) {
    this.#random = random;
    this.#expected = options.expected;
    this.#limits = { ...SAMPLER_DEFAULTS, ...options.limits };
  }

  /** A request came. Nothing is kept of it when too many are under way. */
  begin(id: string, store: string, startMs: number): void {
    if (this.#following.has(id)) return;
    if (this.#following.size >= this.#limits.following) this.giveUp(startMs);
    if (this.#following.size >= this.#limits.following) {
      this.#unfollowed++;
      return;
    }
    this.#following.set(id, { id, store, startMs, passedMs: {} });
  }

  /** The write passed a stage; with `committed` comes its commit's position. Writes that are not followed are ignored. */
  pass(id: string, stage: "accepted" | "journalled" | "committed", at: { readonly atMs: number; readonly lsn?: string }): void {
    const write = this.#following.get(id);
    if (write === undefined) return;
    write.passedMs[stage] ??= at.atMs;
    if (at.lsn !== undefined) write.lsn = { text: at.lsn, value: parseLsn(at.lsn) };
    this.#endIfComplete(write);
  }

  /** Everything of the store before this position has passed the stage: positions are last byte + 1. */
  frontier(store: string, stage: FrontierStage, at: { readonly atMs: number; readonly lsn: string }): void {
    const reached = parseLsn(at.lsn);
    for (const write of this.#following.values()) {
      if (write.store !== store || write.lsn === undefined || write.lsn.value > reached) continue;
      write.passedMs[stage] ??= at.atMs;
      this.#endIfComplete(write);
    }
  }

  /** The write ended otherwise: it was refused, or rejected. */
  forget(id: string): void {
    this.#following.delete(id);
  }

  /** Keeps what has been under way for too long as it is. To be called now and then. */
  giveUp(nowMs: number): void {
    for (const write of this.#following.values()) {
      // A clock that was set back by so much makes them as old.
      if (Math.abs(nowMs - write.startMs) <= this.#limits.giveUpMs) break;
      this.#end(write, "given-up");
    }
  }

  /** Kept lives, the slowest first. A write may be in both. */
  lives(): { readonly sample: readonly WriteLife[]; readonly slowest: readonly WriteLife[]; readonly unfollowed: number } {
    const bySlowness = (one: WriteLife, other: WriteLife): number => lengthOf(other) - lengthOf(one);
    return {
      sample: this.#windows.flatMap((window) => window.sample).toSorted(bySlowness),
      slowest: this.#windows.flatMap((window) => window.slowest).toSorted(bySlowness),
      unfollowed: this.#unfollowed,
    };
  }

  #endIfComplete(write: Followed): void {
    if (this.#expected(write.store).every((stage) => write.passedMs[stage] !== undefined)) this.#end(write, "complete");
  }

  #end(write: Followed, end: WriteLife["end"]): void {
    this.#following.delete(write.id);
    const { id, store, startMs, passedMs, lsn } = write;
    const life: WriteLife = { id, store, startMs, passedMs: { ...passedMs }, ...(lsn === undefined ? {} : { lsn: lsn.text }), end };
    const window = this.#windowOf(startMs);
    if (window === undefined) return;
    window.seen++;
    // Each write of the window has the same chance (Vitter's algorithm R).
    if (window.sample.length < this.#limits.sample) window.sample.push(life);
    else {
      const place = Math.floor(this.#random.fraction() * window.seen);
      if (place < window.sample.length) window.sample[place] = life;
    }
    window.slowest.push(life);
    window.slowest.sort((one, other) => lengthOf(other) - lengthOf(one));
    if (window.slowest.length > this.#limits.slowest) window.slowest.pop();
  }

  /** Undefined: so long ago that its window is not kept any more. */
  #windowOf(startMs: number): Window | undefined {
    const number = Math.floor(startMs / this.#limits.windowMs);
    const found = this.#windows.find((window) => window.number === number);
    if (found !== undefined) return found;
    const window: Window = { number, seen: 0, sample: [], slowest: [] };
    this.#windows.push(window);
    this.#windows.sort((one, other) => one.number - other.number);
    if (this.#windows.length <= this.#limits.windows) return window;
    const oldest = this.#windows.shift();
    assert(oldest !== undefined, "there is a window");
    return oldest === window ? undefined : window;
  }
}
