import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import type { Answer, Intent } from "../ledger/ledger-entry.ts";
import { decideNext, NO_ATTEMPTS, type AttemptResult } from "./attempt-policy.ts";
import { readResult } from "./http-write-transport.ts";
import { OpenLoop } from "./open-loop.ts";
import { MOST_AMOUNT_CENTS, OrderPlan } from "./order-plan.ts";
import { WriteSender } from "./write-sender.ts";

const receipt = { id: "i", frozenId: "f", journal: "j", partition: 0, sequence: "1" };
const results = fc.oneof(
  fc.constant<AttemptResult>({ kind: "not-sent", reason: "ECONNREFUSED" }),
  fc.constant<AttemptResult>({ kind: "no-answer", reason: "ECONNRESET" }),
  fc.constantFrom(400, 409, 429, 500, 502, 503).map((status): AttemptResult => ({ kind: "error", status, code: "X" })),
);

describe("the attempt policy", () => {
  it("says refused only when no attempt can have been accepted", () => {
    fc.assert(
      fc.property(fc.array(results, { minLength: 1, maxLength: 12 }), (attempts) => {
        let history = NO_ATTEMPTS;
        let ambiguous = false;
        for (const result of attempts) {
          ambiguous ||= result.kind === "no-answer" || (result.kind === "error" && result.status >= 500 && result.status !== 503);
          const decided = decideNext(history, result, { untilDeadlineMs: 60_000, jitter: 0.5 });
          history = decided.history;
          if (decided.next.step === "refused") {
            expect(ambiguous && !(result.kind === "error" && (result.status === 400 || result.status === 409))).toBe(false);
            return;
          }
        }
      }),
    );
  });

  it("repeats until the deadline and then says unanswered", () => {
    const result: AttemptResult = { kind: "no-answer", reason: "ECONNRESET" };
    expect(decideNext(NO_ATTEMPTS, result, { untilDeadlineMs: 1_000, jitter: 0 }).next.step).toBe("retry");
    expect(decideNext(NO_ATTEMPTS, result, { untilDeadlineMs: 5, jitter: 0 }).next).toEqual({ step: "unanswered", reason: "ECONNRESET" });
  });

  it("takes a receipt whatever came before", () => {
    expect(
      decideNext({ attempts: 3, ambiguous: true, lastReason: "x" }, { kind: "receipt", receipt }, { untilDeadlineMs: -1, jitter: 0 }).next,
    ).toEqual({ step: "acknowledged", receipt });
  });

  it("waits longer each time, up to a bound, with jitter, and as long as Retry-After asks", () => {
    const step = (attempts: number, jitter: number, result: AttemptResult = { kind: "no-answer", reason: "x" }): number => {
      const { next } = decideNext({ attempts, ambiguous: true, lastReason: "" }, result, { untilDeadlineMs: 60_000, jitter });
      return next.step === "retry" ? next.afterMs : -1;
    };
    expect([step(0, 0), step(0, 0.999)].map(Math.round)).toEqual([10, 20]);
    expect(step(20, 0.999)).toBeLessThanOrEqual(400);
    expect(step(0, 0, { kind: "error", status: 503, code: "X", retryAfterMs: 2_000 })).toBe(2_000);
  });
});

describe("an answer of the gateway", () => {
  it("is a receipt only when everything that identifies the write is in it", () => {
    expect(readResult(202, JSON.stringify({ ...receipt, sequence: 7, more: true }), undefined)).toEqual({
      kind: "receipt",
      receipt: { ...receipt, sequence: "7" },
    });
    for (const field of ["id", "frozenId", "journal", "partition", "sequence"]) {
      expect(readResult(202, JSON.stringify({ ...receipt, [field]: undefined }), undefined).kind).toBe("no-answer");
    }
    expect(readResult(200, "not json", undefined).kind).toBe("no-answer");
  });

  it("is an error with its code and Retry-After otherwise", () => {
    expect(readResult(503, '{"code":"TM-A-B"}', "2")).toEqual({ kind: "error", status: 503, code: "TM-A-B", retryAfterMs: 2_000 });
    expect(readResult(404, "", undefined)).toEqual({ kind: "error", status: 404, code: "HTTP-404" });
  });
});

describe("the order plan", () => {
  it("is the same for the same seed and another for another", () => {
    const take = (seed: number): unknown[] => {
      const plan = new OrderPlan({ seed, run: "r", reuseKeys: true });
      return Array.from({ length: 500 }, () => plan.next());
    };
    expect(take(7)).toEqual(take(7));
    expect(take(7)).not.toEqual(take(8));
  });

  it("holds every purpose, and repeats say exactly what their original said", () => {
    const plan = new OrderPlan({ seed: 1, run: "r", reuseKeys: true });
    const writes = Array.from({ length: 5_000 }, () => plan.next());
    expect(new Set(writes.map((write) => write.purpose))).toEqual(new Set(["order", "breaks-constraint", "repeat", "conflict", "invalid"]));
    for (const write of writes) {
      const original = write.originalOf === undefined ? undefined : writes[write.originalOf];
      if (write.purpose === "repeat")
        expect({ ...write, n: 0, purpose: "order", originalOf: undefined }).toEqual({ ...original, n: 0, originalOf: undefined });
      if (write.purpose === "conflict")
        expect([write.idempotencyKey, write.amountCents === original?.amountCents]).toEqual([original?.idempotencyKey, false]);
      if (write.purpose === "order") expect(write.amountCents > 0 && write.amountCents <= MOST_AMOUNT_CENTS).toBe(true);
      if (write.purpose === "breaks-constraint") expect(write.amountCents).toBeGreaterThan(MOST_AMOUNT_CENTS);
    }
  });

  it("uses each key once when told to", () => {
    const plan = new OrderPlan({ seed: 1, run: "r", reuseKeys: false });
    const keys = Array.from({ length: 3_000 }, () => plan.next().idempotencyKey);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("the open loop", () => {
  function loop(
    send: (intent: Intent) => Promise<Answer>,
    options: { ratePerSecond: number; mostInFlight: number },
  ): { clock: ManualClock; loop: OpenLoop; intents: Intent[]; answers: Answer[] } {
    const clock = new ManualClock();
    const [intents, answers]: [Intent[], Answer[]] = [[], []];
    const ledger = {
      intend: (more: readonly Intent[]) => void intents.push(...more),
      record: (answer: Answer) => Promise.resolve(void answers.push(answer)),
    };
    const failed = (error: unknown): void => {
      throw error;
    };
    return {
      clock,
      intents,
      answers,
      loop: new OpenLoop({ clock, plan: new OrderPlan({ seed: 3, run: "r", reuseKeys: true }), ledger, send, failed }, options),
    };
  }
  const acknowledged = (intent: Intent, atMs: number): Answer => ({
    n: intent.n,
    kind: "acknowledged",
    receipt,
    atMs,
    latencyMs: atMs - intent.scheduledAtMs,
    attempts: 1,
  });

  it("keeps its schedule while nothing is answered, and records what it could not send", async () => {
    const one = loop(() => new Promise(() => undefined), { ratePerSecond: 100, mostInFlight: 50 });
    one.loop.start();
    await one.clock.advance(992);
    expect(one.loop.counts).toMatchObject({ scheduled: 100, inFlight: 50, unsent: 50, acknowledged: 0 });
    expect(one.intents).toHaveLength(100);
  });

  it("counts latency from the scheduled time when the process itself was held up", async () => {
    const one = loop((intent) => Promise.resolve(acknowledged(intent, one.clock.wallMs())), { ratePerSecond: 1_000, mostInFlight: 5_000 });
    one.loop.start();
    await one.clock.advance(500);
    const last = one.answers.at(-1);
    expect(last?.kind === "acknowledged" && last.latencyMs >= 0).toBe(true);
    expect(one.intents.every((intent, index) => Math.abs(intent.scheduledAtMs - 1_700_000_000_000 - index) < 1e-6)).toBe(true);
  });

  it("ends when what is in flight was answered", async () => {
    const answer: (() => void)[] = [];
    const one = loop((intent) => new Promise((resolve) => answer.push(() => resolve(acknowledged(intent, 0)))), {
      ratePerSecond: 100,
      mostInFlight: 1_000,
    });
    one.loop.start();
    await one.clock.advance(100);
    let ended = false;
    const end = one.loop.stop().then(() => (ended = true));
    await one.clock.advance(100);
    expect(ended).toBe(false);
    const sent = answer.length;
    for (const give of answer) give();
    await end;
    expect(one.loop.counts).toMatchObject({ inFlight: 0, scheduled: sent, acknowledged: sent });
  });

  it("sends other content under a key only when the original was acknowledged", async () => {
    const one = loop(() => new Promise(() => undefined), { ratePerSecond: 2_000, mostInFlight: 100_000 });
    one.loop.start();
    await one.clock.advance(2_000);
    expect(one.intents.some((intent) => intent.purpose === "conflict")).toBe(false);
    const byOrder = Map.groupBy(one.intents, (intent) => intent.order);
    for (const intents of byOrder.values()) expect(new Set(intents.map((intent) => intent.amountCents)).size).toBe(1);
  });
});

describe("the sender", () => {
  it("repeats with the same write until it has the receipt", async () => {
    const clock = new ManualClock();
    const seen: Intent[] = [];
    const answers: AttemptResult[] = [
      { kind: "not-sent", reason: "ECONNREFUSED" },
      { kind: "no-answer", reason: "ECONNRESET" },
      { kind: "error", status: 503, code: "X" },
      { kind: "receipt", receipt },
    ];
    const transport = {
      attempt: (intent: Intent): Promise<AttemptResult> => {
        seen.push(intent);
        return Promise.resolve(answers[seen.length - 1] ?? { kind: "not-sent", reason: "?" });
      },
    };
    const sender = new WriteSender({ clock, random: seededRandom(1), transport }, { attemptMs: 1_000, deadlineMs: 10_000 });
    const write: Intent = {
      n: 0,
      purpose: "order",
      order: "o",
      customer: "c",
      amountCents: 1,
      idempotencyKey: "k",
      scheduledAtMs: clock.wallMs(),
    };
    const sent = sender.send(write);
    for (let i = 0; i < 50; i++) await clock.advance(100);
    expect(await sent).toMatchObject({ kind: "acknowledged", attempts: 4, receipt });
    expect(seen.every((intent) => intent === write)).toBe(true);
  });
});
