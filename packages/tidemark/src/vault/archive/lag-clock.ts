// How old the oldest byte is that a store does not have yet. By the monotonic clock: a wall clock that jumps changes no age.
import type { Lsn } from "@tidemark/kernel/lsn";

/** Samples that are kept; with more, every second one goes, so ages become coarser and never smaller. */
const MOST_SAMPLES = 512;

interface Sample {
  /** Bytes from here on came at `atMs` or later. */
  readonly from: Lsn;
  readonly atMs: number;
}

export class LagClock {
  #samples: Sample[] = [];
  #end: Lsn | undefined;
  /** What was here at the start came before that: its age is a lower bound. */
  #knownFrom: Lsn | undefined;

  /** Notes how far the WAL is durable here at `nowMs`. A position that goes back (a tail that was put aside) forgets what was noted beyond it. */
  advance(flushed: Lsn, nowMs: number): void {
    if (this.#end === undefined) {
      this.#samples = [{ from: 0n as Lsn, atMs: nowMs }];
      this.#knownFrom = flushed;
    } else if (flushed > this.#end) {
      this.#samples.push({ from: this.#end, atMs: nowMs });
      if (this.#samples.length > MOST_SAMPLES) this.#samples = this.#samples.filter((_, index) => index === 0 || index % 2 === 1);
    } else if (flushed < this.#end) {
      this.#samples = this.#samples.filter(({ from }) => from < flushed);
      if (this.#knownFrom !== undefined && this.#knownFrom > flushed) this.#knownFrom = flushed;
    }
    this.#end = flushed;
  }

  /** The age of the first byte at or after `stored`; 0 when there is none. */
  age(stored: Lsn, nowMs: number): { readonly ms: number; readonly isLowerBound: boolean } {
    if (this.#end === undefined || stored >= this.#end) return { ms: 0, isLowerBound: false };
    const sample = this.#samples.findLast(({ from }) => from <= stored);
    const isLowerBound = this.#knownFrom !== undefined && stored < this.#knownFrom;
    return { ms: Math.max(0, nowMs - (sample?.atMs ?? nowMs)), isLowerBound };
  }

  /** What every store has is of no interest any more. */
  forget(before: Lsn): void {
    const index = this.#samples.findLastIndex(({ from }) => from <= before);
    if (index > 0) this.#samples.splice(0, index);
  }
}
