import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TidemarkClient, TidemarkClientError, type ClientOptions, type Receipt } from "./client.ts";
import { answerLines, answerProblem, FakeGateway, problemLine, type Behaviour } from "./testing/fake-gateway.ts";

let gateway: FakeGateway;
let url: string;
const clients: TidemarkClient[] = [];

beforeEach(async () => {
  gateway = new FakeGateway();
  url = await gateway.listen();
});
afterEach(async () => {
  await gateway.close();
  await Promise.all(clients.splice(0).map((client) => client.close({ timeoutMs: 1 })));
});

function connect(options: Partial<ClientOptions> = {}): TidemarkClient {
  const client = new TidemarkClient({ url, token: "secret-token", timeoutMs: 5_000, ...options });
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

const orders = (from: number, count: number): { n: number }[] => Array.from({ length: count }, (_, index) => ({ n: from + index }));
const writeAll = (client: TidemarkClient, args: { n: number }[], key?: string): Promise<Receipt[]> =>
  Promise.all(args.map((order) => client.write("place-order", order, key === undefined ? {} : { key })));
const acceptedNumbers = (key?: string): unknown[] =>
  gateway.accepted.filter((write) => key === undefined || write.key === key).map((write) => write.args["n"]);

/** Lets requests pile up until they are released. */
function gate(): { behaviour: Behaviour; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { behaviour: async ({ response, accept }) => (await opened, answerLines(response, accept())), open };
}

describe("a healthy gateway", () => {
  test("a write is sent with command, args, key and idempotency key, and its receipt comes back", async () => {
    const receipt = await connect().write("place-order", { n: 1 }, { key: "c1", idempotencyKey: "once" });
    expect(gateway.requests).toEqual([[{ command: "place-order", args: { n: 1 }, key: "c1", idempotencyKey: "once" }]]);
    expect(gateway.heads[0]?.headers).toMatchObject({ authorization: "Bearer secret-token", "content-type": "application/x-ndjson" });
    expect(receipt).toMatchObject({ id: "w_fake_1", sequence: "1", idempotencyKey: "once", durable: [{ machine: "here" }] });
  });

  test("without an idempotency key each write gets a UUID of its own that sorts by time", async () => {
    const client = connect();
    const receipts = await writeAll(client, orders(0, 100));
    const keys = receipts.map((receipt) => receipt.idempotencyKey);
    expect(new Set(keys).size).toBe(100);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test("what is written in one turn goes into one request; what arrives meanwhile into the next", async () => {
    const { behaviour, open } = gate();
    gateway.script(behaviour, behaviour);
    const client = connect({ limits: { requests: 2 } });
    const first = writeAll(client, orders(0, 10));
    await gateway.arrived(1);
    const second = client.write("place-order", { n: 10 });
    await gateway.arrived(2);
    const third = writeAll(client, orders(11, 30));
    open();
    await Promise.all([first, second, third]);
    expect(gateway.requests.map((writes) => writes.length)).toEqual([10, 1, 30]);
    expect(gateway.mostInFlight).toBe(2);
  });

  test("batches keep to their limits of writes and bytes", async () => {
    await writeAll(connect({ limits: { batchWrites: 7 } }), orders(0, 20));
    expect(gateway.requests.map((writes) => writes.length)).toEqual([7, 7, 6]);
    gateway.requests.length = 0;
    await writeAll(connect({ limits: { batchBytes: 250 } }), orders(0, 6));
    expect(gateway.requests.map((writes) => writes.length)).toEqual([2, 2, 2]);
  });

  test("applied() waits for the database, writes.get() tells where a write stands", async () => {
    const waits: (string | string[] | undefined)[] = [];
    gateway.status = (receipt, request, response) => {
      waits.push(request.headers["prefer"]);
      response.end(JSON.stringify({ ...receipt, status: waits.length < 4 ? "journalled" : "applied", applied: { lsn: "0/9" } }));
    };
    const client = connect();
    const receipt = await client.write("place-order", { n: 1 });
    expect((await client.writes.get(receipt.id)).status).toBe("journalled");
    expect(await receipt.applied({ timeout: 5_000 })).toMatchObject({ status: "applied", applied: { lsn: "0/9" } });
    expect(waits).toEqual([undefined, "wait=5", "wait=5", "wait=5"]);
  });

  test("applied() rejects when the write was refused by the database, with its reason, and when the time is over", async () => {
    gateway.status = (receipt, _request, response) =>
      response.end(JSON.stringify({ ...receipt, status: "rejected", verdict: { reason: "orders_pkey", by: "applier" } }));
    const client = connect();
    const receipt = await client.write("place-order", { n: 1 });
    const rejected = await failure(receipt.applied());
    expect([rejected.code, rejected.retry]).toEqual(["TM-CLIENT-NOT-APPLIED", "never"]);
    expect(rejected.message).toContain("orders_pkey");
    gateway.status = (known, _request, response) => response.end(JSON.stringify({ ...known, status: "journalled" }));
    const late = await failure(receipt.applied({ timeout: 100 }));
    expect([late.code, late.retry]).toEqual(["TM-CLIENT-NOT-APPLIED", "later"]);
  });

  test("asking for an unknown write rejects with the gateway's code", async () => {
    expect((await failure(connect().writes.get("w_none"))).code).toBe("TM-GATEWAY-NOT-FOUND");
  });
});

describe("faults of the connection", () => {
  test("a write whose connection is cut before the gateway took it is sent again with the same idempotency key", async () => {
    gateway.script(({ response }) => void response.destroy());
    const receipt = await connect().write("place-order", { n: 1 });
    expect(gateway.requests).toHaveLength(2);
    expect(gateway.requests[1]).toEqual(gateway.requests[0]);
    expect(receipt.sequence).toBe("1");
  });

  test("a write whose connection is cut after the gateway took it takes effect once", async () => {
    gateway.script(({ response, accept }) => (accept(), void response.destroy()));
    const receipts = await writeAll(connect(), orders(0, 5));
    expect(acceptedNumbers()).toEqual([0, 1, 2, 3, 4]);
    expect(receipts.map((receipt) => receipt.sequence)).toEqual(["1", "2", "3", "4", "5"]);
  });

  test("of an answer that breaks off, the whole lines count and the rest is sent again", async () => {
    gateway.script(({ response, accept }) => {
      const lines = accept();
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.write(`${lines[0]}\n${lines[1]}\n${lines[2]?.slice(0, 20)}`, () => response.destroy());
    });
    await writeAll(connect(), orders(0, 5));
    expect(gateway.requests.map((writes) => writes.map((write) => write.args["n"]))).toEqual([
      [0, 1, 2, 3, 4],
      [2, 3, 4],
    ]);
    expect(acceptedNumbers()).toEqual([0, 1, 2, 3, 4]);
  });

  test("an answer that no gateway gives is no receipt: the writes are sent again", async () => {
    gateway.script(
      ({ response }) => void response.end("<html>welcome to the captive portal</html>"),
      ({ response }) => answerLines(response, ['{"id":"w_x"}']),
    );
    await connect().write("place-order", { n: 1 });
    expect(gateway.requests).toHaveLength(3);
  });

  test("nobody listening: it goes on trying until somebody does", async () => {
    await gateway.close();
    const client = connect();
    const write = client.write("place-order", { n: 1 });
    const again = new FakeGateway();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await again.listen(Number(new URL(url).port));
    await write;
    expect(again.accepted).toHaveLength(1);
    await again.close();
  });

  test("nobody ever listening: it gives up at its deadline and knows that nothing was accepted", async () => {
    await gateway.close();
    const error = await failure(connect().write("place-order", { n: 1 }, { timeoutMs: 200 }));
    expect([error.code, error.retry]).toEqual(["TM-CLIENT-DEADLINE", "later"]);
    expect(error.attempts).toBeGreaterThan(1);
  });

  test("a gateway that never answers: it gives up at its deadline and says that the outcome is unknown", async () => {
    gateway.behaviour = () => undefined;
    const error = await failure(connect().write("place-order", { n: 1 }, { timeoutMs: 100, idempotencyKey: "mine" }));
    expect([error.code, error.retry, error.idempotencyKey]).toEqual(["TM-CLIENT-DEADLINE", "unknown", "mine"]);
  });

  test("a request without an answer is given up after its own time and made again", async () => {
    gateway.script(() => undefined);
    await connect({ requestTimeoutMs: 50 }).write("place-order", { n: 1 });
    expect(gateway.requests).toHaveLength(2);
  });
});

describe("answers that say no", () => {
  test("503 and 429 are repeated no earlier than Retry-After says, a 4xx is not", async () => {
    gateway.script(
      ({ response }) => answerProblem(response, 503, { code: "TM-GATEWAY-BUSY", retry: "later" }, { "retry-after": "1" }),
      ({ response }) => answerProblem(response, 429, { code: "TM-GATEWAY-RATE", retry: "later" }),
    );
    const startMs = performance.now();
    await connect().write("place-order", { n: 1 });
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(990);
    expect(gateway.requests).toHaveLength(3);
    gateway.script(({ response }) => answerProblem(response, 401, { code: "TM-GATEWAY-UNAUTHORIZED", hint: "send a token" }));
    const error = await failure(connect().write("place-order", { n: 2 }));
    expect([error.code, error.retry, error.hint, error.problem?.status]).toEqual(["TM-GATEWAY-UNAUTHORIZED", "never", "send a token", 401]);
    expect(gateway.requests).toHaveLength(4);
  });

  test("an unknown outcome is repeated with the same key", async () => {
    gateway.script(({ response, accept }) => (accept(), answerProblem(response, 503, { code: "TM-JOURNAL-UNKNOWN", retry: "unknown" })));
    await connect().write("place-order", { n: 1 });
    expect(acceptedNumbers()).toEqual([1]);
  });

  test("a refusal that follows an unknown outcome stays unknown", async () => {
    gateway.script(
      ({ response, accept }) => (accept(), void response.destroy()),
      ({ response }) => answerProblem(response, 403, { code: "TM-GATEWAY-FORBIDDEN" }),
    );
    const error = await failure(connect().write("place-order", { n: 1 }));
    expect([error.code, error.retry]).toEqual(["TM-GATEWAY-FORBIDDEN", "unknown"]);
  });

  test("a bad write in a batch fails alone", async () => {
    gateway.script(({ writes, response }) =>
      answerLines(
        response,
        writes.flatMap((write) => (write.args["n"] === 2 ? [problemLine(422, { field: "/args/n", line: 3 })] : gateway.accept([write]))),
      ),
    );
    const client = connect();
    const settled = await Promise.allSettled(orders(0, 5).map((args) => client.write("place-order", args)));
    expect(settled.map((result) => result.status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled"]);
    const { reason } = settled[2] as PromiseRejectedResult;
    expect(reason).toMatchObject({ code: "TM-GATEWAY-INVALID", retry: "never", problem: { status: 422, field: "/args/n" } });
  });

  test("a batch that is refused as a whole is sent write by write, so that the bad one fails alone", async () => {
    gateway.behaviour = ({ writes, response, accept }) => {
      if (writes.some((write) => write.args["n"] === 1)) answerProblem(response, 400, { code: "TM-GATEWAY-MALFORMED" });
      else answerLines(response, accept());
    };
    const client = connect();
    const settled = await Promise.allSettled(orders(0, 3).map((args) => client.write("place-order", args)));
    expect(settled.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("a batch that is too large for the gateway is halved until it fits, and the client remembers", async () => {
    gateway.behaviour = ({ writes, response, accept }) => {
      if (writes.length > 10) answerProblem(response, 413, { code: "TM-GATEWAY-TOO-LARGE" });
      else answerLines(response, accept());
    };
    const client = connect({ limits: { requests: 1 } });
    await writeAll(client, orders(0, 40));
    expect(acceptedNumbers()).toEqual(orders(0, 40).map((order) => order.n));
    gateway.requests.length = 0;
    await writeAll(client, orders(40, 20));
    expect(gateway.requests.every((writes) => writes.length <= 10)).toBe(true);
    gateway.behaviour = ({ response }) => answerProblem(response, 413, { code: "TM-GATEWAY-TOO-LARGE" });
    expect((await failure(client.write("place-order", { n: 60 }))).code).toBe("TM-GATEWAY-TOO-LARGE");
  });

  test("no attempt is made after the end of the key's window", async () => {
    gateway.windowMs = 150;
    const client = connect();
    await client.write("place-order", { n: 0 });
    gateway.behaviour = ({ response }) => void response.destroy();
    const error = await failure(client.write("place-order", { n: 1 }));
    expect([error.code, error.retry]).toEqual(["TM-CLIENT-WINDOW", "unknown"]);
  });
});

describe("order", () => {
  test("a later write of a key does not overtake an earlier one that is sent again", async () => {
    const { behaviour, open } = gate();
    let cut = (): void => undefined;
    gateway.script(({ response }) => void (cut = () => void response.destroy()), behaviour);
    const client = connect({ limits: { requests: 4 } });
    const early = client.write("place-order", { n: 1 }, { key: "k" });
    await gateway.arrived(1);
    const late = client.write("place-order", { n: 2 }, { key: "k" });
    const other = client.write("place-order", { n: 3 }, { key: "other" });
    await gateway.arrived(2);
    cut();
    open();
    await Promise.all([early, late, other]);
    expect(acceptedNumbers("k")).toEqual([1, 2]);
    expect(gateway.requests[1]?.map((write) => write.args["n"])).toEqual([3]);
  });

  test("a write whose line is to be tried again holds back its own key and nobody else", async () => {
    let refusals = 2;
    gateway.behaviour = ({ writes, response }) => {
      const refuses = refusals-- > 0;
      answerLines(
        response,
        writes.flatMap((write) =>
          write.key === "held" && refuses ? [problemLine(503, { code: "TM-GATEWAY-KEY-HELD", retry: "later" })] : gateway.accept([write]),
        ),
      );
    };
    const client = connect();
    const held = client.write("place-order", { n: 1 }, { key: "held" });
    await gateway.arrived(1);
    const behind = client.write("place-order", { n: 2 }, { key: "held" });
    const free = client.write("place-order", { n: 3 }, { key: "free" });
    await Promise.all([held, behind, free]);
    expect(acceptedNumbers("held")).toEqual([1, 2]);
  });

  test("whatever happens to requests, the writes of a key are accepted in the order of the calls, each once", async () => {
    let seed = 7;
    const chance = (): number => ((seed = (seed * 48_271) % 2_147_483_647) - 1) / 2_147_483_646;
    gateway.behaviour = async ({ response, accept }) => {
      await new Promise((resolve) => setTimeout(resolve, chance() * 4));
      const fate = chance();
      if (fate < 0.15) response.destroy();
      else if (fate < 0.3) {
        accept();
        response.destroy();
      } else if (fate < 0.4) answerProblem(response, 503, { code: "TM-GATEWAY-BUSY", retry: "later" });
      else answerLines(response, accept());
    };
    const client = connect({ limits: { requests: 4, batchWrites: 8 }, timeoutMs: 20_000 });
    const writes: Promise<Receipt>[] = [];
    for (let n = 0; n < 400; n++) {
      writes.push(client.write("place-order", { n }, { key: `k${n % 5}` }));
      if (n % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(writes);
    expect(gateway.accepted).toHaveLength(400);
    for (let key = 0; key < 5; key++) {
      const numbers = acceptedNumbers(`k${key}`) as number[];
      expect(numbers).toEqual([...numbers].sort((left, right) => left - right));
    }
  });
});

describe("limits, abortion and the end", () => {
  test("at the limit of the queue write() rejects and sends nothing", async () => {
    const { behaviour, open } = gate();
    gateway.behaviour = behaviour;
    const client = connect({ limits: { queuedWrites: 3 } });
    const taken = writeAll(client, orders(0, 3));
    const error = await failure(client.write("place-order", { n: 3 }));
    expect([error.code, error.retry]).toEqual(["TM-CLIENT-QUEUE-FULL", "later"]);
    open();
    await taken;
    await client.write("place-order", { n: 4 });
    expect(acceptedNumbers()).toEqual([0, 1, 2, 4]);
    expect((await failure(connect({ limits: { queuedBytes: 20 } }).write("place-order", { n: 5 }))).code).toBe("TM-CLIENT-QUEUE-FULL");
  });

  test("an aborted write that was not sent is never sent; one in flight is unknown", async () => {
    const { behaviour, open } = gate();
    gateway.behaviour = behaviour;
    const client = connect({ limits: { requests: 1 } });
    const controller = new AbortController();
    const flying = failure(client.write("place-order", { n: 1 }, { signal: controller.signal }));
    await gateway.arrived(1);
    const waiting = failure(client.write("place-order", { n: 2 }, { signal: controller.signal }));
    const kept = client.write("place-order", { n: 3 });
    controller.abort();
    const [first, second] = await Promise.all([flying, waiting]);
    expect([first.code, first.retry, second.code, second.retry]).toEqual(["TM-CLIENT-ABORTED", "unknown", "TM-CLIENT-ABORTED", "later"]);
    open();
    await kept;
    expect(acceptedNumbers()).toEqual([1, 3]);
    expect((await failure(client.write("place-order", { n: 4 }, { signal: AbortSignal.abort() }))).code).toBe("TM-CLIENT-ABORTED");
  });

  test("close() waits for receipts under way, then takes no more", async () => {
    const client = connect();
    const write = client.write("place-order", { n: 1 });
    await client.close();
    await write;
    expect((await failure(client.write("place-order", { n: 2 }))).code).toBe("TM-CLIENT-CLOSED");
    await client.close();
  });

  test("close() with a time gives up on what has no receipt by then", async () => {
    gateway.behaviour = () => undefined;
    const client = connect();
    const write = failure(client.write("place-order", { n: 1 }));
    await gateway.arrived(1);
    await client.close({ timeoutMs: 20 });
    const error = await write;
    expect([error.code, error.retry]).toEqual(["TM-CLIENT-CLOSED", "unknown"]);
  });

  test.each([
    [{ url: "ftp://x" }, "url"],
    [{ url: "http://user:pw@x" }, "url"],
    [{ token: "a\r\nx-evil: 1" }, "token"],
    [{ limits: { requests: 0 } }, "limits.requests"],
    [{ timeoutMs: Number.NaN }, "timeoutMs"],
  ])("an option that cannot be used is refused by name: %j", (options, name) => {
    expect(() => new TidemarkClient({ url, token: "t", ...options })).toThrow(name);
  });

  test("arguments that are no JSON are refused before anything is sent", async () => {
    expect((await failure(connect().write("place-order", { n: 1n }))).code).toBe("TM-CLIENT-INVALID");
    expect((await failure(connect().write("", {}))).code).toBe("TM-CLIENT-INVALID");
    expect((await failure(connect().write("place-order", {}, { idempotencyKey: "x".repeat(256) }))).code).toBe("TM-CLIENT-INVALID");
    expect(gateway.requests).toEqual([]);
  });
});
