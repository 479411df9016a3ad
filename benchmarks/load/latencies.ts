/** Latencies of a run, kept as microseconds in a buffer that grows by doubling up to its limit; beyond it every second one is dropped. */
export class Latencies {
  #values = new Uint32Array(65_536);
  #length = 0;
  #keepEvery = 1;
  #seen = 0;
  #mostUs = 0;

  /** The most samples kept: 4 million. Then half of them are forgotten, evenly, and from there on only every other counts. */
  static readonly MOST_SAMPLES = 4_194_304;

  add(ms: number): void {
    const us = Math.round(ms * 1_000);
    if (us > this.#mostUs) this.#mostUs = us;
    if (this.#seen++ % this.#keepEvery !== 0) return;
    if (this.#length === this.#values.length) this.#grow();
    this.#values[this.#length++] = us;
  }

  #grow(): void {
    if (this.#length < Latencies.MOST_SAMPLES) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
      return;
    }
    for (let i = 0; i < this.#length / 2; i++) this.#values[i] = this.#values[i * 2] ?? 0;
    this.#length /= 2;
    this.#keepEvery *= 2;
  }

  get mostMs(): number {
    return this.#mostUs / 1_000;
  }

  /** Percentiles in milliseconds, by nearest rank; NaN without samples. */
  percentiles(...ranks: readonly number[]): number[] {
    const sorted = this.#values.slice(0, this.#length).sort();
    return ranks.map((rank) => {
      const value = sorted[Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1)];
      return value === undefined ? Number.NaN : value / 1_000;
    });
  }
}
