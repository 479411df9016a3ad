import type { Problem } from "./client-error.ts";

/**
 * Whether and when a write is sent again: a pure function of what happened.
 *
 * Safe to repeat is what was surely not accepted (429, 503) and, because the idempotency key stays the same, what may
 * have been accepted (a connection that broke, an answer that makes no sense, a 5xx). A 4xx will not change by itself.
 * Retrying ends at the write's deadline and at the end of the window in which the gateway remembers its key (R15): after
 * that a repeat of an accepted write would be a second write.
 */

/** What an attempt came to, other than a receipt. */
export type Failure =
  /** No answer, or none for this write. `sent`: whether the gateway may have got it. */
  | { readonly kind: "network"; readonly sent: boolean; readonly cause?: unknown }
  /** An answer that is not of a gateway. */
  | { readonly kind: "protocol"; readonly message: string }
  | { readonly kind: "problem"; readonly problem: Problem };

export interface RetryPolicy {
  /** Bound of the wait before the second attempt; doubles with each further one. Milliseconds. */
  readonly firstDelayMs: number;
  /** Bound of every wait. Milliseconds. */
  readonly mostDelayMs: number;
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = { firstDelayMs: 25, mostDelayMs: 2_000 };

/** Where a write stands when an attempt has failed. Times on one monotonic clock, milliseconds. */
export interface Attempt {
  /** Attempts made, this one included: 1 after the first. */
  readonly attempts: number;
  readonly nowMs: number;
  readonly deadlineMs: number;
  /** When the gateway forgets the key, if it has it; Infinity while no attempt may have been accepted. */
  readonly windowEndMs: number;
}

export type RetryDecision =
  | { readonly retry: true; readonly delayMs: number }
  /** `final`: it would fail again. `deadline`, `window`: no time is left. */
  | { readonly retry: false; readonly because: "final" | "deadline" | "window" };

/** What a failure says of the write: surely not accepted, or perhaps. */
export function outcomeOf(failure: Failure): "refused" | "unknown" {
  switch (failure.kind) {
    case "network":
      return failure.sent ? "unknown" : "refused";
    case "protocol":
      return "unknown";
    case "problem": {
      const { retry, status } = failure.problem;
      if (retry !== undefined) return retry === "unknown" ? "unknown" : "refused";
      return status >= 500 && status !== 503 ? "unknown" : "refused";
    }
  }
}

/** Whether sending again may help and cannot harm, time aside. */
export function mayRetry(failure: Failure): boolean {
  if (failure.kind !== "problem") return true;
  const { status, retry } = failure.problem;
  if (status === 429) return true;
  return status >= 500 && retry !== "never";
}

/**
 * Decides on the next attempt. The wait is drawn evenly from zero to the bound ("full jitter"), so that clients which
 * failed together do not come back together; a Retry-After is a lower limit to which the jitter is added.
 * @param fraction drawn from [0, 1).
 */
export function decideRetry(failure: Failure, attempt: Attempt, policy: RetryPolicy, fraction: number): RetryDecision {
  if (!mayRetry(failure)) return { retry: false, because: "final" };
  const boundMs = Math.min(policy.mostDelayMs, policy.firstDelayMs * 2 ** Math.min(attempt.attempts - 1, 30));
  const askedMs = failure.kind === "problem" ? (failure.problem.retryAfterSeconds ?? 0) * 1_000 : 0;
  const delayMs = askedMs + boundMs * fraction;
  const nextMs = attempt.nowMs + delayMs;
  if (nextMs >= attempt.windowEndMs) return { retry: false, because: "window" };
  if (nextMs >= attempt.deadlineMs) return { retry: false, because: "deadline" };
  return { retry: true, delayMs };
}
