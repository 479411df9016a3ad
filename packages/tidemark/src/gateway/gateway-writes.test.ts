import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lines, openTestGateway, order, testConfig, type TestGateway } from "./testing/gateway-fixture.ts";
import { readWritePayload } from "./write-record.ts";

let it: TestGateway;
beforeEach(async () => {
  it = await openTestGateway();
});
afterEach(() => it.gateway.close());

async function records() {
  const { oldest, durable } = it.journal.extent();
  return it.journal.read(oldest, durable, { records: 1_000, bytes: 1e9 });
}

describe("a write", () => {
  test("is answered with 202 and a receipt once it is durable", async () => {
    const { status, json } = await it.post(order({ idempotencyKey: "k1" }));
    expect(status).toBe(202);
    expect(json).toMatchObject({
      id: "w_099a8057_1",
      command: "orders.place",
      journal: it.journal.id,
      sequence: "1",
      durable: [{ machine: "m1" }],
      survives: ["process-loss"],
      guarantee: "fsynced in the journal on one machine",
      keyRememberedWrites: 10_000,
      status: "journalled",
    });
    expect(Date.parse(String(json["keyRememberedUntil"])) - Date.parse(String(json["acceptedAt"]))).toBe(3_600_000);
    const [record] = await records();
    expect(record).toMatchObject({ kind: "write", key: "c1", partition: json["partition"] });
    expect(readWritePayload(record!.payload)).toMatchObject({
      v: 1,
      id: json["frozenId"],
      command: "orders.place",
      args: { customer: "c1", total: 1 },
      idempotencyKey: "k1",
      scope: "test",
    });
  });

  test("is not answered before it is durable (ACK-DURABLE)", async () => {
    it.journal.hold();
    let answered = false;
    const answer = it.post(order()).then((result) => {
      answered = true;
      return result;
    });
    await expect.poll(() => it.journal.waiting).toBe(1);
    expect(answered).toBe(false);
    it.journal.release();
    expect((await answer).status).toBe(202);
  });

  test("takes its partition key from the request before the arguments", async () => {
    await it.post(order({ key: "mine" }));
    expect((await records())[0]?.key).toBe("mine");
  });

  test("keeps SQL in its arguments as data", async () => {
    const customer = "'); DROP TABLE orders; --";
    await it.post(order({ args: { customer, total: 1 } }));
    expect(readWritePayload((await records())[0]!.payload).args).toEqual({ customer, total: 1 });
  });

  test("takes its idempotency key from the header, quoted or bare", async () => {
    const bare = { command: "orders.place", args: { customer: "c1", total: 1 } };
    const first = await it.post(bare, { headers: { "idempotency-key": '"h1"' } });
    const second = await it.post(bare, { headers: { "idempotency-key": "h1" } });
    expect(first.status).toBe(202);
    expect(second.text).toBe(first.text);
  });
});

describe("what is wrong with a write is said by field, and nothing is accepted", () => {
  test.each([
    ["not JSON", "{", 400, "TM-GATEWAY-MALFORMED", undefined],
    ["no UTF-8", Buffer.from([0x22, 0xff, 0x22]), 400, "TM-GATEWAY-MALFORMED", undefined],
    ["no object", "3", 422, "TM-GATEWAY-INVALID", ""],
    ["an unknown member", order({ sql: "DROP" }), 422, "TM-GATEWAY-INVALID", "/sql"],
    ["no command", { args: {}, idempotencyKey: "k" }, 422, "TM-GATEWAY-INVALID", "/command"],
    ["an unknown command", order({ command: "orders.steal" }), 422, "TM-GATEWAY-COMMAND-UNKNOWN", "/command"],
    ["a command named like a prototype's member", order({ command: "__proto__" }), 422, "TM-GATEWAY-COMMAND-UNKNOWN", "/command"],
    ["a wrong type", order({ args: { customer: "c", total: "1" } }), 422, "TM-GATEWAY-INVALID", "/args/total"],
    ["a missing argument", order({ args: { customer: "c" } }), 422, "TM-GATEWAY-INVALID", "/args/total"],
    ["an argument too many", order({ args: { customer: "c", total: 1, "a/b": 1 } }), 422, "TM-GATEWAY-INVALID", "/args/a~1b"],
    ["args that are no object", order({ args: [] }), 422, "TM-GATEWAY-INVALID", "/args"],
    ["no idempotency key", order({ idempotencyKey: undefined }), 422, "TM-GATEWAY-KEY-MISSING", "/idempotencyKey"],
    ["an idempotency key that is too long", order({ idempotencyKey: "k".repeat(256) }), 422, "TM-GATEWAY-INVALID", "/idempotencyKey"],
    ["a partition key that is no text", order({ key: 5 }), 422, "TM-GATEWAY-INVALID", "/key"],
    [
      "U+0000, which PostgreSQL cannot store",
      '{"command":"orders.place","args":{"customer":"a\\u0000","total":1},"idempotencyKey":"k"}',
      400,
      "TM-GATEWAY-MALFORMED",
      undefined,
    ],
    [
      "half of a surrogate pair",
      '{"command":"orders.place","args":{"customer":"a\\ud800","total":1},"idempotencyKey":"k"}',
      400,
      "TM-GATEWAY-MALFORMED",
      undefined,
    ],
    [
      "a number that a double does not hold",
      '{"command":"orders.place","args":{"customer":"a","total":9007199254740993},"idempotencyKey":"k"}',
      400,
      "TM-GATEWAY-MALFORMED",
      undefined,
    ],
    [
      "a number beyond doubles",
      '{"command":"orders.place","args":{"customer":"a","total":1e999},"idempotencyKey":"k"}',
      400,
      "TM-GATEWAY-MALFORMED",
      undefined,
    ],
  ])("%s", async (_, body, status, code, field) => {
    const answer = await it.post(body);
    expect({ status: answer.status, code: answer.json["code"], field: answer.json["field"] }).toEqual({ status, code, field });
    expect(answer.headers["content-type"]).toContain("application/problem+json");
    expect(answer.json).toMatchObject({
      retry: "never",
      hint: expect.any(String),
      title: expect.any(String),
      type: `/docs/errors#${code.toLowerCase()}`,
    });
    expect(answer.text).not.toMatch(/\.ts:\d|node_modules|\\n +at /);
    expect(it.journal.extent().durable).toBe(0n);
  });

  test("long numbers that a double holds exactly are taken", async () => {
    const answer = await it.post('{"command":"orders.place","args":{"customer":"a","total":9007199254740992},"idempotencyKey":"k"}');
    expect(answer.status).toBe(202);
  });

  test("a body that is too large is refused with 413", async () => {
    const answer = await it.post(order({ args: { customer: "c".repeat(1_100_000), total: 1 } }));
    expect(answer).toMatchObject({ status: 413, json: { code: "TM-GATEWAY-TOO-LARGE" } });
  });

  test("a content type that is not JSON is refused with 415", async () => {
    expect(await it.post("a=b", { type: "application/x-www-form-urlencoded" })).toMatchObject({
      status: 415,
      json: { code: "TM-GATEWAY-CONTENT-TYPE" },
    });
  });

  test("no body is malformed", async () => {
    expect(await it.request("POST", "/v1/writes")).toMatchObject({ status: 400, json: { code: "TM-GATEWAY-MALFORMED" } });
  });
});

describe("a batch", () => {
  const ndjson = (...writes: unknown[]) =>
    it.post(writes.map((write) => (typeof write === "string" ? write : JSON.stringify(write))).join("\n"), {
      type: "application/x-ndjson",
    });

  test("is appended at once and answered with a receipt a line, in order", async () => {
    const answer = await ndjson(order(), order(), order());
    expect(answer.status).toBe(202);
    expect(lines(answer).map((line) => line["sequence"])).toEqual(["1", "2", "3"]);
  });

  test("a line that is wrong is that line's problem alone, with its number; blank lines count", async () => {
    const answer = await ndjson(order(), "", "{oops", order({ args: {} }), order());
    expect(answer.status).toBe(207);
    expect(lines(answer)).toMatchObject([
      { sequence: "1" },
      { code: "TM-GATEWAY-MALFORMED", line: 3, status: 400 },
      { code: "TM-GATEWAY-INVALID", line: 4, field: "/args/customer" },
      { sequence: "2" },
    ]);
  });

  test("the same key twice has one record and one receipt (APPLY-ONCE)", async () => {
    const twice = order({ idempotencyKey: "twice" });
    const answer = await ndjson(twice, twice, { ...twice, args: { total: 1, customer: "c1" } });
    const [first, second, third] = lines(answer);
    expect(first).toEqual(second);
    expect(first).toEqual(third);
    expect(it.journal.extent().durable).toBe(1n);
  });

  test("the same key with other content in one batch is a conflict on its line", async () => {
    const answer = await ndjson(order({ idempotencyKey: "k" }), order({ idempotencyKey: "k", args: { customer: "c1", total: 2 } }));
    expect(lines(answer)).toMatchObject([{ sequence: "1" }, { status: 409, code: "TM-GATEWAY-KEY-REUSED", line: 2 }]);
  });

  test("a JSON array is answered with an array", async () => {
    const answer = await it.post([order(), order({ command: "nope" })]);
    expect(answer.status).toBe(207);
    expect(answer.json).toMatchObject([{ sequence: "1" }, { code: "TM-GATEWAY-COMMAND-UNKNOWN", line: 2 }]);
  });

  test.each(["application/x-ndjson", "application/json"])(
    "more writes than the limit are refused with 413 as %s, and none is accepted",
    async (type) => {
      const writes = Array.from({ length: 1_001 }, () => order());
      const answer = await it.post(
        type === "application/json" ? JSON.stringify(writes) : writes.map((one) => JSON.stringify(one)).join("\n"),
        { type },
      );
      expect(answer).toMatchObject({ status: 413, json: { code: "TM-GATEWAY-TOO-LARGE" } });
      expect(it.journal.extent().durable).toBe(0n);
    },
  );

  test.each(["", "\n\n"])("without a write (%j) it is malformed", async (body) => {
    expect((await it.post(body, { type: "application/x-ndjson" })).status).toBe(400);
  });

  test("takes no key from the header", async () => {
    const answer = await it.post([order()], { headers: { "idempotency-key": "k" } });
    expect(answer).toMatchObject({ status: 422, json: { code: "TM-GATEWAY-INVALID" } });
  });
});

describe("idempotency (R15)", () => {
  test("a repeat gets the same receipt, byte for byte, and no second record", async () => {
    const write = order();
    const first = await it.post(write);
    const second = await it.post({ ...write, args: { total: 1, customer: "c1" } });
    expect(second).toMatchObject({ status: 202, text: first.text });
    expect(it.journal.extent().durable).toBe(1n);
  });

  test.each([
    ["args", { args: { customer: "c1", total: 2 } }],
    ["command", { command: "orders.pay" }],
    ["key", { key: "other" }],
  ])("a repeat with another %s is 409", async (_, change) => {
    const write = order();
    await it.post(write);
    expect(await it.post({ ...write, ...change })).toMatchObject({
      status: 409,
      json: { code: "TM-GATEWAY-KEY-REUSED", field: "/idempotencyKey" },
    });
  });

  test("keys of two tokens do not meet", async () => {
    const write = order();
    const first = await it.post(write);
    const second = await it.post(write, { token: "other-token" });
    expect(second.json["sequence"]).not.toBe(first.json["sequence"]);
  });

  test("a duplicate waits for the durability of the original that is in flight", async () => {
    it.journal.hold();
    const write = order();
    const answers = [it.post(write), it.post(write)];
    await expect.poll(() => it.journal.waiting).toBe(1);
    let done = 0;
    for (const answer of answers) void answer.then(() => done++);
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBe(0);
    it.journal.release();
    const [first, second] = await Promise.all(answers);
    expect(second?.text).toBe(first?.text);
    expect(it.journal.extent().durable).toBe(1n);
  });

  test("after a failed fsync the answer is unknown, to the write and to every repeat of it, never refused", async () => {
    it.journal.failNext({ kind: "unknown", lost: true });
    const write = order();
    expect(await it.post(write)).toMatchObject({ status: 500, json: { code: "TM-JOURNAL-UNKNOWN", retry: "unknown" } });
    expect(await it.post(write)).toMatchObject({ status: 500, json: { code: "TM-JOURNAL-UNKNOWN", retry: "unknown" } });
    expect(await it.post(order())).toMatchObject({ status: 503, json: { code: "TM-JOURNAL-STOPPED", retry: "later" } });
    expect(await it.request("GET", "/readyz")).toMatchObject({ status: 503, json: { code: "TM-JOURNAL-STOPPED" } });
  });

  test("a key of a write that a full journal refused is free again", async () => {
    it.journal.failNext({ kind: "full" });
    const write = order();
    const refused = await it.post(write);
    expect(refused).toMatchObject({ status: 503, json: { code: "TM-JOURNAL-FULL", retry: "later" } });
    expect(refused.headers["retry-after"]).toBe("1");
    expect(await it.post(write)).toMatchObject({ status: 202, json: { sequence: "1" } });
  });

  test("keys are known again after a start, from the journal", async () => {
    const write = order();
    const first = await it.post(write);
    // The simulated journal outlives the gateway as a disk would.
    const again = await openTestGateway({ journal: it.journal });
    expect((await again.post(write)).text).toBe(first.text);
    expect(await again.post({ ...write, args: { customer: "c1", total: 3 } })).toMatchObject({ status: 409 });
    await again.gateway.close();
  });
});

describe("pushing back, always before acceptance", () => {
  test("beyond the pending writes it answers 503 with Retry-After", async () => {
    const small = await openTestGateway({
      config: testConfig({ gateway: { limits: { bodyBytes: 1e6, batchWrites: 10, pendingWrites: 1, writesPerSecond: 0 } } }),
    });
    small.journal.hold();
    const first = small.post(order());
    await expect.poll(() => small.journal.waiting).toBe(1);
    const second = await small.post(order());
    expect(second).toMatchObject({ status: 503, json: { code: "TM-GATEWAY-BUSY", retry: "later" } });
    expect(second.headers["retry-after"]).toBe("1");
    small.journal.release();
    expect((await first).status).toBe(202);
    await small.gateway.close();
  });

  test("beyond a token's writes a second it answers 429 with Retry-After; other tokens go on", async () => {
    const slow = await openTestGateway({
      config: testConfig({ gateway: { limits: { bodyBytes: 1e6, batchWrites: 10, pendingWrites: 100, writesPerSecond: 2 } } }),
    });
    expect((await slow.post([order(), order()])).status).toBe(202);
    const third = await slow.post(order());
    expect(third).toMatchObject({ status: 429, json: { code: "TM-GATEWAY-RATE" } });
    expect(Number(third.headers["retry-after"])).toBeGreaterThanOrEqual(1);
    expect((await slow.post(order(), { token: "other-token" })).status).toBe(202);
    await slow.gateway.close();
  });

  test("while it drains it answers 503, finishes what is in hand, and closes the journal", async () => {
    it.journal.hold();
    const inHand = it.post(order());
    await expect.poll(() => it.journal.waiting).toBe(1);
    const closed = it.gateway.close();
    expect(await it.post(order())).toMatchObject({ status: 503, json: { code: "TM-GATEWAY-DRAINING" } });
    expect(await it.request("GET", "/readyz")).toMatchObject({ status: 503 });
    it.journal.release();
    expect((await inHand).status).toBe(202);
    await closed;
    expect(it.journal.status().state).toBe("stopped");
  });
});
