import { describe, expect, test } from "vitest";
import { decideRetry, DEFAULT_RETRY_POLICY, mayRetry, outcomeOf, type Attempt, type Failure } from "./retry-policy.ts";

const fresh: Attempt = { attempts: 1, nowMs: 1_000, deadlineMs: 60_000, windowEndMs: Infinity };
const problem = (status: number, facts: object = {}): Failure => ({ kind: "problem", problem: { status, ...facts } });
const garbage: Failure = { kind: "protocol", message: "x" };
const network = (sent: boolean): Failure => ({ kind: "network", sent });

describe("what a failure means", () => {
  test.each([
    [network(false), "refused", true],
    [network(true), "unknown", true],
    [garbage, "unknown", true],
    [problem(429, { retry: "later" }), "refused", true],
    [problem(429), "refused", true],
    [problem(503, { retry: "later" }), "refused", true],
    [problem(503), "refused", true],
    [problem(503, { retry: "unknown" }), "unknown", true],
    [problem(503, { retry: "never" }), "refused", false],
    [problem(500, { retry: "unknown" }), "unknown", true],
    [problem(500), "unknown", true],
    [problem(502), "unknown", true],
    [problem(504, { retry: "unknown" }), "unknown", true],
    [problem(400, { retry: "never" }), "refused", false],
    [problem(401), "refused", false],
    [problem(403), "refused", false],
    [problem(404), "refused", false],
    [problem(408), "refused", false],
    [problem(409, { retry: "unknown" }), "unknown", false],
    [problem(413), "refused", false],
    [problem(422, { retry: "later" }), "refused", false],
  ] as const)("%j is %s, and repeated: %s", (failure, outcome, again) => {
    expect(outcomeOf(failure)).toBe(outcome);
    expect(mayRetry(failure)).toBe(again);
    expect(decideRetry(failure, fresh, DEFAULT_RETRY_POLICY, 0.5).retry).toBe(again);
  });
});

test("the bound of the wait doubles up to its limit, and the wait is drawn evenly below it", () => {
  const delay = (attempts: number, fraction: number): number => {
    const decision = decideRetry(network(true), { ...fresh, attempts }, { firstDelayMs: 10, mostDelayMs: 100 }, fraction);
    return decision.retry ? decision.delayMs : Number.NaN;
  };
  expect([1, 2, 3, 4, 5, 50, 5_000].map((attempts) => delay(attempts, 1))).toEqual([10, 20, 40, 80, 100, 100, 100]);
  expect([0, 0.25, 0.5].map((fraction) => delay(3, fraction))).toEqual([0, 10, 20]);
});

test("Retry-After is a lower limit to which the jitter is added", () => {
  const failure = problem(503, { retryAfterSeconds: 2 });
  expect(decideRetry(failure, fresh, { firstDelayMs: 10, mostDelayMs: 100 }, 0)).toEqual({ retry: true, delayMs: 2_000 });
  expect(decideRetry(failure, fresh, { firstDelayMs: 10, mostDelayMs: 100 }, 0.5)).toEqual({ retry: true, delayMs: 2_005 });
});

test("no attempt is made that would come after the deadline, or after the end of the key's window", () => {
  expect(decideRetry(network(true), { ...fresh, deadlineMs: 1_010 }, { firstDelayMs: 100, mostDelayMs: 100 }, 0.5)).toEqual({
    retry: false,
    because: "deadline",
  });
  expect(decideRetry(network(true), { ...fresh, windowEndMs: 1_010 }, { firstDelayMs: 100, mostDelayMs: 100 }, 0.5)).toEqual({
    retry: false,
    because: "window",
  });
  expect(decideRetry(network(true), { ...fresh, windowEndMs: 1_010 }, { firstDelayMs: 100, mostDelayMs: 100 }, 0.05).retry).toBe(true);
});
