import { CLIENT_CODES, TidemarkClientError, type ClientCode } from "./client-error.ts";
import type { ReceiptFacts } from "./receipt.ts";
import type { Failure } from "./retry-policy.ts";
import type { Queued } from "./write-queue.ts";

/** One write between write() and its receipt. Settled once, by whatever comes first. */
export class PendingWrite implements Queued {
  readonly key: string | undefined;
  readonly idempotencyKey: string;
  /** Its line of the batch. Made once: every attempt sends the same bytes. */
  readonly line: string;
  readonly bytes: number;
  /** Monotonic, milliseconds. */
  readonly deadlineMs: number;
  attempts = 0;
  /** Monotonic time of the first attempt that may have been accepted; the gateway's window began then or later. */
  firstUncertainMs: number | undefined;
  inFlight = false;
  alone = false;
  /** Nobody waits any more. */
  abandoned = false;
  readonly #resolve: (receipt: ReceiptFacts) => void;
  readonly #reject: (error: TidemarkClientError) => void;
  #cleanUp: (() => void) | undefined;

  constructor(
    facts: { key: string | undefined; idempotencyKey: string; line: string; deadlineMs: number },
    promise: { resolve: (receipt: ReceiptFacts) => void; reject: (error: TidemarkClientError) => void },
  ) {
    this.key = facts.key;
    this.idempotencyKey = facts.idempotencyKey;
    this.line = facts.line;
    this.bytes = Buffer.byteLength(facts.line);
    this.deadlineMs = facts.deadlineMs;
    this.#resolve = promise.resolve;
    this.#reject = promise.reject;
  }

  /** Called when the write is settled, by whatever way. */
  onSettled(cleanUp: () => void): void {
    this.#cleanUp = cleanUp;
  }

  /** Whether an attempt may have been accepted, one that is under way included. */
  get uncertain(): boolean {
    return this.firstUncertainMs !== undefined || this.inFlight;
  }

  receive(receipt: ReceiptFacts): void {
    if (this.#end()) this.#resolve(receipt);
  }

  /** Gives up for a reason of the client. @param last what the last attempt came to. */
  giveUp(code: ClientCode, last?: Failure): void {
    const uncertain = this.uncertain;
    if (!this.#end()) return;
    const why = last === undefined ? "" : `; the last attempt: ${failureWords(last)}`;
    const state = uncertain ? "whether it was accepted is unknown" : "nothing was accepted";
    const meaning = CLIENT_CODES[code].meaning.replace(/\.$/, "");
    this.#reject(
      new TidemarkClientError(code, `${meaning} (${this.attempts} attempts, ${state}${why})`, {
        retry: uncertain ? "unknown" : "later",
        ...this.#facts(last),
      }),
    );
  }

  /** Fails with what an attempt came to and cannot be changed by another. */
  fail(failure: Failure): void {
    const uncertain = this.uncertain;
    if (!this.#end()) return;
    const problem = failure.kind === "problem" ? failure.problem : undefined;
    const code =
      problem === undefined
        ? failure.kind === "network"
          ? "TM-CLIENT-NETWORK"
          : "TM-CLIENT-PROTOCOL"
        : (problem.code ?? "TM-CLIENT-HTTP");
    // An earlier attempt may have been accepted although this one was refused, unless the answer names the write itself.
    const decided = problem?.write !== undefined || !uncertain;
    this.#reject(
      new TidemarkClientError(code, failureWords(failure), {
        retry: decided ? (problem?.retry ?? "never") : "unknown",
        ...this.#facts(failure),
      }),
    );
  }

  #facts(last: Failure | undefined): {
    idempotencyKey: string;
    attempts: number;
    problem?: import("./client-error.ts").Problem;
    cause?: unknown;
  } {
    return {
      idempotencyKey: this.idempotencyKey,
      attempts: this.attempts,
      ...(last?.kind === "problem" ? { problem: last.problem } : {}),
      ...(last?.kind === "network" ? { cause: last.cause } : {}),
    };
  }

  #end(): boolean {
    if (this.abandoned) return false;
    this.abandoned = true;
    this.#cleanUp?.();
    return true;
  }
}

/** A failure as people read it. */
export function failureWords(failure: Failure): string {
  switch (failure.kind) {
    case "network":
      return `no answer from the gateway: ${failure.cause instanceof Error ? failure.cause.message : String(failure.cause)}`;
    case "protocol":
      return `an answer that no gateway gives: ${failure.message}`;
    case "problem":
      return failure.problem.detail ?? failure.problem.title ?? `HTTP status ${failure.problem.status}`;
  }
}
