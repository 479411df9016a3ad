// Messages between machines: delayed, lost, and stopped by partitions. A request that is lost on its way back was carried
// out all the same.
import type { Process, Scheduler } from "./scheduler.ts";

export interface NetworkOptions {
  readonly lossProbability: number;
  readonly mostDelayMs: number;
  /** Links, as `a|b` with the names in order, that are so many times slower than others: their standby lags. */
  readonly slow?: ReadonlyMap<string, number>;
}

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

/** Time between two looks for an answer, milliseconds. */
const LOOK_MS = 2;

export class Network {
  readonly #scheduler: Scheduler;
  readonly #options: NetworkOptions;
  readonly #cut = new Set<string>();
  #healthy = false;

  constructor(scheduler: Scheduler, options: NetworkOptions) {
    this.#scheduler = scheduler;
    this.#options = options;
  }

  /** From here on nothing is lost and nobody is cut off. */
  heal(): void {
    this.#healthy = true;
    this.#cut.clear();
  }

  cut(a: string, b: string): void {
    if (!this.#healthy) this.#cut.add(link(a, b));
  }

  join(a: string, b: string): void {
    this.#cut.delete(link(a, b));
  }

  reaches(a: string, b: string): boolean {
    return a === b || !this.#cut.has(link(a, b));
  }

  /** Without names: a link of ordinary speed. */
  delayMs(a = "", b = ""): number {
    const factor = this.#options.slow?.get(link(a, b)) ?? 1;
    return this.#drawDelayMs() * factor;
  }

  #drawDelayMs(): number {
    // Most are fast; a few are late, so that old messages meet new epochs.
    const { mostDelayMs } = this.#options;
    return this.#scheduler.chance(0.05) && !this.#healthy
      ? this.#scheduler.between(0, mostDelayMs * 20)
      : this.#scheduler.between(0.1, mostDelayMs);
  }

  isLost(a: string, b: string): boolean {
    if (!this.reaches(a, b)) return true;
    return !this.#healthy && a !== b && this.#scheduler.chance(this.#options.lossProbability);
  }

  /** Sends; `receive` runs at the other side, or never. */
  send(from: string, to: string, receive: () => void): void {
    if (this.isLost(from, to)) return;
    this.#scheduler.after(this.delayMs(), () => {
      if (this.reaches(from, to)) receive();
    });
  }

  /** Asks, and waits for the answer at most `timeoutMs`. `serve` runs at the other side while `isUp`; what it throws is an answer too. */
  *ask<T>(way: { from: string; to: string; timeoutMs: number; isUp: () => boolean }, serve: () => Process<T>): Process<Answer<T>> {
    let answer: Answer<T> | undefined;
    const { from, to } = way;
    const scheduler = this.#scheduler;
    this.send(from, to, () => {
      if (!way.isUp()) {
        this.send(to, from, () => (answer ??= { ok: false, why: "refused" }));
        return;
      }
      const reply = (given: Answer<T>): void => this.send(to, from, () => (answer ??= given));
      scheduler.spawn(served(serve, reply), way.isUp);
    });
    const endMs = scheduler.nowMs + way.timeoutMs;
    while (answer === undefined && scheduler.nowMs < endMs) yield LOOK_MS;
    return answer ?? { ok: false, why: "no answer" };
  }
}

function* served<T>(serve: () => Process<T>, reply: (answer: Answer<T>) => void): Process {
  try {
    reply({ ok: true, value: yield* serve() });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    reply({ ok: false, why: error.message });
  }
}

/** What a served request may throw: an answer, not a bug. */
export class Refusal extends Error {}

function link(a: string, b: string): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}
