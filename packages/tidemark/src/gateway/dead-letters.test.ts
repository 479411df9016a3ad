import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JournalRecord } from "../journal/journal.ts";
import { openTestGateway, order, READ_TOKEN, type TestGateway } from "./testing/gateway-fixture.ts";
import { readVerdictPayload, readWritePayload } from "./write-record.ts";

let it: TestGateway;
beforeEach(async () => {
  it = await openTestGateway();
});
afterEach(() => it.gateway.close());

const id = (sequence: number): string => `w_099a8057_${sequence}`;

async function records(): Promise<JournalRecord[]> {
  const { oldest, durable } = it.journal.extent();
  return it.journal.read(oldest, durable, { records: 1_000, bytes: 1e9 });
}

/** The journal in short: `w1` a write, `w5>1` a replay of 1, `rejected 1`. */
async function story(): Promise<string[]> {
  return (await records()).map((record) => {
    if (record.kind === "verdict") {
      const { verdict, sequence, replayedAs } = readVerdictPayload(record);
      return `${verdict} ${sequence}${replayedAs === undefined ? "" : ` as ${replayedAs}`}`;
    }
    const { replayOf } = readWritePayload(record.payload);
    return `w${record.sequence}${replayOf === undefined ? "" : `>${replayOf}`}`;
  });
}

async function judged(sequence: number, verdict: "rejected" | "parked"): Promise<void> {
  const record = (await records())[sequence - 1];
  if (record === undefined) throw new Error("no such write");
  const known = it.journal.extent().durable;
  it.applier("orders").verdict(record.partition, String(sequence), verdict, { sqlstate: "23505" });
  await expect.poll(() => it.journal.extent().durable > known).toBe(true);
  await expect.poll(async () => (await it.request("GET", `/v1/writes/${id(sequence)}`)).json["status"]).not.toBe("journalled");
}

const pay = (changes = {}) => order({ command: "orders.pay", ...changes });

describe("a write that the database refused", () => {
  beforeEach(async () => {
    await it.post(order({ idempotencyKey: "k" }));
    await judged(1, "rejected");
  });

  test("is listed with its content and the reason", async () => {
    const page = await it.request("GET", "/v1/dead-letters");
    expect(page.json).toMatchObject({
      items: [
        {
          id: id(1),
          status: "rejected",
          command: "orders.place",
          store: "orders",
          key: "c1",
          args: { customer: "c1", total: 1 },
          verdict: { reason: "duplicate key", sqlstate: "23505", by: "applier" },
        },
      ],
      next: null,
    });
    expect((await it.request("GET", `/v1/writes/${id(1)}`)).json).toMatchObject({ status: "rejected", deadLetter: true });
  });

  test("is replayed as a new record with the same frozen id and key, kept in the audit log", async () => {
    const answer = await it.request("POST", `/v1/dead-letters/${id(1)}/replay`, { body: { reason: "customer made" } });
    expect(answer).toMatchObject({ status: 202, json: { replayedAs: id(3), released: [] } });
    expect(await story()).toEqual(["w1", "rejected 1", "w3>1", "replayed 1 as 3"]);
    const [first, , third] = await records();
    const before = readWritePayload(first!.payload);
    expect(readWritePayload(third!.payload)).toEqual({ ...before, replayOf: "1" });
    expect(it.audit).toMatchObject([{ who: "token:test", action: "replay-write", subject: id(1), reason: "customer made" }]);
    expect((await it.request("GET", `/v1/writes/${id(1)}`)).json).toMatchObject({
      status: "replayed",
      replayedAs: id(3),
      deadLetter: false,
    });
    expect((await it.request("GET", "/v1/dead-letters")).json).toEqual({ items: [], next: null });
  });

  test("is answered, to a repeat that waits, with what came out of its replay", async () => {
    await it.request("POST", `/v1/dead-letters/${id(1)}/replay`);
    const repeat = it.post(order({ idempotencyKey: "k" }), { headers: { prefer: "wait=5" } });
    it.applier("orders").applied((await records())[2]?.partition ?? 0, 2n);
    it.applier("orders").applied((await records())[2]?.partition ?? 0, 3n);
    expect(await repeat).toMatchObject({ status: 200, json: { id: id(1), status: "applied" } });
  });

  test("is discarded with a reason, which the audit log has before the verdict", async () => {
    expect(await it.request("POST", `/v1/dead-letters/${id(1)}/discard`, { body: {} })).toMatchObject({
      status: 422,
      json: { field: "/reason" },
    });
    expect(await it.request("POST", `/v1/dead-letters/${id(1)}/discard`, { body: { reason: "a test order" } })).toMatchObject({
      status: 200,
      json: { released: [] },
    });
    expect(await story()).toEqual(["w1", "rejected 1", "discarded 1"]);
    expect(it.audit).toMatchObject([{ action: "discard-write", reason: "a test order" }]);
    expect((await it.request("GET", `/v1/writes/${id(1)}`)).json).toMatchObject({
      status: "discarded",
      verdict: { reason: "a test order", by: "token:test" },
    });
  });

  test("is dealt with once", async () => {
    await it.request("POST", `/v1/dead-letters/${id(1)}/discard`, { body: { reason: "r" } });
    expect(await it.request("POST", `/v1/dead-letters/${id(1)}/replay`)).toMatchObject({
      status: 409,
      json: { code: "TM-GATEWAY-NOT-A-DEAD-LETTER" },
    });
  });

  test("two attempts at the same time make one replay", async () => {
    const answers = await Promise.all([1, 2].map(() => it.request("POST", `/v1/dead-letters/${id(1)}/replay`)));
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([202, 409]);
    expect((await story()).filter((line) => line.includes(">1"))).toHaveLength(1);
  });

  test("is out of reach without the scope operate", async () => {
    expect(await it.request("POST", `/v1/dead-letters/${id(1)}/replay`, { token: READ_TOKEN })).toMatchObject({
      status: 403,
      json: { code: "TM-GATEWAY-FORBIDDEN" },
    });
  });

  test("is known again after a start, and a repeat of its key still gets its receipt", async () => {
    await it.request("POST", `/v1/dead-letters/${id(1)}/replay`);
    await it.post(order());
    await judged(5, "rejected");
    const again = await openTestGateway({ journal: it.journal });
    expect((await again.request("GET", "/v1/dead-letters")).json).toMatchObject({ items: [{ id: id(5) }] });
    expect((await again.post(order({ idempotencyKey: "k" }))).json["id"]).toBe(id(1));
    expect((await again.request("GET", `/v1/writes/${id(1)}`)).json).toMatchObject({ status: "replayed" });
    await again.gateway.close();
  });
});

test("dead letters come in pages", async () => {
  for (let n = 1; n <= 3; n++) await it.post(order());
  for (let n = 1; n <= 3; n++) await judged(n, "rejected");
  const first = await it.request("GET", "/v1/dead-letters?limit=2");
  expect(first.json).toMatchObject({ items: [{ id: id(1) }, { id: id(2) }], next: id(2) });
  expect((await it.request("GET", `/v1/dead-letters?limit=2&after=${id(2)}`)).json).toMatchObject({ items: [{ id: id(3) }], next: null });
  expect(await it.request("GET", "/v1/dead-letters?limit=0")).toMatchObject({ status: 422 });
});

describe("stop-key: what waits behind a refused write", () => {
  beforeEach(async () => {
    for (let n = 1; n <= 3; n++) await it.post(pay());
    await judged(1, "rejected");
    await judged(2, "parked");
    await judged(3, "parked");
  });

  test("follows its replay, in the order of the key, in one append", async () => {
    const answer = await it.request("POST", `/v1/dead-letters/${id(1)}/replay`);
    expect(answer.json).toEqual({ replayedAs: id(7), released: [id(8), id(9)] });
    expect((await story()).slice(6)).toEqual(["w7>1", "w8>2", "w9>3", "replayed 1 as 7", "replayed 2 as 8", "replayed 3 as 9"]);
  });

  test("follows its discard too", async () => {
    const answer = await it.request("POST", `/v1/dead-letters/${id(1)}/discard`, { body: { reason: "r" } });
    expect(answer.json).toEqual({ released: [id(8), id(9)] });
    expect((await story()).slice(6)).toEqual(["discarded 1", "w8>2", "w9>3", "replayed 2 as 8", "replayed 3 as 9"]);
  });

  test("cannot be replayed before it", async () => {
    expect(await it.request("POST", `/v1/dead-letters/${id(2)}/replay`)).toMatchObject({
      status: 409,
      json: { detail: `${id(2)} waits behind ${id(1)}; replay or discard that one` },
    });
  });

  test("is followed at once by a write that was journalled meanwhile and parked later", async () => {
    await it.post(pay());
    await it.request("POST", `/v1/dead-letters/${id(1)}/replay`);
    await judged(7, "parked");
    await expect.poll(story).toContainEqual("w15>7");
  });

  test("is followed by a write whose parking was journalled while the replay was", async () => {
    await it.post(pay());
    it.journal.hold();
    const replay = it.request("POST", `/v1/dead-letters/${id(1)}/replay`);
    await expect.poll(() => it.journal.waiting).toBe(1);
    it.applier("orders").verdict((await records())[6]?.partition ?? 0, "7", "parked");
    await expect.poll(() => it.journal.waiting).toBe(2);
    it.journal.release();
    await replay;
    await expect.poll(story).toContainEqual("w15>7");
  });

  test("waits on when the replay is refused again", async () => {
    await it.request("POST", `/v1/dead-letters/${id(1)}/replay`);
    await judged(7, "rejected");
    await judged(8, "parked");
    await judged(9, "parked");
    expect((await it.request("GET", "/v1/dead-letters")).json["items"]).toMatchObject([
      { id: id(7), replayOf: id(1) },
      { id: id(8) },
      { id: id(9) },
    ]);
    expect((await it.request("POST", `/v1/dead-letters/${id(7)}/replay`)).json).toEqual({ replayedAs: id(16), released: [id(17), id(18)] });
  });

  test("a gateway that ended between a replay and its verdict mends it at the next start", async () => {
    const first = (await records())[0];
    const payload = new TextEncoder().encode(JSON.stringify({ ...readWritePayload(first!.payload), replayOf: "1" }));
    await it.journal.append([{ kind: "write", key: first!.key, acceptedAtMs: 1, payload }]);
    const again = await openTestGateway({ journal: it.journal });
    // The stopper's verdict is mended, and what waited behind it follows.
    expect((await story()).slice(6)).toEqual(["w7>1", "replayed 1 as 7", "w9>2", "w10>3", "replayed 2 as 9", "replayed 3 as 10"]);
    await again.gateway.close();
  });
});

describe("reapply after a restore (R17)", () => {
  test("journals the exceptions as discarded before the applier is told", async () => {
    await it.post([order(), order()]);
    const answer = await it.request("POST", "/v1/stores/orders/reapply", { body: { reason: "wrong DELETE", except: [id(2)] } });
    expect(answer.status).toBe(202);
    expect(await story()).toEqual(["w1", "w2", "discarded 2"]);
    expect(it.applier("orders").sent.at(-1)).toEqual({ type: "reapply", except: ["2"], by: "token:test", reason: "wrong DELETE" });
    expect(it.audit).toMatchObject([{ action: "reapply-store", subject: "orders", facts: { except: [id(2)] } }]);
  });

  test.each([
    ["no reason", "orders", {}, 422],
    ["an unknown store", "nope", { reason: "r" }, 404],
    ["an unknown write", "orders", { reason: "r", except: ["w_099a8057_99"] }, 404],
    ["no list", "orders", { reason: "r", except: "all" }, 422],
  ])("with %s it is refused and nothing is told", async (_, store, body, status) => {
    expect((await it.request("POST", `/v1/stores/${store}/reapply`, { body })).status).toBe(status);
    expect(it.applier("orders").sent.some((message) => message.type === "reapply")).toBe(false);
  });
});
