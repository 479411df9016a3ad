// Which writes have their lives recorded: so many a second by chance, each request having the same, and those that were slower to be
// journalled than most of their minute, which is what an acknowledgement waits for. Asked for every request: a request that is not chosen costs two comparisons.
import type { Random } from "@tidemark/kernel/random";

/** Requests a second that are chosen by chance, about. */
const PER_SECOND = 10;
/** Of a minute so many of the slowest are wanted; one that is slower than the fastest of these is chosen. */
const SLOWEST = 10;
const SLOWEST_WITHIN_MS = 60_000;

export class LifeChoice {
  readonly #random: Random;
  /** Requests until the next one that is chosen by chance. */
  #gap = 1;
  #requests = 0;
  /** Requests of the second before this one. */
  #lately = 0;
  /** Milliseconds, the slowest first. */
  #slowest: number[] = [];
  #slowerThanMs = 0;
  #sinceMs = Number.NEGATIVE_INFINITY;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Whether and why the life of a request's write is recorded. @param tookMs until it was journalled. */
  choose(tookMs: number): "by-chance" | "slow" | undefined {
    this.#requests++;
    const slow = tookMs > this.#slowerThanMs;
    if (slow) this.#noteSlow(tookMs);
    if (--this.#gap <= 0) {
      this.#gap = this.#nextGap();
      return "by-chance";
    }
    return slow ? "slow" : undefined;
  }

  /** To be called once a second. @param nowMs monotonic. */
  tick(nowMs: number): void {
    this.#lately = this.#requests;
    this.#requests = 0;
    // A gap that was drawn in a rush would last for hours after it.
    if (this.#gap > 2 * this.#mean()) this.#gap = this.#nextGap();
    if (nowMs - this.#sinceMs < SLOWEST_WITHIN_MS) return;
    this.#sinceMs = nowMs;
    this.#slowest = [];
    this.#slowerThanMs = 0;
  }

  #noteSlow(tookMs: number): void {
    this.#slowest.push(tookMs);
    this.#slowest.sort((one, other) => other - one);
    if (this.#slowest.length > SLOWEST) this.#slowest.pop();
    if (this.#slowest.length === SLOWEST) this.#slowerThanMs = this.#slowest.at(-1) ?? 0;
  }

  /** Requests for one that is chosen: by the second before, or by this one where it has more already. */
  #mean(): number {
    return Math.max(1, Math.max(this.#lately, this.#requests) / PER_SECOND);
  }

  /** Evenly around the mean, so that no rhythm of a client meets a rhythm of ours. */
  #nextGap(): number {
    return 1 + Math.floor(this.#random.fraction() * (2 * this.#mean() - 1));
  }
}
