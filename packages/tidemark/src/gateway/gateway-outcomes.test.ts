import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lines, openTestGateway, order, type TestGateway } from "./testing/gateway-fixture.ts";

let it: TestGateway;
beforeEach(async () => {
  it = await openTestGateway();
});
afterEach(() => it.gateway.close());

const WAIT = { headers: { prefer: "wait=5" } };

/** The write that was journalled last, once it is. */
async function journalled(sequence: bigint) {
  await expect.poll(() => it.journal.extent().durable).toBe(sequence);
  const [record] = await it.journal.read(it.journal.extent().durable, it.journal.extent().durable, { records: 1, bytes: 1 });
  if (record === undefined) throw new Error("no record");
  return record;
}

describe("Prefer: wait", () => {
  test("answers 200 with the commit and the rows once it is applied", async () => {
    const answer = it.post(order(), WAIT);
    const record = await journalled(1n);
    it.applier("orders").applied(record.partition, 1n, [{ sequence: "1", rows: [[{ id: 7 }]] }]);
    expect(await answer).toMatchObject({
      status: 200,
      json: {
        sequence: "1",
        status: "applied",
        applied: { lsn: "0/5000", timeline: 1, epoch: 1, at: "2023-11-14T22:13:20.000Z", provisional: false },
        rows: [[{ id: 7 }]],
      },
    });
  });

  test("asks for rows in the record, so that the applier sends them", async () => {
    const answer = it.post(order(), WAIT);
    const record = await journalled(1n);
    expect(JSON.parse(new TextDecoder().decode(record.payload))).toMatchObject({ rows: true });
    it.applier("orders").applied(record.partition, 1n);
    await answer;
  });

  test("answers 202 with the receipt when the time is over", async () => {
    expect(await it.post(order(), { headers: { prefer: "respond-async, wait=0.05" } })).toMatchObject({
      status: 202,
      json: { status: "journalled" },
    });
  });

  test("is not answered by the progress of another partition or store", async () => {
    const answer = it.post(order(), { headers: { prefer: "wait=0.1" } });
    const record = await journalled(1n);
    it.applier("orders").applied((record.partition + 1) % 4, 9n);
    it.applier("ledger").applied(record.partition, 9n);
    expect((await answer).status).toBe(202);
  });

  test.each([
    ["23505", 409],
    ["23514", 422],
  ])(
    "answers a write that the database refuses with %s by %i and the reason, once the verdict is durable (R13)",
    async (sqlstate, status) => {
      const answer = it.post(order(), WAIT);
      const record = await journalled(1n);
      it.journal.hold();
      it.applier("orders").verdict(record.partition, "1", "rejected", { sqlstate, reason: "orders_pkey" });
      let early = false;
      void answer.then(() => (early = true));
      await expect.poll(() => it.journal.waiting).toBe(1);
      expect(early).toBe(false);
      expect((await it.request("GET", "/v1/writes/w_099a8057_1")).json["status"]).toBe("journalled");
      it.journal.release();
      expect(await answer).toMatchObject({
        status,
        json: { code: "TM-GATEWAY-REJECTED", detail: "orders_pkey", write: "w_099a8057_1", retry: "never" },
      });
      await expect.poll(() => it.applier("orders").sent).toContainEqual({ type: "verdict-recorded", request: 1, sequence: "2" });
    },
  );

  test("a repeat with it is told of the outcome that is there already", async () => {
    const write = order();
    await it.post(write);
    const record = await journalled(1n);
    it.applier("orders").applied(record.partition, 0n);
    it.applier("orders").applied(record.partition, 1n);
    expect(await it.post(write, WAIT)).toMatchObject({ status: 200, json: { status: "applied" } });
  });
});

describe("a store that acknowledges once applied", () => {
  const book = (changes = {}) => order({ command: "orders.book", ...changes });

  test("answers 200 when applied, and never 202", async () => {
    const answer = it.post(book());
    const record = await journalled(1n);
    it.applier("ledger").applied(record.partition, 1n);
    expect(await answer).toMatchObject({ status: 200, json: { status: "applied", guarantee: expect.stringContaining("applied") } });
  });

  test("answers 504, outcome unknown, when the time is over; a repeat waits on for the same record", async () => {
    const write = book();
    const late = await it.post(write, { headers: { prefer: "wait=0.05" } });
    expect(late).toMatchObject({ status: 504, json: { code: "TM-GATEWAY-NOT-APPLIED-YET", retry: "unknown", write: "w_099a8057_1" } });
    const repeat = it.post(write);
    it.applier("ledger").applied((await journalled(1n)).partition, 1n);
    expect(await repeat).toMatchObject({ status: 200, json: { sequence: "1" } });
    expect(it.journal.extent().durable).toBe(1n);
  });
});

describe("GET /v1/writes/:id", () => {
  const look = async (id: string) => (await it.request("GET", `/v1/writes/${id}`)).json;

  test("says journalled, then applied with its commit, then journalled again when a failover takes the position back", async () => {
    await it.post(order());
    const { partition } = await journalled(1n);
    expect(await look("w_099a8057_1")).toMatchObject({ status: "journalled", sequence: "1" });
    it.applier("orders").applied(partition, 0n);
    it.applier("orders").applied(partition, 1n);
    expect(await look("w_099a8057_1")).toMatchObject({ status: "applied", applied: { lsn: "0/5000" } });
    it.applier("orders").applied(partition, 0n);
    expect(await look("w_099a8057_1")).toMatchObject({ status: "journalled" });
  });

  test("waits with Prefer: wait until the write is applied, is judged, or the time is over", async () => {
    const waitFor = (id: string, seconds: number) => it.request("GET", `/v1/writes/${id}`, { headers: { prefer: `wait=${seconds}` } });
    await it.post(order());
    const { partition } = await journalled(1n);
    expect((await waitFor("w_099a8057_1", 0.05)).json).toMatchObject({ status: "journalled" });
    const applied = waitFor("w_099a8057_1", 5);
    await expect.poll(async () => (await it.request("GET", "/v1/status")).json["writes"]).toMatchObject({ waiting: 1 });
    it.applier("orders").applied(partition, 0n);
    it.applier("orders").applied(partition, 1n);
    expect((await applied).json).toMatchObject({ status: "applied", applied: { lsn: "0/5000" } });
    await it.post(order());
    const second = await journalled(2n);
    const judged = waitFor("w_099a8057_2", 5);
    await expect.poll(async () => (await it.request("GET", "/v1/status")).json["writes"]).toMatchObject({ waiting: 1 });
    it.applier("orders").verdict(second.partition, "2", "rejected", { sqlstate: "23514", reason: "orders_total" });
    expect((await judged).json).toMatchObject({ status: "rejected", verdict: { reason: "orders_total" } });
  });

  test("does not make up a commit that it was not told (HONEST-NUMBER)", async () => {
    await it.post(order());
    const { partition } = await journalled(1n);
    // Applied while another gateway ran: the first word after this one's start covers it, in a commit that nobody knows.
    const successor = await openTestGateway({ journal: it.journal });
    successor.applier("orders").applied(partition, 1n);
    const before = await successor.request("GET", "/v1/writes/w_099a8057_1");
    expect(before.json).toMatchObject({ status: "applied", applied: { lsn: null, note: expect.any(String) } });
    await successor.post(order());
    successor.applier("orders").applied(partition, 2n);
    const since = await successor.request("GET", "/v1/writes/w_099a8057_2");
    expect(since.json).toMatchObject({ status: "applied", applied: { lsn: "0/5000" } });
    await successor.gateway.close();
  });

  test("knows the commit of the first write of a partition", async () => {
    await it.post(order());
    it.applier("orders").applied((await journalled(1n)).partition, 1n);
    expect(await look("w_099a8057_1")).toMatchObject({ status: "applied", applied: { lsn: "0/5000" } });
  });

  test("says applied and trimmed of what the journal has forgotten", async () => {
    await it.post(order());
    await it.post(order());
    it.journal.markTrimSafe(it.journal.extent().durable);
    it.journal.trim(1n as never);
    expect(await look("w_099a8057_1")).toMatchObject({ id: "w_099a8057_1", status: "applied", trimmed: true });
  });

  test("and so does a repeat of its key, which is remembered longer", async () => {
    const write = order();
    const first = await it.post(write);
    await it.post(order());
    it.journal.markTrimSafe(it.journal.extent().durable);
    it.journal.trim(1n as never);
    const { status, json } = await it.post(write);
    expect(status).toBe(200);
    expect(json).toEqual({ ...first.json, frozenId: null, status: "applied", applied: expect.any(Object) as unknown, trimmed: true });
  });

  test.each(["w_099a8057_2", "w_ffffffff_1", "w_099a8057_0", "w_099a8057_1x", "nonsense"])("answers 404 for %s", async (id) => {
    await it.post(order());
    expect(await it.request("GET", `/v1/writes/${id}`)).toMatchObject({ status: 404, json: { code: "TM-GATEWAY-NOT-FOUND" } });
  });

  test("answers 404 for the sequence of a verdict: it is no write", async () => {
    await it.post(order());
    it.applier("orders").verdict((await journalled(1n)).partition, "1", "rejected");
    await journalled(2n);
    expect(await it.request("GET", "/v1/writes/w_099a8057_2")).toMatchObject({ status: 404 });
  });
});

describe("the applier's process", () => {
  test("hears what to apply to, then the durable frontier, coalesced", async () => {
    const applier = it.applier("orders");
    expect(applier.sent.slice(0, 2)).toMatchObject([
      { type: "begin", store: "orders", journal: it.journal.id, recovered: "0" },
      { type: "durable", upTo: "0" },
    ]);
    await it.post([order(), order(), order()]);
    await expect.poll(() => applier.sent.at(-1)).toEqual({ type: "durable", upTo: "3" });
    expect(applier.sent.length).toBe(3);
  });

  test("is started again when it dies, and hears the frontier and the pause again", async () => {
    await it.post(order());
    await it.request("POST", "/v1/stores/orders/pause");
    const before = it.applier("orders");
    const startedMs = performance.now();
    before.die();
    await expect.poll(() => it.applier("orders"), { interval: 5 }).not.toBe(before);
    expect(performance.now() - startedMs).toBeLessThan(300);
    expect(it.applier("orders").sent).toMatchObject([{ type: "begin" }, { type: "durable", upTo: "1" }, { type: "pause", paused: true }]);
    expect((await it.request("GET", "/v1/status")).json["stores"]).toMatchObject({
      orders: { applier: { restarts: 1, state: "starting" } },
    });
  });

  test("hears where the journal was recovered only if it is the first: later ones find what that one applied", async () => {
    await it.post(order());
    const before = it.applier("orders");
    before.die();
    await expect.poll(() => it.applier("orders"), { interval: 5 }).not.toBe(before);
    expect(it.applier("orders").sent[0]).not.toHaveProperty("recovered");
  });

  test("is not started again before the verdict that it asked for is durable, so that its successor knows it (R13)", async () => {
    await it.post(order());
    const { partition } = await journalled(1n);
    it.journal.hold();
    it.applier("orders").verdict(partition, "1", "rejected");
    await expect.poll(() => it.journal.waiting).toBe(1);
    const [orders, ledger] = [it.applier("orders"), it.applier("ledger")];
    orders.die();
    ledger.die();
    await expect.poll(() => it.applier("ledger"), { interval: 5 }).not.toBe(ledger);
    expect(it.applier("orders")).toBe(orders);
    it.journal.release();
    await expect.poll(() => it.applier("orders"), { interval: 5 }).not.toBe(orders);
    expect(it.applier("orders").sent).toMatchObject([{ type: "begin" }, { type: "durable", upTo: "2" }]);
  });

  test("a verdict that a full journal refused is not tried again for an applier that is gone", async () => {
    await it.post(order());
    const { partition } = await journalled(1n);
    it.journal.failNext({ kind: "full" });
    const before = it.applier("orders");
    before.verdict(partition, "1", "rejected");
    before.die();
    await expect.poll(() => it.applier("orders"), { interval: 5 }).not.toBe(before);
    // The next one has judged otherwise by the time at which the other request would have been tried again.
    it.applier("orders").applied(partition, 1n);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(it.journal.extent().durable).toBe(1n);
  });

  test("a verdict asked for twice is journalled once", async () => {
    await it.post(order());
    const { partition } = await journalled(1n);
    it.applier("orders").verdict(partition, "1", "rejected");
    it.applier("orders").verdict(partition, "1", "rejected");
    await expect
      .poll(() => it.applier("orders").sent.filter((message) => message.type === "verdict-recorded"))
      .toEqual([
        { type: "verdict-recorded", request: 1, sequence: "2" },
        { type: "verdict-recorded", request: 2, sequence: "2" },
      ]);
    expect(it.journal.extent().durable).toBe(2n);
  });

  test("a verdict that a full journal refuses is journalled once there is room", async () => {
    await it.post(order());
    const { partition } = await journalled(1n);
    it.journal.failNext({ kind: "full" });
    it.applier("orders").verdict(partition, "1", "rejected");
    await expect.poll(() => it.applier("orders").sent).toContainEqual({ type: "verdict-recorded", request: 1, sequence: "2" });
  });

  test("the journal may forget what every store has safely, no more (TRIM-SAFE)", async () => {
    await it.post([order(), order(), order()]);
    it.applier("orders").say({ type: "trim-safe", store: "orders", upTo: "3", timeline: 1 });
    expect(it.journal.status().trimSafe).toBe(0n);
    it.applier("ledger").say({ type: "trim-safe", store: "ledger", upTo: "2", timeline: 7 });
    expect(it.journal.status().trimSafe).toBe(2n);
    expect((await it.request("GET", "/v1/status")).json["stores"]).toMatchObject({
      orders: { trimSafe: "3", trimSafeTimeline: 1 },
      ledger: { trimSafe: "2", trimSafeTimeline: 7 },
    });
  });
});

test("many waiters are all answered by one batch, each with its own rows", async () => {
  const answer = it.post(Array.from({ length: 50 }, (_, n) => JSON.stringify(order({ key: `k${n}` }))).join("\n"), {
    type: "application/x-ndjson",
    ...WAIT,
  });
  await journalled(50n);
  for (const partition of [0, 1, 2, 3]) {
    it.applier("orders").applied(
      partition,
      50n,
      Array.from({ length: 50 }, (_, n) => ({ sequence: String(n + 1), rows: [[{ n: n + 1 }]] })),
    );
  }
  const results = lines(await answer);
  expect(results.map((one) => one["rows"])).toEqual(Array.from({ length: 50 }, (_, n) => [[{ n: n + 1 }]]));
});
