// The newest three days of one service and scenario, in memory, for burn rates that are judged every second. One byte per minute
// and quality (13 KB), with running sums per window, so that a count costs the same whatever the window. It says what
// countSlices() says of the same seconds in buckets of a minute; the tests hold both together.
import { BURN_RATE_RULES } from "./burn-rate.ts";
import type { SliceBucket, SliceCounts } from "./slice-counts.ts";
import type { SliceQuality } from "./time-slice.ts";
import { worseSlice } from "./time-slice.ts";

const MINUTE_MS = 60_000;

/** Minutes that are kept: the longest window of the table, and the one that it began in. Older ones are overwritten. */
const KEPT_MINUTES = 3 * 24 * 60 + 1;

/**
 * Seconds between two looks that take the worse quality of both. A timer's jitter makes a period of one second skip a second now
 * and then; at a target of 99.9 % each would cost as much as a breach. More than that was not looked at: unknown.
 */
const BRIDGED_SECONDS = 2;

const WINDOW_MINUTES: readonly number[] = [
  ...new Set(BURN_RATE_RULES.flatMap(({ longMs, shortMs }) => [longMs / MINUTE_MS, shortMs / MINUTE_MS])),
];

/** Seconds of one quality. */
class Tally {
  readonly #minutes = new Uint8Array(KEPT_MINUTES);
  /** Per window: seconds in its whole minutes, without the running one and the oldest. */
  readonly #sums = new Int32Array(WINDOW_MINUTES.length);

  add(minute: number, seconds: number): void {
    this.#minutes[minute % KEPT_MINUTES] = this.of(minute) + seconds;
  }

  of(minute: number): number {
    return this.#minutes[minute % KEPT_MINUTES] ?? 0;
  }

  /** In a window that ends with the running minute; of its oldest minute a share. */
  within(index: number, at: { readonly minute: number; readonly share: number }): number {
    return (this.#sums[index] ?? 0) + this.of(at.minute) + this.of(at.minute - (WINDOW_MINUTES[index] ?? 0)) * at.share;
  }

  /** The minute before `running` is over. */
  roll(running: number): void {
    for (const [index, minutes] of WINDOW_MINUTES.entries())
      this.#sums[index] = (this.#sums[index] ?? 0) + this.of(running - 1) - this.of(running - minutes);
    this.#minutes[running % KEPT_MINUTES] = 0;
  }

  sumAnew(running: number): void {
    for (const [index, minutes] of WINDOW_MINUTES.entries()) {
      let sum = 0;
      for (let minute = running - minutes + 1; minute < running; minute++) sum += this.of(minute);
      this.#sums[index] = sum;
    }
  }

  clear(): void {
    this.#minutes.fill(0);
    this.#sums.fill(0);
  }
}

export class SliceSeries {
  readonly #tallies: Readonly<Record<SliceQuality, Tally>> = { good: new Tally(), bad: new Tally(), unknown: new Tally() };
  #sinceMs: number;
  #minute: number;
  #second: number;
  #quality: SliceQuality | undefined;

  /** @param sinceMs when the objective came into force, as far as is known: seconds before count for nothing. */
  constructor(sinceMs: number) {
    this.#sinceMs = Math.floor(sinceMs / 1_000) * 1_000;
    this.#second = Math.floor(sinceMs / 1_000) - 1;
    this.#minute = Math.floor(sinceMs / MINUTE_MS);
  }

  /** Wall time, milliseconds. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /**
   * Counts the second of `atMs`. A second that was counted already takes the worse quality. A clock that was set back
   * makes the series begin anew there: what stood for the same times is no longer known to be right.
   */
  record(atMs: number, quality: SliceQuality): void {
    const second = Math.floor(atMs / 1_000);
    if (second < this.#second) this.#beginAnew(second);
    if (second === this.#second && this.#quality !== undefined) {
      const worse = worseSlice(this.#quality, quality);
      this.#add(this.#quality, -1);
      this.#add(worse, 1);
      this.#quality = worse;
      return;
    }
    const missed = second - this.#second - 1;
    if (this.#quality !== undefined && missed > 0 && missed <= BRIDGED_SECONDS) {
      const bridge = worseSlice(this.#quality, quality);
      for (let between = this.#second + 1; between < second; between++) this.#count(between, bridge);
    }
    this.#count(second, quality);
    this.#quality = quality;
  }

  /** Takes what history knows of the time before. Buckets of a minute or finer; wider ones are ignored. In order of time. */
  restore(sinceMs: number, buckets: Iterable<SliceBucket>): void {
    for (const bucket of buckets) {
      if (bucket.durationMs > MINUTE_MS || bucket.startMs + bucket.durationMs > this.#sinceMs) continue;
      const minute = Math.floor(bucket.startMs / MINUTE_MS);
      if (minute <= this.#minute - KEPT_MINUTES || minute > this.#minute) continue;
      this.#tallies.good.add(minute, bucket.goodSeconds);
      this.#tallies.bad.add(minute, bucket.badSeconds);
      this.#tallies.unknown.add(minute, bucket.unknownSeconds);
    }
    this.#sinceMs = Math.min(this.#sinceMs, Math.floor(sinceMs / 1_000) * 1_000);
    for (const tally of this.#all()) tally.sumAnew(this.#minute);
  }

  /** The counts of the last `windowMs`, one of the windows of the burn-rate table, up to the second of `nowMs` inclusive. */
  counts(windowMs: number, nowMs: number): SliceCounts {
    const minutes = windowMs / MINUTE_MS;
    const index = WINDOW_MINUTES.indexOf(minutes);
    if (index < 0) throw new Error(`no window of ${minutes} minutes in the table`);
    const second = Math.floor(nowMs / 1_000);
    this.#rollTo(Math.floor(second / 60));
    // The second of now is in the window as a whole; so much of the oldest minute is.
    const share = 1 - ((second % 60) + 1) / 60;
    const at = { minute: this.#minute, share };
    const goodSeconds = this.#tallies.good.within(index, at);
    const badSeconds = this.#tallies.bad.within(index, at);
    const inVain = this.#tallies.unknown.within(index, at);
    const toMs = (second + 1) * 1_000;
    const totalSeconds = Math.max(0, toMs - Math.max(toMs - windowMs, this.#sinceMs)) / 1_000;
    return {
      goodSeconds,
      badSeconds,
      unknownSeconds: Math.max(0, totalSeconds - goodSeconds - badSeconds),
      unseenSeconds: Math.max(0, totalSeconds - goodSeconds - badSeconds - inVain),
      totalSeconds,
      errorSeconds: share === 0 ? 0 : 60 * Math.min(share, 1 - share),
    };
  }

  #count(second: number, quality: SliceQuality): void {
    this.#rollTo(Math.floor(second / 60));
    this.#second = second;
    this.#add(quality, 1);
  }

  #add(quality: SliceQuality, by: 1 | -1): void {
    this.#tallies[quality].add(this.#minute, by);
  }

  #all(): readonly Tally[] {
    return Object.values(this.#tallies);
  }

  #rollTo(minute: number): void {
    if (minute - this.#minute > KEPT_MINUTES) {
      for (const tally of this.#all()) tally.clear();
      this.#minute = minute;
      return;
    }
    while (this.#minute < minute) {
      this.#minute++;
      for (const tally of this.#all()) tally.roll(this.#minute);
    }
  }

  #beginAnew(second: number): void {
    for (const tally of this.#all()) tally.clear();
    this.#sinceMs = second * 1_000;
    this.#second = second - 1;
    this.#minute = Math.floor(second / 60);
    this.#quality = undefined;
  }
}
