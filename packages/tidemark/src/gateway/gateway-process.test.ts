import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasCode } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readSecret } from "../platform/secret-files.ts";
import { runGatewayRole } from "./gateway-role.ts";
import { order, testConfig } from "./testing/gateway-fixture.ts";
import { journalRecords, RunningGateway } from "./testing/running-gateway.ts";
import { readWritePayload } from "./write-record.ts";

let stateDir: string;
const gateways: RunningGateway[] = [];
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tidemark-gateway-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const gateway of gateways.splice(0)) await gateway.end("SIGKILL");
  await rm(stateDir, { recursive: true, force: true });
});

async function start(): Promise<RunningGateway> {
  const gateway = await RunningGateway.start(stateDir);
  gateways.push(gateway);
  return gateway;
}

async function journalledKeys(): Promise<string[]> {
  return (await journalRecords(stateDir)).map((record) => readWritePayload(record.payload).idempotencyKey);
}

test("a gateway that is killed at any moment under load loses no acknowledged write and doubles none (ACK-DURABLE, APPLY-ONCE)", async () => {
  const writes = Array.from({ length: 300 }, (_, n) => order({ idempotencyKey: `k${n}` }));
  const receipts = new Map<unknown, string>();
  let sendTo = await start();
  let broken = 0;
  for (let round = 0; round < 3; round++) {
    const current = sendTo;
    let answered = 0;
    const sending = Array.from({ length: 8 }, async (_, writer) => {
      for (let n = writer; n < writes.length; n += 8) {
        const receipt = await current.write(writes[n]);
        if (receipt === undefined) return void broken++;
        const before = receipts.get(writes[n]);
        expect(receipt).toBe(before ?? receipt);
        receipts.set(writes[n], receipt);
        if (++answered === 40 + round * 70) void current.end("SIGKILL");
      }
    });
    await Promise.all(sending);
    await current.end("SIGKILL");
    sendTo = await start();
  }
  expect(broken).toBeGreaterThan(0);
  for (const write of writes) {
    const receipt = await sendTo.write(write);
    expect(receipt).toBe(receipts.get(write) ?? receipt);
  }
  await sendTo.end("SIGTERM");
  expect((await journalledKeys()).toSorted()).toEqual(writes.map((write) => String(write["idempotencyKey"])).toSorted());
});

test("SIGTERM ends it with 0 once it has drained", async () => {
  const gateway = await start();
  const answers = Array.from({ length: 20 }, () => gateway.write(order()));
  await Promise.race(answers);
  expect(await gateway.end("SIGTERM")).toBe(0);
  const acknowledged = (await Promise.all(answers)).filter((answer) => answer !== undefined);
  expect((await journalledKeys()).length).toBeGreaterThanOrEqual(acknowledged.length);
});

describe("the role", () => {
  const world = { logger: silentLogger, clock: systemClock, random: systemRandom };
  // No store: what an applier does is tested with it.
  const roleConfig = (gateway = {}) => ({ ...testConfig({ stateDir, gateway }), stores: {} });

  test("makes its tokens, serves, and gives the journal back when it is told to end", async () => {
    const stop = new AbortController();
    let url = "";
    await runGatewayRole({
      config: roleConfig(),
      ...world,
      signal: stop.signal,
      onReady: (address) => {
        url = address.url;
        void readSecret(join(stateDir, "test.token"))
          .then((secret) => fetch(`${url}/v1/status`, { headers: { authorization: `Bearer ${secret?.reveal()}` } }))
          .then((response) => expect(response.status).toBe(200))
          .finally(() => stop.abort());
      },
    });
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await journalledKeys()).toEqual([]);
  });

  test("starts another applier when one is killed, and ends all of them with itself", async () => {
    vi.stubEnv("TIDEMARK_LOG_LEVEL", "silent");
    const stop = new AbortController();
    let running: Promise<void> | undefined;
    const url = await new Promise<string>((resolve, reject) => {
      running = runGatewayRole({
        config: testConfig({ stateDir }),
        ...world,
        signal: stop.signal,
        onReady: (address) => resolve(address.url),
      });
      running.catch(reject);
    });
    const token = (await readSecret(join(stateDir, "test.token")))?.reveal();
    const applier = async (): Promise<{ pid: number; state: string }> => {
      const response = await fetch(`${url}/v1/status`, { headers: { authorization: `Bearer ${token}` } });
      return ((await response.json()) as { stores: { orders: { applier: { pid: number; state: string } } } }).stores.orders.applier;
    };
    // There is no primary to be found: it says so, which is a sign of life.
    await expect.poll(async () => (await applier()).state, { timeout: 10_000 }).toBe("waiting");
    const { pid } = await applier();
    process.kill(pid, "SIGKILL");
    const another = async (): Promise<boolean> => {
      const now = await applier();
      return now.state === "waiting" && now.pid !== pid;
    };
    await expect.poll(another, { timeout: 10_000 }).toBe(true);
    const second = (await applier()).pid;
    stop.abort();
    await running;
    expect(() => process.kill(second, 0)).toThrow("ESRCH");
  });

  test("says which port is taken, and leaves the journal unlocked", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const error: unknown = await runGatewayRole({ config: roleConfig({ port }), ...world, signal: new AbortController().signal }).catch(
      (thrown: unknown) => thrown,
    );
    taken.close();
    expect(hasCode(error, "TM-GATEWAY-PORT")).toBe(true);
    expect(String(error)).toContain(`127.0.0.1:${port}: something else listens there`);
    expect(await journalledKeys()).toEqual([]);
  });
});
