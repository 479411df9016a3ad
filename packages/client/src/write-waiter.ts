import type { ClientWorld } from "./client-world.ts";
import { TidemarkClientError, type Problem } from "./client-error.ts";
import { failureWords } from "./pending-write.ts";
import { decideRetry, mayRetry, type Failure, type RetryPolicy } from "./retry-policy.ts";
import type { Transport } from "./transport.ts";
import { isSuccess, problemOfAnswer } from "./write-answer.ts";
import { judgeStatus, type WriteStatus } from "./write-status.ts";

/** Longest wait that one request asks the gateway for. Proxies close what is silent for longer. */
const MOST_WAIT_SECONDS = 20;
/** Time for an answer beyond the wait that was asked for. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Pause between two looks when the gateway answers at once instead of waiting. */
const LOOK_AGAIN: RetryPolicy = { firstDelayMs: 20, mostDelayMs: 500 };

/** Asks what became of writes, and waits for their application. */
export class WriteWaiter {
  readonly #transport: Transport;
  readonly #world: ClientWorld;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #retry: RetryPolicy;
  readonly #waiting = new Map<string, { untilMs: number; status: Promise<WriteStatus> }>();

  constructor(parts: { transport: Transport; world: ClientWorld; headers: Readonly<Record<string, string>>; retry: RetryPolicy }) {
    this.#transport = parts.transport;
    this.#world = parts.world;
    this.#headers = parts.headers;
    this.#retry = parts.retry;
  }

  /** The write's status now. Repeats on trouble of the network and 503 until `timeoutMs` has passed. */
  async get(id: string, timeoutMs: number): Promise<WriteStatus> {
    const deadlineMs = this.#world.monotonicMs() + timeoutMs;
    for (let attempts = 1; ; attempts++) {
      const seen = await this.#look(id, { waitSeconds: 0, timeoutMs: Math.max(1, deadlineMs - this.#world.monotonicMs()) });
      if ("status" in seen) return seen.status;
      await this.#pause(id, seen.failure, { attempts, deadlineMs });
    }
  }

  /** Resolves once the write is applied; rejects with TM-CLIENT-NOT-APPLIED when it never will be, or not in time. */
  applied(id: string, timeoutMs: number): Promise<WriteStatus> {
    const deadlineMs = this.#world.monotonicMs() + timeoutMs;
    const same = this.#waiting.get(id);
    if (same !== undefined && same.untilMs >= deadlineMs) return same.status;
    const status = this.#waitFor(id, timeoutMs, deadlineMs).finally(() => {
      if (this.#waiting.get(id)?.status === status) this.#waiting.delete(id);
    });
    this.#waiting.set(id, { untilMs: deadlineMs, status });
    return status;
  }

  async #waitFor(id: string, timeoutMs: number, deadlineMs: number): Promise<WriteStatus> {
    let failures = 0;
    for (let looks = 1; ; looks++) {
      const askedMs = this.#world.monotonicMs();
      const leftMs = Math.max(0, deadlineMs - askedMs);
      const waitSeconds = Math.min(MOST_WAIT_SECONDS, Math.ceil(leftMs / 1_000));
      const seen = await this.#look(id, { waitSeconds, timeoutMs: Math.min(leftMs, MOST_WAIT_SECONDS * 1_000) + ANSWER_TIMEOUT_MS });
      if ("failure" in seen) {
        await this.#pause(id, seen.failure, { attempts: ++failures, deadlineMs });
        continue;
      }
      failures = 0;
      const verdict = judgeStatus(seen.status);
      if (verdict instanceof TidemarkClientError) throw verdict;
      if (verdict === "applied") return seen.status;
      const nowMs = this.#world.monotonicMs();
      if (nowMs >= deadlineMs) throw notInTime(id, timeoutMs);
      // A gateway that waited for us is asked again at once; one that did not must not be asked in a tight loop.
      const boundMs = Math.min(LOOK_AGAIN.mostDelayMs, LOOK_AGAIN.firstDelayMs * 2 ** Math.min(looks - 1, 10));
      const waited = nowMs - askedMs >= boundMs;
      if (!waited) await this.#sleep(Math.min(boundMs * (0.5 + this.#world.fraction() / 2), deadlineMs - nowMs));
    }
  }

  async #look(id: string, options: { waitSeconds: number; timeoutMs: number }): Promise<{ status: WriteStatus } | { failure: Failure }> {
    const prefer = options.waitSeconds > 0 ? { prefer: `wait=${options.waitSeconds}` } : {};
    const headers = { ...this.#headers, ...prefer };
    const answer = await this.#transport.send({
      method: "GET",
      path: `/v1/writes/${encodeURIComponent(id)}`,
      headers,
      timeoutMs: options.timeoutMs,
    });
    if (answer.kind === "broken") return { failure: { kind: "network", sent: answer.sent, cause: answer.cause } };
    if (!isSuccess(answer.status)) return { failure: problemOfAnswer(answer) };
    try {
      const status = JSON.parse(answer.body) as WriteStatus;
      if (status.id === id && typeof status.status === "string") return { status };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
    return { failure: { kind: "protocol", message: JSON.stringify(answer.body.slice(0, 80)) } };
  }

  /** Waits before another look, or throws what makes another one useless. Looking changes nothing, so it may always be repeated. */
  async #pause(id: string, failure: Failure, attempt: { attempts: number; deadlineMs: number }): Promise<void> {
    const nowMs = this.#world.monotonicMs();
    const decision = decideRetry(failure, { ...attempt, nowMs, windowEndMs: Infinity }, this.#retry, this.#world.fraction());
    if (decision.retry) return this.#sleep(decision.delayMs);
    const problem: Problem | undefined = failure.kind === "problem" ? failure.problem : undefined;
    const code =
      problem === undefined
        ? failure.kind === "network"
          ? "TM-CLIENT-NETWORK"
          : "TM-CLIENT-PROTOCOL"
        : (problem.code ?? "TM-CLIENT-HTTP");
    throw new TidemarkClientError(code, `asking for the write ${id}: ${failureWords(failure)}`, {
      retry: mayRetry(failure) ? "later" : "never",
      attempts: attempt.attempts,
      ...(problem === undefined ? {} : { problem }),
      ...(failure.kind === "network" ? { cause: failure.cause } : {}),
    });
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#world.setTimer(delayMs, resolve);
    });
  }
}

function notInTime(id: string, timeoutMs: number): TidemarkClientError {
  return new TidemarkClientError("TM-CLIENT-NOT-APPLIED", `the write ${id} was acknowledged and is not applied after ${timeoutMs} ms`, {
    retry: "later",
  });
}
