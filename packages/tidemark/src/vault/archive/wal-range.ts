// Stretches of WAL, and sets of them that stay small: what follows on each other is one range.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";

/** Bytes from `start` up to, not with, `end`. */
export interface LsnRange {
  readonly start: Lsn;
  readonly end: Lsn;
}

export interface WalRange extends LsnRange {
  readonly timeline: Timeline;
}

/** A set of positions as sorted ranges that neither touch nor overlap. A log without holes is one range, however long. */
export class RangeSet {
  #ranges: LsnRange[] = [];

  get ranges(): readonly LsnRange[] {
    return this.#ranges;
  }

  add(range: LsnRange): void {
    if (range.start >= range.end) return;
    let low = this.#firstEndingAtOrAfter(range.start);
    let { start, end } = range;
    const from = low;
    for (let next = this.#ranges[low]; next !== undefined && next.start <= end; next = this.#ranges[++low]) {
      if (next.start < start) start = next.start;
      if (next.end > end) end = next.end;
    }
    this.#ranges.splice(from, low - from, { start, end });
  }

  remove(range: LsnRange): void {
    if (range.start >= range.end) return;
    const from = this.#firstEndingAtOrAfter(range.start);
    let low = from;
    const kept: LsnRange[] = [];
    for (let next = this.#ranges[low]; next !== undefined && next.start < range.end; next = this.#ranges[++low]) {
      if (next.start < range.start) kept.push({ start: next.start, end: next.end < range.start ? next.end : range.start });
      if (next.end > range.end) kept.push({ start: range.end, end: next.end });
    }
    this.#ranges.splice(from, low - from, ...kept);
  }

  /** The range that holds all of `range`, if one does. */
  around(range: LsnRange): LsnRange | undefined {
    const found = this.#ranges[this.#firstEndingAtOrAfter(range.end)];
    return found !== undefined && found.start <= range.start ? found : undefined;
  }

  /** Index of the first range whose end is at or after `lsn`. */
  #firstEndingAtOrAfter(lsn: Lsn): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.end ?? 0n) < lsn) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
