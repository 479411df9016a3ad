import { fork, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasCode } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openJournal } from "../journal/embedded/open-journal.ts";
import { readSecret } from "../platform/secret-files.ts";
import { runGatewayRole } from "./gateway-role.ts";
import { order, TEST_TOKEN, testConfig, type JsonBody } from "./testing/gateway-fixture.ts";
import { readWritePayload } from "./write-record.ts";

let stateDir: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tidemark-gateway-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const child of children.splice(0)) await ended(child, "SIGKILL");
  await rm(stateDir, { recursive: true, force: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
}

async function start(mode = ""): Promise<Running> {
  const child = fork(fileURLToPath(new URL("testing/gateway-process.ts", import.meta.url)), [stateDir, mode], {
    execArgv: ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"],
  });
  children.push(child);
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message) => resolve((message as { port: number }).port));
    child.once("exit", (code) => reject(new Error(`the gateway ended with ${code}`)));
  });
  return { child, url: `http://127.0.0.1:${port}` };
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill(signal);
  return exit;
}

/** The receipt's text, or undefined without an answer, and where the gateway was stopping already. */
async function send(url: string, write: unknown): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/v1/writes`, {
      method: "POST",
      headers: { authorization: `Bearer ${TEST_TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify(write),
    });
    const text = await response.text();
    if (text.includes("TM-GATEWAY-DRAINING")) return undefined;
    expect(text).toContain('"status":"journalled"');
    return text;
  } catch (error) {
    if (error instanceof TypeError) return undefined; // fetch: the connection broke.
    throw error;
  }
}

async function journalledKeys(): Promise<string[]> {
  const journal = await openJournal({
    config: testConfig({ stateDir }).journal,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const { oldest, durable } = journal.extent();
  const keys: string[] = [];
  for (let next = oldest; next <= durable;) {
    const records = await journal.read(next, durable, { records: 10_000, bytes: 1e9 });
    for (const record of records) keys.push(readWritePayload(record.payload).idempotencyKey);
    next = ((records.at(-1)?.sequence ?? durable) + 1n) as typeof next;
  }
  await journal.close();
  return keys;
}

describe("a gateway that is killed", () => {
  test("between journal and answer knows the write again: the repeat gets its receipt, and there is one record", async () => {
    const write = order({ idempotencyKey: "once" });
    const first = await start("die-after-journal");
    expect(await send(first.url, write)).toBeUndefined();
    const second = await start();
    const receipt = await send(second.url, write);
    expect(JSON.parse(receipt ?? "") as JsonBody).toMatchObject({ sequence: "1", status: "journalled" });
    expect(await send(second.url, write)).toBe(receipt);
    await ended(second.child, "SIGTERM");
    expect(await journalledKeys()).toEqual(["once"]);
  });

  test("at any moment under load loses no acknowledged write and doubles none (ACK-DURABLE, APPLY-ONCE)", async () => {
    const writes = Array.from({ length: 300 }, (_, n) => order({ idempotencyKey: `k${n}` }));
    const receipts = new Map<unknown, string>();
    let sendTo = await start();
    let broken = 0;
    for (let round = 0; round < 3; round++) {
      const current = sendTo;
      let answered = 0;
      const sending = Array.from({ length: 8 }, async (_, writer) => {
        for (let n = writer; n < writes.length; n += 8) {
          const receipt = await send(current.url, writes[n]);
          if (receipt === undefined) return void broken++;
          const before = receipts.get(writes[n]);
          expect(receipt).toBe(before ?? receipt);
          receipts.set(writes[n], receipt);
          if (++answered === 40 + round * 70) void ended(current.child, "SIGKILL");
        }
      });
      await Promise.all(sending);
      await ended(current.child, "SIGKILL");
      sendTo = await start();
    }
    expect(broken).toBeGreaterThan(0);
    for (const write of writes) {
      const receipt = await send(sendTo.url, write);
      expect(receipt).toBe(receipts.get(write) ?? receipt);
    }
    await ended(sendTo.child, "SIGTERM");
    expect((await journalledKeys()).toSorted()).toEqual(writes.map((write) => String(write["idempotencyKey"])).toSorted());
  });
});

test("SIGTERM ends it with 0 once it has drained", async () => {
  const { child, url } = await start();
  const answers = Array.from({ length: 20 }, () => send(url, order()));
  await Promise.race(answers);
  expect(await ended(child, "SIGTERM")).toBe(0);
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
