import { sleep, type Clock } from "@tidemark/kernel/clock";
import type { Random } from "@tidemark/kernel/random";
import type { Answer, Intent } from "../ledger/ledger-entry.ts";
import { decideNext, NO_ATTEMPTS, type AttemptResult } from "./attempt-policy.ts";

/** One attempt over HTTP. Never rejects: every trouble is an {@link AttemptResult}. */
export interface WriteTransport {
  attempt(intent: Intent, timeoutMs: number): Promise<AttemptResult>;
}

export interface SenderLimits {
  /** An attempt without an answer is given up after this long. */
  readonly attemptMs: number;
  /** A write is repeated until so long after its scheduled time. */
  readonly deadlineMs: number;
}

/** Sends one write until it is answered or its deadline has passed. */
export class WriteSender {
  readonly #world: { clock: Clock; random: Random; transport: WriteTransport };
  readonly #limits: SenderLimits;

  constructor(world: { clock: Clock; random: Random; transport: WriteTransport }, limits: SenderLimits) {
    this.#world = world;
    this.#limits = limits;
  }

  /** Latency is from the scheduled time, so that a slow stack cannot hide behind a load that waits for it. */
  async send(intent: Intent): Promise<Answer> {
    const { clock, random, transport } = this.#world;
    const deadlineMs = intent.scheduledAtMs + this.#limits.deadlineMs;
    let history = NO_ATTEMPTS;
    for (;;) {
      const result = await transport.attempt(intent, this.#limits.attemptMs);
      const atMs = clock.wallMs();
      const decision = decideNext(history, result, { untilDeadlineMs: deadlineMs - atMs, jitter: random.fraction() });
      history = decision.history;
      const facts = { n: intent.n, atMs, attempts: history.attempts };
      const latencyMs = atMs - intent.scheduledAtMs;
      switch (decision.next.step) {
        case "acknowledged":
          return { ...facts, kind: "acknowledged", receipt: decision.next.receipt, latencyMs };
        case "refused":
          return { ...facts, kind: "refused", status: decision.next.status, code: decision.next.code, latencyMs };
        case "unanswered":
          return { ...facts, kind: "unanswered", reason: decision.next.reason };
        case "retry":
          await sleep(clock, decision.next.afterMs);
      }
    }
  }
}
