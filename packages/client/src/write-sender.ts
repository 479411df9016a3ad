import type { ClientTimer, ClientWorld } from "./client-world.ts";
import type { ClientCode } from "./client-error.ts";
import type { PendingWrite } from "./pending-write.ts";
import type { ReceiptFacts } from "./receipt.ts";
import { decideRetry, outcomeOf, type Failure, type RetryPolicy } from "./retry-policy.ts";
import type { Transport } from "./transport.ts";
import { readBatchAnswer, type LineResult } from "./write-answer.ts";
import { WriteQueue, type BatchLimits } from "./write-queue.ts";

/** The limits and times of a {@link WriteSender}. */
export interface SenderOptions {
  /** Requests in flight at a time. */
  readonly requests: number;
  readonly batch: BatchLimits;
  /** Writes, and bytes of their lines, that are undecided at most: waiting, in flight, or waiting for another attempt. */
  readonly queuedWrites: number;
  readonly queuedBytes: number;
  readonly requestTimeoutMs: number;
  readonly retry: RetryPolicy;
  /** How long the gateway is taken to remember a key until a receipt has told. Milliseconds. */
  readonly assumedWindowMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Sends the writes of one client by natural batching: while the allowed number of requests is in flight, what arrives
 * waits, and the next request takes all of it, up to the limits of a batch. A lone writer pays no delay for that, and
 * many writers share requests; there is no timer to tune.
 *
 * A request that fails as a whole says something of the gateway, so all sending pauses. A line that may be tried again
 * says something of its store or key, so only those lines wait, and what has to stay behind them (see {@link WriteQueue}).
 */
export class WriteSender {
  readonly #options: SenderOptions;
  readonly #transport: Transport;
  readonly #world: ClientWorld;
  readonly #queue = new WriteQueue<PendingWrite>();
  readonly #undecided = new Set<PendingWrite>();
  #undecidedBytes = 0;
  #batch: BatchLimits;
  #inFlight = 0;
  #pumpPlanned = false;
  #pause: ClientTimer | undefined;
  /** Requests that failed as a whole since the last that did not. */
  #failures = 0;
  #windowMs: number;
  #deadline: { atMs: number; timer: ClientTimer } | undefined;
  readonly #held = new Map<ClientTimer, readonly PendingWrite[]>();
  #idle: (() => void)[] = [];
  #lastRememberedUntil = "";

  constructor(parts: { options: SenderOptions; transport: Transport; world: ClientWorld }) {
    this.#options = parts.options;
    this.#transport = parts.transport;
    this.#world = parts.world;
    this.#batch = parts.options.batch;
    this.#windowMs = parts.options.assumedWindowMs;
  }

  /** Whether one more write of `bytes` stays within the limits. */
  admits(bytes: number): boolean {
    return this.#undecided.size < this.#options.queuedWrites && this.#undecidedBytes + bytes <= this.#options.queuedBytes;
  }

  submit(write: PendingWrite): void {
    this.#undecided.add(write);
    this.#undecidedBytes += write.bytes;
    this.#queue.add(write);
    this.#watchDeadline(write.deadlineMs);
    this.#planPump();
  }

  /** Gives up on a write from the outside. What is in flight stays so, its answer is ignored. */
  abandon(write: PendingWrite, code: ClientCode): void {
    if (write.abandoned) return;
    write.giveUp(code);
    this.#forget(write);
    if (!write.inFlight) this.#queue.noteAbandoned();
  }

  /** Resolves when nothing is undecided any more. */
  drained(): Promise<void> {
    if (this.#undecided.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Gives up on everything that is left. */
  close(): void {
    for (const write of this.#undecided) {
      write.giveUp("TM-CLIENT-CLOSED");
      this.#forget(write);
    }
    this.#pause?.clear();
    for (const timer of this.#held.keys()) timer.clear();
    this.#held.clear();
  }

  /** Waits for the end of the turn, so that the writers whose receipts just came can join the next request. */
  #planPump(): void {
    if (this.#pumpPlanned || this.#inFlight >= this.#options.requests || this.#pause !== undefined) return;
    this.#pumpPlanned = true;
    this.#world.afterThisTurn(() => {
      this.#pumpPlanned = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#inFlight < this.#options.requests && this.#pause === undefined) {
      const batch = this.#queue.take(this.#batch);
      if (batch.length === 0) return;
      void this.#send(batch);
    }
  }

  async #send(batch: readonly PendingWrite[]): Promise<void> {
    this.#inFlight++;
    const sentMs = this.#world.monotonicMs();
    let body = "";
    for (const write of batch) {
      write.attempts++;
      write.inFlight = true;
      body += write.line;
    }
    const answer = await this.#transport.send({
      method: "POST",
      path: "/v1/writes",
      headers: this.#options.headers,
      body: Buffer.from(body),
      timeoutMs: this.#options.requestTimeoutMs,
    });
    this.#inFlight--;
    for (const write of batch) write.inFlight = false;
    const result = readBatchAnswer(answer, batch.length);
    if (result.kind === "lines") this.#lines(batch, result.lines, sentMs);
    else this.#whole(batch, result.failure, sentMs);
    this.#planPump();
  }

  #lines(batch: readonly PendingWrite[], lines: readonly LineResult[], sentMs: number): void {
    this.#failures = 0;
    const failed: { write: PendingWrite; failure: Failure }[] = [];
    for (const [index, write] of batch.entries()) {
      const line = lines[index] as LineResult;
      if (line.kind === "receipt") {
        this.#learnWindow(line.receipt);
        write.receive(line.receipt);
      } else if (this.#another(write, line.failure, { sentMs, attempts: write.attempts, fraction: 0 }) !== undefined) {
        failed.push({ write, failure: line.failure });
        continue;
      }
      this.#settled(write);
    }
    if (failed.length > 0) this.#holdBack(failed, sentMs);
  }

  /** Lines that may be tried again come back together, after the longest of their waits: those of one key must not pass each other. */
  #holdBack(failed: readonly { write: PendingWrite; failure: Failure }[], sentMs: number): void {
    const fraction = this.#world.fraction();
    let delayMs = 0;
    const again: PendingWrite[] = [];
    for (const { write, failure } of failed) {
      const ownMs = this.#another(write, failure, { sentMs, attempts: write.attempts, fraction });
      if (ownMs === undefined) {
        this.#settled(write);
        continue;
      }
      delayMs = Math.max(delayMs, ownMs);
      again.push(write);
    }
    if (again.length === 0) return;
    const timer = this.#world.setTimer(delayMs, () => {
      this.#held.delete(timer);
      this.#queue.putBack(again);
      this.#planPump();
    });
    this.#held.set(timer, again);
  }

  #whole(batch: readonly PendingWrite[], failure: Failure, sentMs: number): void {
    if (batch.length > 1 && this.#splits(failure, batch)) {
      this.#queue.putBack(batch);
      return;
    }
    // Requests that were in flight together fail together; they count once.
    if (this.#pause === undefined) this.#failures++;
    const fraction = this.#world.fraction();
    let delayMs: number | undefined;
    const again: PendingWrite[] = [];
    for (const write of batch) {
      const ownMs = this.#another(write, failure, { sentMs, attempts: this.#failures, fraction });
      if (ownMs === undefined) {
        this.#settled(write);
      } else {
        delayMs = ownMs;
        again.push(write);
      }
    }
    this.#queue.putBack(again);
    if (delayMs === undefined || this.#pause !== undefined) return;
    this.#pause = this.#world.setTimer(delayMs, () => {
      this.#pause = undefined;
      this.#planPump();
    });
  }

  /** A refusal of the whole that may be the fault of its size, or of one write: smaller batches find out. */
  #splits(failure: Failure, batch: readonly PendingWrite[]): boolean {
    if (failure.kind !== "problem") return false;
    const { status } = failure.problem;
    if (status === 413) {
      const bytes = batch.reduce((sum, write) => sum + write.bytes, 0);
      this.#batch = {
        writes: Math.max(1, Math.min(this.#batch.writes, Math.floor(batch.length / 2))),
        bytes: Math.max(1, Math.min(this.#batch.bytes, Math.floor(bytes / 2))),
      };
      return true;
    }
    if (status !== 400 && status !== 422) return false;
    for (const write of batch) write.alone = true;
    return true;
  }

  /** Notes what a failed attempt says of the write; the wait before the next one, or undefined when the write was failed or is abandoned. */
  #another(write: PendingWrite, failure: Failure, attempt: { sentMs: number; attempts: number; fraction: number }): number | undefined {
    if (write.abandoned) return undefined;
    if (outcomeOf(failure) === "unknown") write.firstUncertainMs ??= attempt.sentMs;
    const nowMs = this.#world.monotonicMs();
    const windowEndMs = write.firstUncertainMs === undefined ? Infinity : write.firstUncertainMs + this.#windowMs;
    const decision = decideRetry(
      failure,
      { attempts: attempt.attempts, nowMs, deadlineMs: write.deadlineMs, windowEndMs },
      this.#options.retry,
      attempt.fraction,
    );
    if (decision.retry) return decision.delayMs;
    if (decision.because === "final") write.fail(failure);
    else write.giveUp(decision.because === "window" ? "TM-CLIENT-WINDOW" : "TM-CLIENT-DEADLINE", failure);
    return undefined;
  }

  #learnWindow(receipt: ReceiptFacts): void {
    if (receipt.keyRememberedUntil === this.#lastRememberedUntil) return;
    this.#lastRememberedUntil = receipt.keyRememberedUntil;
    const windowMs = Date.parse(receipt.keyRememberedUntil) - Date.parse(receipt.acceptedAt);
    if (windowMs > 0) this.#windowMs = windowMs;
  }

  /** Ends the part of a taken write that its batch has answered. */
  #settled(write: PendingWrite): void {
    this.#queue.decided(write);
    this.#forget(write);
  }

  #forget(write: PendingWrite): void {
    if (!this.#undecided.delete(write)) return;
    this.#undecidedBytes -= write.bytes;
    if (this.#undecided.size > 0) return;
    this.#deadline?.timer.clear();
    this.#deadline = undefined;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** One timer, at the earliest deadline: most writes have the same time to live and are settled long before it. */
  #watchDeadline(atMs: number): void {
    if (this.#deadline !== undefined && this.#deadline.atMs <= atMs) return;
    this.#deadline?.timer.clear();
    const timer = this.#world.setTimer(atMs - this.#world.monotonicMs(), () => this.#expire());
    this.#deadline = { atMs, timer };
  }

  #expire(): void {
    this.#deadline = undefined;
    const nowMs = this.#world.monotonicMs();
    let nextMs = Infinity;
    for (const write of this.#undecided) {
      if (write.deadlineMs <= nowMs) this.abandon(write, "TM-CLIENT-DEADLINE");
      else nextMs = Math.min(nextMs, write.deadlineMs);
    }
    if (nextMs < Infinity) this.#watchDeadline(nextMs);
  }
}
