// Positions in order, in columns of numbers: an observer keeps one for each store, and a thousand stores with an object for each position
// would take more memory than everything else together.
import type { Lsn } from "@tidemark/kernel/lsn";

/** Positions that are kept, 32 bytes each. When they are too many, the older half is thinned out. */
const MOST_POSITIONS = 1_024;
const FIRST_POSITIONS = 64;
/** What thinning out may make of a gap, as a part of its age; doubled until enough is gone. */
const FINEST_GAP = 0.005;
/** Positions that have to go when it is full, so that it is not thinned out at every look. */
const LEAST_THINNED = 128;

/** Where the primary was seen from when until when, observer's wall time, milliseconds. */
export interface LoggedPosition {
  readonly lsn: Lsn;
  readonly fromMs: number;
  readonly untilMs: number;
  /** As of `untilMs`. */
  readonly transactions: bigint;
}

export class PositionLog {
  #length = 0;
  #lsns = new BigUint64Array(FIRST_POSITIONS);
  #transactions = new BigInt64Array(FIRST_POSITIONS);
  #fromMs = new Float64Array(FIRST_POSITIONS);
  #untilMs = new Float64Array(FIRST_POSITIONS);

  /** By its index, negative from the end; undefined: there is none. */
  at(index: number): LoggedPosition | undefined {
    const at = index < 0 ? this.#length + index : index;
    if (at < 0 || at >= this.#length) return undefined;
    return {
      lsn: this.#lsns[at] as Lsn,
      fromMs: this.#fromMs[at] as number,
      untilMs: this.#untilMs[at] as number,
      transactions: this.#transactions[at] as bigint,
    };
  }

  /** The primary was seen at `position`: where it was before, or further. */
  add(position: { readonly lsn: Lsn; readonly atMs: number; readonly transactions: bigint }): void {
    let at = this.#length - 1;
    if (at < 0 || this.#lsns[at] !== position.lsn) {
      if (this.#length === MOST_POSITIONS) this.#thinOut(position.atMs);
      at = this.#length++;
      if (at === this.#lsns.length) this.#grow();
      this.#lsns[at] = position.lsn;
      this.#fromMs[at] = position.atMs;
    }
    this.#untilMs[at] = position.atMs;
    this.#transactions[at] = position.transactions;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Index of the newest position that is not after `lsn`, -1 when all are. */
  lastUpTo(lsn: Lsn): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#lsns[middle] as bigint) <= lsn) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #grow(): void {
    const length = Math.min(MOST_POSITIONS, this.#lsns.length * 2);
    const [lsns, transactions, fromMs, untilMs] = [this.#lsns, this.#transactions, this.#fromMs, this.#untilMs];
    this.#lsns = new BigUint64Array(length);
    this.#transactions = new BigInt64Array(length);
    this.#fromMs = new Float64Array(length);
    this.#untilMs = new Float64Array(length);
    this.#lsns.set(lsns);
    this.#transactions.set(transactions);
    this.#fromMs.set(fromMs);
    this.#untilMs.set(untilMs);
  }

  /**
   * The older half loses the positions without which the gap where they were stays small beside its age: a copy that is an hour behind is
   * so within seconds, one that is a day behind within minutes. The error bound says which.
   */
  #thinOut(nowMs: number): void {
    const enough = this.#length - LEAST_THINNED;
    for (let share = FINEST_GAP; this.#length > enough; share *= 2) this.#dropWithin(share, nowMs);
  }

  #dropWithin(share: number, nowMs: number): void {
    const half = this.#length >> 1;
    let kept = 1;
    for (let at = 1; at < this.#length; at++) {
      const gapMs = (this.#fromMs[at + 1] as number) - (this.#untilMs[kept - 1] as number);
      if (at < half && gapMs <= share * Math.abs(nowMs - (this.#untilMs[at] as number))) continue;
      this.#lsns[kept] = this.#lsns[at] as bigint;
      this.#transactions[kept] = this.#transactions[at] as bigint;
      this.#fromMs[kept] = this.#fromMs[at] as number;
      this.#untilMs[kept] = this.#untilMs[at] as number;
      kept++;
    }
    this.#length = kept;
  }
}
