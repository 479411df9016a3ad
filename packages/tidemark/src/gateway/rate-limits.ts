import type { Clock } from "@tidemark/kernel/clock";

interface Bucket {
  level: number;
  atMs: number;
}

/**
 * A token bucket per API token: `perSecond` writes flow in, one second's worth is kept. A batch larger than what is kept
 * passes when the bucket is full and leaves it in debt, so that batches are slowed down rather than shut out.
 */
export class RateLimits {
  readonly #perSecond: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  /** @param perSecond writes a second for each token; 0 means no limit. */
  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Takes `count` writes for the token, or none: then it returns the seconds after which they would pass (above 0). */
  take(token: string, count: number): number {
    if (this.#perSecond === 0) return 0;
    const nowMs = this.#clock.monotonicMs();
    // Tokens are those of the configuration, so the map is as small as their number.
    const bucket = this.#buckets.get(token) ?? { level: this.#perSecond, atMs: nowMs };
    bucket.level = Math.min(this.#perSecond, bucket.level + ((nowMs - bucket.atMs) / 1_000) * this.#perSecond);
    bucket.atMs = nowMs;
    this.#buckets.set(token, bucket);
    const needed = Math.min(count, this.#perSecond);
    if (bucket.level < needed) return (needed - bucket.level) / this.#perSecond;
    bucket.level -= count;
    return 0;
  }
}
