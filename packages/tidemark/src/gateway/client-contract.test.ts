// The SDK and the gateway, each as it is: what one sends and the other answers.
import { TidemarkClient, TidemarkClientError, type ClientOptions } from "@tidemark/client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openTestGateway, testConfig, TEST_TOKEN, type TestGateway } from "./testing/gateway-fixture.ts";
import { readWritePayload } from "./write-record.ts";

let it: TestGateway;
let url: string;
const clients: TidemarkClient[] = [];

async function open(options: Parameters<typeof openTestGateway>[0] = {}): Promise<void> {
  it = await openTestGateway(options);
  url = await it.gateway.app.listen({ host: "127.0.0.1", port: 0 });
}

function connect(options: Partial<ClientOptions> = {}): TidemarkClient {
  const client = new TidemarkClient({ url, token: TEST_TOKEN, timeoutMs: 5_000, ...options });
  clients.push(client);
  return client;
}

async function failure(promise: Promise<unknown>): Promise<TidemarkClientError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TidemarkClientError);
  return error as TidemarkClientError;
}

beforeEach(() => open());
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close({ timeoutMs: 1 })));
  await it.gateway.close();
});

describe("the SDK at a gateway", () => {
  test("gets receipts for writes of one batch, in the order of the journal", async () => {
    const client = connect();
    const receipts = await Promise.all([1, 2, 3].map((total) => client.write("orders.place", { customer: "c1", total }, { key: "k" })));
    expect(receipts.map(({ sequence }) => sequence)).toEqual(["1", "2", "3"]);
    expect(receipts[0]).toMatchObject({
      id: "w_099a8057_1",
      durable: [{ machine: "m1" }],
      survives: ["process-loss"],
      guarantee: "fsynced in the journal on one machine",
    });
    expect(Date.parse(receipts[0]?.keyRememberedUntil ?? "")).toBeGreaterThan(Date.now());
    const { oldest, durable } = it.journal.extent();
    const records = await it.journal.read(oldest, durable, { records: 10, bytes: 1e6 });
    expect(records.map(({ key, payload }) => [key, readWritePayload(payload).args["total"]])).toEqual([
      ["k", 1],
      ["k", 2],
      ["k", 3],
    ]);
  });

  test("has one write for a repeat, and a refusal for other content under the same key", async () => {
    const client = connect();
    const first = await client.write("orders.place", { customer: "c1", total: 1 }, { idempotencyKey: "once" });
    const again = await client.write("orders.place", { customer: "c1", total: 1 }, { idempotencyKey: "once" });
    expect(again.sequence).toBe(first.sequence);
    const error = await failure(client.write("orders.place", { customer: "c1", total: 2 }, { idempotencyKey: "once" }));
    expect([error.code, error.retry]).toEqual(["TM-GATEWAY-KEY-REUSED", "never"]);
  });

  test("hears of a bad write alone, by field; the others of its batch are accepted", async () => {
    const client = connect();
    const [good, bad, unknown] = await Promise.allSettled([
      client.write("orders.place", { customer: "c1", total: 1 }),
      client.write("orders.place", { customer: "c1", total: "1" }),
      client.write("orders.steal", {}),
    ]);
    expect(good.status).toBe("fulfilled");
    expect(bad).toMatchObject({ reason: { code: "TM-GATEWAY-INVALID", retry: "never", problem: { field: "/args/total", status: 422 } } });
    expect(unknown).toMatchObject({ reason: { code: "TM-GATEWAY-COMMAND-UNKNOWN" } });
  });

  test("waits for the application, and hears of a write that the database refuses", async () => {
    const client = connect();
    const [one, two] = [
      await client.write("orders.place", { customer: "c1", total: 1 }),
      await client.write("orders.place", { customer: "c1", total: 2 }),
    ];
    const applied = one.applied({ timeout: 5_000 });
    const refused = failure(two.applied({ timeout: 5_000 }));
    await expect.poll(async () => (await it.request("GET", "/v1/status")).json["writes"]).toMatchObject({ waiting: 2 });
    it.applier("orders").applied(one.partition, 0n);
    it.applier("orders").applied(one.partition, 1n);
    it.applier("orders").verdict(two.partition, "2", "rejected", { sqlstate: "23514", reason: "orders_total" });
    expect(await applied).toMatchObject({ status: "applied", applied: { lsn: "0/5000", provisional: false } });
    expect(await refused).toMatchObject({ code: "TM-CLIENT-NOT-APPLIED", retry: "never" });
    expect((await client.writes.get(two.id)).status).toBe("rejected");
  });

  test("is refused without a good token, and is told when it asks for what is not there", async () => {
    expect((await failure(connect({ token: "wrong" }).write("orders.place", { customer: "c", total: 1 }))).code).toBe(
      "TM-GATEWAY-UNAUTHORIZED",
    );
    expect((await failure(connect().writes.get("w_none"))).code).toBe("TM-GATEWAY-NOT-FOUND");
  });

  test("finds the gateway's limits by itself: batches shrink, pending writes and rates are waited for", async () => {
    await it.gateway.close();
    const config = testConfig();
    await open({
      config: { ...config, gateway: { ...config.gateway, limits: { ...config.gateway.limits, batchWrites: 7, pendingWrites: 20 } } },
    });
    const client = connect();
    const receipts = await Promise.all(
      Array.from({ length: 100 }, (_, total) => client.write("orders.place", { customer: `c${total}`, total })),
    );
    expect(new Set(receipts.map(({ sequence }) => sequence)).size).toBe(100);
  });

  test("repeats an answer of unknown outcome with the same key, and keeps saying unknown when that does not end", async () => {
    it.journal.failNext({ kind: "unknown", lost: true });
    const error = await failure(connect().write("orders.place", { customer: "c1", total: 1 }, { timeoutMs: 300 }));
    expect([error.code, error.retry]).toEqual(["TM-CLIENT-DEADLINE", "unknown"]);
    expect(error.attempts).toBeGreaterThan(1);
  });
});
