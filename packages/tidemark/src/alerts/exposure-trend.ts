// How the exposure of one service and scenario moves. Archives and backups make it a sawtooth: it rises until the next one is
// done and falls. A rise that is part of the usual tooth is no news; one beyond it is. Pure state, fed once a second.

/** The newest points that the slope is taken over. */
const KEPT_POINTS = 16;

/** Finished teeth that say what is usual. */
const KEPT_TEETH = 8;

/** A tooth ends when the exposure falls below this share of its peak. */
const FALL = 0.5;

/** So far above the usual peak is still usual. */
const USUAL_MARGIN = 1.2;

export class ExposureTrend {
  readonly #atMs: number[] = [];
  readonly #values: number[] = [];
  readonly #peaks: number[] = [];
  #peak = 0;

  /** @param usualPeakMs what was usual before the process started, if it is known. */
  constructor(usualPeakMs?: number) {
    if (usualPeakMs !== undefined) this.#peaks.push(usualPeakMs);
  }

  /** A known exposure. Unknown ones are not told: the points around them stay apart by their time. */
  add(atMs: number, exposureMs: number): void {
    const last = this.#atMs.at(-1);
    if (last !== undefined && atMs <= last) {
      if (atMs === last) return;
      // The clock was set back: slopes over the jump would be nonsense.
      this.#atMs.length = 0;
      this.#values.length = 0;
    }
    if (this.#atMs.length === KEPT_POINTS) {
      this.#atMs.shift();
      this.#values.shift();
    }
    this.#atMs.push(atMs);
    this.#values.push(exposureMs);
    if (exposureMs < this.#peak * FALL) {
      if (this.#peaks.length === KEPT_TEETH) this.#peaks.shift();
      this.#peaks.push(this.#peak);
      this.#peak = exposureMs;
    } else this.#peak = Math.max(this.#peak, exposureMs);
  }

  /**
   * Milliseconds of exposure gained per millisecond over about the last `spanMs`: 1 while nothing arrives at the copy at all.
   * Undefined while the points do not reach back so far.
   */
  slope(spanMs: number): number | undefined {
    const newestAt = this.#atMs.at(-1);
    const newest = this.#values.at(-1);
    if (newestAt === undefined || newest === undefined) return undefined;
    for (let index = this.#atMs.length - 2; index >= 0; index--) {
      const at = this.#atMs[index] ?? newestAt;
      if (newestAt - at >= spanMs) return (newest - (this.#values[index] ?? newest)) / (newestAt - at);
    }
    return undefined;
  }

  /** The highest peak of the teeth that are finished; undefined before the first. */
  get usualPeakMs(): number | undefined {
    return this.#peaks.length === 0 ? undefined : Math.max(...this.#peaks);
  }

  /** Whether `exposureMs` is no more than what it usually comes to before it falls. */
  isUsual(exposureMs: number): boolean {
    const usual = this.usualPeakMs;
    return usual !== undefined && exposureMs <= usual * USUAL_MARGIN;
  }
}
