import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { ApplierState, FromApplier, ToApplier } from "../applier/applier-link.ts";
import type { Config } from "../config/config.ts";
import type { Journal } from "../journal/journal.ts";
import type { ApplierChannel, ForkApplier } from "./applier-channel.ts";

/** First wait before a dead applier is started again; doubled each time up to the most, reset once one has lived long enough. */
const FIRST_RESTART_MS = 10;
const MOST_RESTART_MS = 5_000;
const HEALTHY_MS = 10_000;
/** The frontier is told at most so often: at thousands of fsyncs a second a message for each would cost more than it tells. */
const FRONTIER_INTERVAL_MS = 1;
/** The transaction in hand may take so long at a stop; then the process is ended. */
const STOP_MS = 10_000;

type Told = Exclude<FromApplier, { type: "state" }>;

/** Who asked: to be answered, while he lives. */
export interface AskingApplier {
  readonly isGone: boolean;
  answer(message: ToApplier): void;
}

/** What is known of an applier for the status page. */
export interface ApplierFacts {
  readonly pid: number | undefined;
  readonly state: ApplierState;
  readonly restarts: number;
}

interface ApplierProcessParts {
  readonly store: string;
  readonly config: Config;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly fork: ForkApplier;
  /** Where the journal ended when it was opened. */
  readonly recovered: bigint;
  /** Resolves when nothing that an earlier process asked for is on its way into the journal. */
  readonly settled: () => Promise<void>;
  /** Takes in everything that the applier says but its state. */
  readonly onMessage: (message: Told, asker: AskingApplier) => void;
}

/** Keeps one store's applier running: starts it, tells it the durable frontier, starts it again when it dies. */
export class ApplierProcess {
  readonly #parts: ApplierProcessParts;
  #channel: ApplierChannel | undefined;
  #state: ApplierState = { state: "starting" };
  #paused = false;
  #restarts = 0;
  #delayMs = FIRST_RESTART_MS;
  #startedMs = 0;
  #toldMs = 0;
  #frontierTimer: Timer | undefined;
  #restartTimer: Timer | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped: (() => void) | undefined;
  #stopping = false;

  constructor(parts: ApplierProcessParts) {
    this.#parts = parts;
  }

  get facts(): ApplierFacts {
    return { pid: this.#channel?.pid, state: this.#state, restarts: this.#restarts };
  }

  start(): void {
    this.#unsubscribe = this.#parts.journal.onDurable(() => this.#frontierMoved());
    this.#fork();
  }

  /** Sends an operator's word; false when no process is there to hear it. */
  tell(message: ToApplier): boolean {
    if (message.type === "pause") this.#paused = message.paused;
    if (this.#channel === undefined) return false;
    this.#channel.send(message);
    return true;
  }

  /** Lets the transaction in hand finish and ends the process; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#unsubscribe?.();
    this.#frontierTimer?.clear();
    this.#restartTimer?.clear();
    const channel = this.#channel;
    if (channel === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = this.#parts.clock.setTimer(STOP_MS, () => channel.kill());
      this.#stopped = () => {
        timer.clear();
        resolve();
      };
      channel.send({ type: "stop" });
    });
  }

  #fork(): void {
    const { store, journal, config, clock, recovered } = this.#parts;
    this.#startedMs = clock.monotonicMs();
    this.#state = { state: "starting" };
    let current: ApplierChannel | undefined;
    let gone = false;
    const asker: AskingApplier = {
      get isGone() {
        return gone;
      },
      answer: (message) => current?.send(message),
    };
    current = this.#parts.fork({
      onMessage: (message) => {
        if (!gone) this.#heard(message, asker);
      },
      onExit: (how) => {
        gone = true;
        this.#ended(how);
      },
    });
    if (gone) return;
    this.#channel = current;
    // Later ones may find what the first one applied behind it.
    const first = this.#restarts === 0 ? { recovered: String(recovered) } : {};
    current.send({ type: "begin", store, journal: journal.id, config, ...first });
    this.#tellFrontier();
    if (this.#paused) current.send({ type: "pause", paused: true });
  }

  #heard(message: FromApplier, asker: AskingApplier): void {
    if (message.type !== "state") return this.#parts.onMessage(message, asker);
    if (message.state.state !== this.#state.state)
      this.#parts.logger.info({ store: this.#parts.store, applier: message.state }, `applier is ${message.state.state}`);
    this.#state = message.state;
  }

  #ended(how: { code: number | null; signal: string | null }): void {
    this.#channel = undefined;
    this.#state = { state: "starting" };
    if (this.#stopping) return this.#stopped?.();
    const { clock, logger, store } = this.#parts;
    if (clock.monotonicMs() - this.#startedMs >= HEALTHY_MS) this.#delayMs = FIRST_RESTART_MS;
    logger.warn({ store, ...how, delayMs: this.#delayMs }, "the applier ended, starting another");
    this.#restarts++;
    this.#restartTimer = clock.setTimer(this.#delayMs, () => void this.#forkWhenSettled());
    this.#delayMs = Math.min(this.#delayMs * 2, MOST_RESTART_MS);
  }

  /** A verdict that comes late would find its write tried again, and perhaps applied, by one who did not know of it (R13). */
  async #forkWhenSettled(): Promise<void> {
    await this.#parts.settled();
    if (!this.#stopping) this.#fork();
  }

  /** At once after a pause, because somebody may wait for this one; under load a moment later, with those that came meanwhile. */
  #frontierMoved(): void {
    if (this.#frontierTimer !== undefined) return;
    const waitMs = this.#toldMs + FRONTIER_INTERVAL_MS - this.#parts.clock.monotonicMs();
    if (waitMs <= 0) return this.#tellFrontier();
    this.#frontierTimer = this.#parts.clock.setTimer(waitMs, () => {
      this.#frontierTimer = undefined;
      this.#tellFrontier();
    });
  }

  #tellFrontier(): void {
    this.#toldMs = this.#parts.clock.monotonicMs();
    this.#channel?.send({ type: "durable", upTo: String(this.#parts.journal.extent().durable) });
  }
}
