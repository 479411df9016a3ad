// Brings what the outbox owes to the receivers. One line per receiver, one delivery at a time: a receiver that is away holds up
// nobody else, and what is repeated to it can never overtake what is newer. A delivery is struck off when the receiver has
// answered; a crash between leads to the same delivery again, with the same identity.
import type { Clock } from "@tidemark/kernel/clock";
import { hasCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Service } from "@tidemark/kernel/service";
import type { Notification } from "./alert.ts";
import type { Delivery, Outbox } from "./outbox.ts";
import { LONGEST_POSTPONEMENT_MS } from "./outbox.ts";
import type { Receiver } from "./receiver.ts";

/** Between attempts at a receiver that is away: doubling, with jitter. When it is back it hears within the longest. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;

/** Between attempts of one delivery that was refused. */
const FIRST_REFUSED_MS = 10_000;

/** The most that is read from the outbox at once. */
const MOST_DUE = 200;

/** The courier looks for work at least so often, whatever it was told. */
const LONGEST_REST_MS = 10_000;

export interface CourierWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called at the points at which a crash would tell the most; tests end the process there. */
  readonly checkpoint?: (name: "before-delivery" | "after-delivery" | "after-mark") => void;
}

/** How a line stands, for metrics. */
export interface LineStats {
  readonly receiver: string;
  readonly delivered: number;
  readonly failed: number;
  readonly repeated: number;
  readonly waiting: number;
  readonly oldestMs: number;
  readonly givenUp: number;
}

export class Courier implements Service {
  readonly name = "alert courier";
  readonly #outbox: Outbox;
  readonly #told: () => readonly Notification[];
  readonly #world: CourierWorld;
  readonly #lines: readonly Line[];

  /** @param parts.told what fires and was told, for receivers that forget (the engine's `told`). */
  constructor(parts: { outbox: Outbox; receivers: readonly Receiver[]; told: () => readonly Notification[]; world: CourierWorld }) {
    this.#outbox = parts.outbox;
    this.#told = parts.told;
    this.#world = parts.world;
    this.#lines = parts.receivers.map((receiver) => new Line(receiver, { outbox: this.#outbox, told: this.#told, world: this.#world }));
    this.#outbox.onQueued(() => {
      for (const line of this.#lines) line.wake();
    });
  }

  /** Delivers until `signal` aborts; a delivery under way is broken off then, and made again by the next process. */
  async run(signal: AbortSignal): Promise<void> {
    // When one line fails, by a bug or because the file does, the others end too, and all begin again.
    const failed = new AbortController();
    const both = AbortSignal.any([signal, failed.signal]);
    const runs = this.#lines.map((line) =>
      line.run(both).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    );
    const results = await Promise.allSettled(runs);
    if (signal.aborted) return;
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  stats(): LineStats[] {
    const nowMs = this.#world.clock.wallMs();
    return this.#lines.map((line) => line.stats(nowMs));
  }
}

class Line {
  readonly #receiver: Receiver;
  readonly #outbox: Outbox;
  readonly #told: () => readonly Notification[];
  readonly #world: CourierWorld;
  #wake: (() => void) | undefined;
  #woken = false;
  /** Monotonic. */
  #awayUntilMs = 0;
  #retryMs = FIRST_RETRY_MS;
  #repeatAtMs = 0;
  #delivered = 0;
  #failed = 0;
  #repeated = 0;

  constructor(receiver: Receiver, parts: { outbox: Outbox; told: () => readonly Notification[]; world: CourierWorld }) {
    this.#receiver = receiver;
    this.#outbox = parts.outbox;
    this.#told = parts.told;
    this.#world = parts.world;
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  stats(nowMs: number): LineStats {
    const { receiver, waiting, oldestMs, givenUp } = this.#outbox.facts(this.#receiver.name, nowMs);
    return { receiver, delivered: this.#delivered, failed: this.#failed, repeated: this.#repeated, waiting, oldestMs, givenUp };
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#woken = false;
      const awayMs = this.#awayUntilMs - this.#world.clock.monotonicMs();
      if (awayMs > 0) await this.#rest(awayMs, { signal, untilWoken: false });
      else if (!(await this.#deliverNext(signal)) && !(await this.#repeatIfDue(signal)))
        await this.#rest(this.#restMs(), { signal, untilWoken: true });
    }
  }

  async #deliverNext(signal: AbortSignal): Promise<boolean> {
    const { clock, checkpoint } = this.#world;
    const due = this.#outbox.due(this.#receiver.name, clock.wallMs(), MOST_DUE);
    const batch = nextBatch(due, this.#receiver);
    if (batch.length === 0) return false;
    const { givenUp } = this.#outbox.facts(this.#receiver.name, clock.wallMs());
    checkpoint?.("before-delivery");
    try {
      await this.#receiver.deliver(
        batch.map(({ notification }) => notification),
        { signal, givenUp },
      );
    } catch (error) {
      if (!signal.aborted) this.#onFailure(batch, error);
      return true;
    }
    checkpoint?.("after-delivery");
    this.#outbox.delivered(this.#receiver.name, batch);
    checkpoint?.("after-mark");
    this.#delivered += batch.length;
    this.#retryMs = FIRST_RETRY_MS;
    return true;
  }

  #onFailure(batch: readonly Delivery[], error: unknown): void {
    const { clock, logger } = this.#world;
    const { name } = this.#receiver;
    const words = error instanceof Error ? error.message : String(error);
    this.#failed++;
    if (hasCode(error, "TM-ALERT-RECEIVER-REFUSED")) {
      const attempts = Math.max(...batch.map((delivery) => delivery.attempts));
      const delayMs = batch.length > 1 ? 0 : Math.min(LONGEST_POSTPONEMENT_MS, FIRST_REFUSED_MS * 2 ** Math.min(attempts, 10));
      this.#outbox.postponed(name, batch, { notBeforeMs: clock.wallMs() + this.#jittered(delayMs), alone: true, error: words });
    } else {
      if (!hasCode(error, "TM-ALERT-RECEIVER-AWAY") && !hasCode(error, "TM-ALERT-SECRET")) throw error;
      this.#outbox.postponed(name, batch, { notBeforeMs: 0, alone: false, error: words });
      this.#backOff();
    }
    logger.warn({ receiver: name, notifications: batch.length, err: error }, "alerts could not be delivered, they are delivered again");
  }

  async #repeatIfDue(signal: AbortSignal): Promise<boolean> {
    const { repeat, name, mostAtOnce } = this.#receiver;
    const { clock, logger } = this.#world;
    if (repeat === undefined || clock.monotonicMs() < this.#repeatAtMs) return false;
    const firing = this.#told().filter(
      ({ fingerprint, severity }) => (this.#receiver.severities?.includes(severity) ?? true) && !this.#outbox.owes(name, fingerprint),
    );
    this.#repeatAtMs = clock.monotonicMs() + repeat.everyMs;
    try {
      for (let from = 0; from < firing.length && !signal.aborted; from += mostAtOnce) {
        // Read anew each time: what ended meanwhile must not be told to fire.
        const still = new Set(this.#told().map(({ id }) => id));
        const part = firing.slice(from, from + mostAtOnce).filter(({ id }) => still.has(id));
        if (part.length > 0) await repeat.post(part, { signal });
        this.#repeated += part.length;
      }
    } catch (error) {
      if (signal.aborted) return true;
      if (!hasCode(error, "TM-ALERT-RECEIVER-AWAY") && !hasCode(error, "TM-ALERT-RECEIVER-REFUSED") && !hasCode(error, "TM-ALERT-SECRET"))
        throw error;
      this.#failed++;
      this.#repeatAtMs = 0;
      this.#backOff();
      logger.warn({ receiver: name, err: error }, "what fires could not be told again");
    }
    return true;
  }

  #backOff(): void {
    this.#awayUntilMs = this.#world.clock.monotonicMs() + this.#jittered(this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }

  /** Between half of it and all of it. */
  #jittered(delayMs: number): number {
    return delayMs * (0.5 + this.#world.random.fraction() / 2);
  }

  #restMs(): number {
    const { clock } = this.#world;
    const nextMs = this.#outbox.nextDueMs(this.#receiver.name);
    const untilNext = nextMs === undefined ? LONGEST_REST_MS : Math.max(10, nextMs - clock.wallMs());
    const untilRepeat = this.#receiver.repeat === undefined ? LONGEST_REST_MS : Math.max(1, this.#repeatAtMs - clock.monotonicMs());
    return Math.min(LONGEST_REST_MS, untilNext, untilRepeat);
  }

  #rest(forMs: number, until: { signal: AbortSignal; untilWoken: boolean }): Promise<void> {
    if ((until.untilWoken && this.#woken) || until.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer.clear();
        until.signal.removeEventListener("abort", done);
        this.#wake = undefined;
        resolve();
      };
      const timer = this.#world.clock.setTimer(forMs, done, { keepAlive: false });
      until.signal.addEventListener("abort", done, { once: true });
      if (until.untilWoken) this.#wake = done;
    });
  }
}

/** The oldest, with what may go with it. */
function nextBatch(due: readonly Delivery[], receiver: Receiver): readonly Delivery[] {
  const first = due[0];
  if (first === undefined || first.alone) return due.slice(0, 1);
  return due
    .filter(({ alone, notification }) => !alone && (!receiver.oneGroup || notification.group === first.notification.group))
    .slice(0, receiver.mostAtOnce);
}
