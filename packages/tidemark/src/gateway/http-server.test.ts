import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { hasCode } from "@tidemark/kernel/errors";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isLoopback } from "./access.ts";
import { openTestGateway, order, READ_TOKEN, TEST_TOKEN, testConfig, type TestGateway } from "./testing/gateway-fixture.ts";

let it: TestGateway;
beforeEach(async () => {
  it = await openTestGateway();
});
afterEach(() => it.gateway.close());

describe("tokens", () => {
  test.each([
    ["none", null],
    ["an unknown one", "nope"],
    ["a prefix of one", TEST_TOKEN.slice(0, -1)],
    ["an empty one", ""],
  ])("with %s the answer is 401", async (_, token) => {
    const answer = await it.post(order(), { token });
    expect(answer).toMatchObject({ status: 401, json: { code: "TM-GATEWAY-UNAUTHORIZED" } });
    expect(answer.headers["www-authenticate"]).toContain("Bearer");
  });

  test("the scheme is not case-sensitive, and must be Bearer", async () => {
    const status = async (authorization: string): Promise<number> =>
      (await it.request("GET", "/v1/status", { token: null, headers: { authorization } })).status;
    expect(await status(`bearer ${TEST_TOKEN}`)).toBe(200);
    expect(await status(`Basic ${TEST_TOKEN}`)).toBe(401);
  });

  test("a token without the scope gets 403, before the body is looked at", async () => {
    expect(await it.post("{", { token: READ_TOKEN })).toMatchObject({ status: 403, json: { code: "TM-GATEWAY-FORBIDDEN" } });
  });

  test("without any token configured everybody may, on loopback", async () => {
    const open = await openTestGateway({ config: testConfig({ gateway: { tokens: [] } }), world: { tokens: [] } });
    expect((await open.post(order(), { token: null })).status).toBe(202);
    expect((await open.post(order(), { token: "wrong" })).status).toBe(401);
    await open.gateway.close();
  });

  const tls = { certFile: "/c", keyFile: "/k" };
  test.each([
    ["without a token and TLS", { host: "0.0.0.0", tokens: [] }],
    ["without TLS", { host: "10.0.0.1" }],
    ["without a token", { host: "::", tokens: [], tls }],
  ])("beyond loopback it refuses to start %s", async (_, gateway) => {
    const error: unknown = await openTestGateway({ config: testConfig({ gateway }) }).catch((thrown: unknown) => thrown);
    expect(hasCode(error, "TM-GATEWAY-ADDRESS")).toBe(true);
  });

  test.each(["127.0.0.1", "127.9.9.9", "localhost", "::1"])("%s is loopback", (host) => expect(isLoopback(host)).toBe(true));
  test.each(["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.org", "example.org"])("%s is not", (host) =>
    expect(isLoopback(host)).toBe(false),
  );
});

describe("addresses", () => {
  test("health and the description are open to all", async () => {
    for (const url of ["/healthz", "/readyz", "/openapi.json"]) expect((await it.request("GET", url, { token: null })).status).toBe(200);
  });

  test("what is not there is a problem too", async () => {
    expect(await it.request("GET", "/v1/nothing?token=secret")).toMatchObject({
      status: 404,
      json: { code: "TM-GATEWAY-NOT-FOUND", detail: "there is nothing at GET /v1/nothing" },
    });
  });

  test("status says what the gateway is and what it does not know", async () => {
    await it.post(order());
    const { json } = await it.request("GET", "/v1/status");
    expect(json).toMatchObject({
      role: "gateway",
      accepting: true,
      journal: { state: "open", durable: "1" },
      writes: { acknowledged: 1, pending: 0 },
      idempotency: { keys: 1, window: "1 h 0 m or 10000 writes, whichever ends first" },
      stores: {
        orders: { acknowledge: "journal", applier: { pid: 1_000, state: "starting" }, behind: { records: null }, trimSafeTimeline: null },
        ledger: { acknowledge: "applied" },
      },
    });
  });

  test("metrics leave out what is not known rather than say zero", async () => {
    await it.post(order());
    const { text } = await it.request("GET", "/metrics");
    expect(text).toContain('tidemark_gateway_writes_total{result="acknowledged"} 1');
    expect(text).not.toMatch(/^tidemark_gateway_records_behind\{/m);
    const { json: receipt } = await it.post(order({ idempotencyKey: "k2" }));
    const { partition } = receipt as { partition: number };
    it.applier("orders").applied(partition, 1n);
    expect((await it.request("GET", "/metrics")).text).toContain('tidemark_gateway_records_behind{store="orders"} 1');
    // The other partitions have no records: nothing is told of them, and nothing is missing.
    it.applier("orders").applied(partition, 2n);
    expect((await it.request("GET", "/metrics")).text).toContain('tidemark_gateway_records_behind{store="orders"} 0');
  });

  test("the description that is checked in is the one that is served", async () => {
    const { json } = await it.request("GET", "/openapi.json");
    // Changed on purpose: run the test with --update.
    await expect(`${JSON.stringify(json, null, 2)}\n`).toMatchFileSnapshot(
      fileURLToPath(new URL("../../../../docs/openapi.json", import.meta.url)),
    );
  });
});

describe("over real connections", () => {
  async function listening(): Promise<number> {
    await it.gateway.app.listen({ host: "127.0.0.1", port: 0 });
    const address = it.gateway.app.server.address();
    if (typeof address !== "object" || address === null) throw new Error("no address");
    return address.port;
  }

  test("a write goes over HTTP", async () => {
    const port = await listening();
    const response = await fetch(`http://127.0.0.1:${port}/v1/writes`, {
      method: "POST",
      headers: { authorization: `Bearer ${TEST_TOKEN}`, "content-type": "application/json; charset=utf-8" },
      body: JSON.stringify(order()),
    });
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ sequence: "1" });
  });

  test("a body beyond the limit is refused although its length was not announced", async () => {
    const port = await listening();
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest(
        {
          port,
          method: "POST",
          path: "/v1/writes",
          headers: { authorization: `Bearer ${TEST_TOKEN}`, "content-type": "application/json" },
        },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      );
      request.on("error", reject);
      for (let n = 0; n < 20; n++) request.write("x".repeat(100_000));
      request.end();
    });
    expect(status).toBe(413);
  });

  test("a client that goes away in the middle of a body leaves nothing", async () => {
    const port = await listening();
    const socket = connect(port, "127.0.0.1");
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    const body = JSON.stringify(order());
    const head = `POST /v1/writes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TEST_TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    await new Promise<void>((resolve) => socket.write(head + body.slice(0, 20), () => resolve()));
    socket.destroy();
    expect((await it.post(order())).json["sequence"]).toBe("1");
  });
});
