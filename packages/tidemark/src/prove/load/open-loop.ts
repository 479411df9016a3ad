import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { Answer, Intent } from "../ledger/ledger-entry.ts";
import type { LoadCounts } from "./load-link.ts";
import type { OrderPlan, PlannedWrite } from "./order-plan.ts";

/** Where the loop writes before it sends and after it was answered. */
export interface LoadLedger {
  intend(intents: readonly Intent[]): void;
  record(answer: Answer): Promise<void>;
}

export interface OpenLoopOptions {
  readonly ratePerSecond: number;
  /** Writes without an answer at most; beyond it a scheduled write is recorded as not sent. */
  readonly mostInFlight: number;
}

/** Time between two looks at the schedule. */
const TICK_MS = 4;

/**
 * An open-loop load: writes are sent when the schedule says so, whether earlier ones were answered or not. A stack that
 * stalls therefore meets the writes of the stall, and their latency counts from when they were due (no coordinated
 * omission).
 */
export class OpenLoop {
  readonly #world: {
    clock: Clock;
    plan: OrderPlan;
    ledger: LoadLedger;
    send: (intent: Intent) => Promise<Answer>;
    failed: (error: unknown) => void;
  };
  readonly #options: OpenLoopOptions;
  readonly #acknowledgedKeys = new Set<string>();
  readonly #counts = { scheduled: 0, acknowledged: 0, refused: 0, unanswered: 0, unsent: 0, inFlight: 0 };
  #startedMs = 0;
  #startedWallMs = 0;
  #timer: Timer | undefined;
  #drained: (() => void) | undefined;

  constructor(
    world: {
      clock: Clock;
      plan: OrderPlan;
      ledger: LoadLedger;
      send: (intent: Intent) => Promise<Answer>;
      failed: (error: unknown) => void;
    },
    options: OpenLoopOptions,
  ) {
    this.#world = world;
    this.#options = options;
  }

  get counts(): LoadCounts {
    return { ...this.#counts };
  }

  start(): void {
    this.#startedMs = this.#world.clock.monotonicMs();
    this.#startedWallMs = this.#world.clock.wallMs();
    this.#tick();
  }

  /** Schedules nothing more; resolves when nothing is in flight. */
  stop(): Promise<void> {
    this.#timer?.clear();
    this.#timer = undefined;
    if (this.#counts.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  #tick(): void {
    this.#timer = this.#world.clock.setTimer(TICK_MS, () => this.#tick());
    const elapsedMs = this.#world.clock.monotonicMs() - this.#startedMs;
    const due: Intent[] = [];
    for (;;) {
      const offsetMs = (this.#counts.scheduled * 1_000) / this.#options.ratePerSecond;
      if (offsetMs > elapsedMs) break;
      due.push(this.#intent(this.#world.plan.next(), this.#startedWallMs + offsetMs));
      this.#counts.scheduled++;
    }
    if (due.length === 0) return;
    try {
      this.#world.ledger.intend(due);
    } catch (error) {
      this.#world.failed(error);
      return;
    }
    for (const intent of due) this.#begin(intent);
  }

  /** A conflict needs an original that is known to be accepted; before that it goes as a plain repeat. */
  #intent(write: PlannedWrite, scheduledAtMs: number): Intent {
    const { n, order, customer, amountCents, idempotencyKey } = write;
    if (write.purpose === "conflict" && !this.#acknowledgedKeys.has(idempotencyKey)) {
      return { n, purpose: "repeat", order, customer, amountCents: amountCents - 1, idempotencyKey, scheduledAtMs };
    }
    return { n, purpose: write.purpose, order, customer, amountCents, idempotencyKey, scheduledAtMs };
  }

  #begin(intent: Intent): void {
    if (this.#counts.inFlight >= this.#options.mostInFlight) {
      this.#counts.unsent++;
      this.#world.ledger.record({ n: intent.n, kind: "unsent", atMs: this.#world.clock.wallMs() }).catch(this.#world.failed);
      return;
    }
    this.#counts.inFlight++;
    this.#finish(intent).catch(this.#world.failed);
  }

  async #finish(intent: Intent): Promise<void> {
    const answer = await this.#world.send(intent);
    await this.#world.ledger.record(answer); // Only now does an acknowledgement count.
    this.#counts.inFlight--;
    if (answer.kind === "acknowledged") this.#acknowledgedKeys.add(intent.idempotencyKey);
    this.#counts[answer.kind]++;
    if (this.#counts.inFlight === 0) this.#drained?.();
  }
}
