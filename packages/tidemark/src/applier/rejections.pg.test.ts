import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ApplierHarness } from "./testing/applier-harness.ts";

const string = { type: "string" };
const COMMANDS = {
  customer: { schema: { type: "object", properties: { name: string } }, statements: ["INSERT INTO customer (name) VALUES (:name)"] },
  order: {
    schema: { type: "object", properties: { customer: string, no: { type: "integer" } } },
    statements: ["INSERT INTO orders (customer, no) VALUES (:customer, :no)"],
  },
  strict: {
    schema: { type: "object", properties: { customer: string, no: { type: "integer" } } },
    statements: ["INSERT INTO orders (customer, no) VALUES (:customer, :no)"],
    onReject: "stop-key" as const,
  },
  later: {
    schema: { type: "object", properties: { customer: string, no: { type: "integer" } } },
    statements: ["INSERT INTO deferred_orders (customer, no) VALUES (:customer, :no)"],
  },
  missing: { schema: { type: "object", properties: {} }, statements: ["INSERT INTO not_there (key) VALUES (:key)"] },
  note: {
    schema: { type: "object", properties: { text: string, tags: { type: "array" }, body: {} } },
    statements: ["INSERT INTO note (key, text, tags, body) VALUES (:key, :text, :tags, :body)"],
  },
};
const TABLES = `
DROP TABLE IF EXISTS orders, deferred_orders, customer, note CASCADE;
CREATE TABLE customer (name text PRIMARY KEY);
CREATE TABLE orders (customer text NOT NULL REFERENCES customer, no int NOT NULL UNIQUE CHECK (no > 0));
CREATE TABLE deferred_orders (customer text NOT NULL REFERENCES customer DEFERRABLE INITIALLY DEFERRED, no int NOT NULL);
CREATE TABLE note (key text, text text, tags text[], body jsonb);`;

describe("writes that the database refuses", () => {
  let primary: TestServer;
  beforeAll(async () => {
    primary = await startPrimary();
  });
  afterAll(() => primary.dispose());
  beforeEach(async () => {
    await using harness = await ApplierHarness.prepare({ connection: primary.connection, commands: COMMANDS });
    await harness.admin.unsafe(TABLES).simple();
  });

  const prepare = (more: object = {}): Promise<ApplierHarness> =>
    ApplierHarness.prepare({ connection: primary.connection, commands: COMMANDS, ...more });
  const numbers = async (harness: ApplierHarness): Promise<number[]> =>
    (await harness.admin<{ no: number }[]>`SELECT no FROM orders ORDER BY no`).map((row) => row.no);
  const letters = (harness: ApplierHarness): Promise<Record<string, unknown>[]> =>
    harness.admin`SELECT sequence::int, state, key, sqlstate, constraint_name, stops_key, origin::int, settled_as::int FROM tidemark.dead_letter WHERE journal = ${harness.journal.id} ORDER BY sequence`;

  it("are found in a batch, journalled as rejected, and kept; the rest of the batch takes effect once", async () => {
    await using harness = await prepare();
    const written = await harness.write(
      { command: "customer", key: "a", args: { name: "a" }, partition: 0 },
      ...Array.from({ length: 40 }, (_, i) => ({
        command: "order",
        key: "a",
        args: { customer: "a", no: i === 17 ? -1 : i + 1 },
        partition: 0,
      })),
    );
    harness.start();
    await harness.applied();
    expect(await numbers(harness)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1).filter((no) => no !== 18));
    const verdicts = harness.gateway.of("verdict");
    expect(verdicts.map(({ payload }) => payload)).toMatchObject([
      { sequence: String(written[18]?.sequence), verdict: "rejected", sqlstate: "23514", constraint: "orders_no_check", by: "applier" },
    ]);
    expect(await letters(harness)).toMatchObject([
      { sequence: Number(written[18]?.sequence), state: "rejected", sqlstate: "23514", stops_key: false },
    ]);
  });

  it("are final only when every partition has passed: the order that comes before its customer is kept", async () => {
    await using harness = await prepare({ connections: 1 });
    // The customer is later in the journal of partition 1, behind much else; its orders stand in partition 2.
    await harness.write(
      { command: "order", key: "o", args: { customer: "late", no: 7 }, partition: 2 },
      ...Array.from({ length: 300 }, (_, i) => ({ command: "customer", key: "c", args: { name: `c${i}` }, partition: 1 })),
    );
    // R13 counts earlier sequences only, so the customer must be accepted before: a second pair.
    await harness.write(
      { command: "customer", key: "c", args: { name: "late" }, partition: 1 },
      { command: "order", key: "o", args: { customer: "late", no: 8 }, partition: 2 },
    );
    harness.start();
    await harness.applied();
    expect(await numbers(harness)).toEqual([8]);
    expect(harness.gateway.of("verdict").map(({ payload }) => payload.sequence)).toEqual(["1"]);
  });

  it("whose verdict stands in the journal are not tried again, though they would succeed now", async () => {
    await using harness = await prepare();
    const [first] = await harness.write({ command: "order", key: "o", args: { customer: "a", no: 1 }, partition: 0 });
    await harness.gateway.appendVerdict(0, {
      v: 1,
      sequence: String(first?.sequence),
      verdict: "rejected",
      reason: "it was so",
      by: "applier",
    });
    await harness.admin`INSERT INTO customer VALUES ('a')`;
    await harness.write({ command: "order", key: "o", args: { customer: "a", no: 2 }, partition: 0 });
    harness.start();
    await harness.applied();
    expect(await numbers(harness)).toEqual([2]);
    expect(await letters(harness)).toMatchObject([{ sequence: 1, state: "rejected" }]);
  });

  it("by a constraint that is checked at COMMIT are found like others, whatever shares their batch", async () => {
    await using harness = await prepare();
    // Alone the order is refused. In one transaction with its customer behind it, COMMIT would let it pass.
    await harness.write(
      { command: "later", key: "d", args: { customer: "d", no: 1 }, partition: 0 },
      { command: "customer", key: "d", args: { name: "d" }, partition: 0 },
      { command: "later", key: "d", args: { customer: "d", no: 2 }, partition: 0 },
    );
    harness.start();
    await harness.applied();
    expect((await harness.admin`SELECT no FROM deferred_orders`).map((row) => row["no"])).toEqual([2]);
    expect(await letters(harness)).toMatchObject([{ sequence: 1, sqlstate: "23503" }]);
  });

  it("by a constraint that became deferred behind the applier's back are found by halving", async () => {
    await using harness = await prepare({ connections: 1 });
    harness.start();
    await harness.write({ command: "customer", key: "h", args: { name: "h" }, partition: 0 });
    await harness.applied();
    await harness.admin.unsafe("ALTER TABLE orders ALTER CONSTRAINT orders_customer_fkey DEFERRABLE INITIALLY DEFERRED");
    await harness.write(
      ...Array.from({ length: 30 }, (_, i) => ({
        command: "order",
        key: "h",
        args: { customer: i === 11 ? "nobody" : "h", no: i + 1 },
        partition: 0,
      })),
    );
    await harness.applied();
    expect((await numbers(harness)).length).toBe(29);
    expect(await letters(harness)).toMatchObject([{ sqlstate: "23503", sequence: 13 }]);
  });

  it("stop their key where the command says so; the replay lets the parked ones follow in order", async () => {
    await using harness = await prepare();
    harness.start();
    await harness.write({ command: "customer", key: "k", args: { name: "k" }, partition: 3 });
    await harness.write(
      { command: "strict", key: "k", args: { customer: "nobody", no: 1 }, partition: 3 },
      { command: "strict", key: "k", args: { customer: "k", no: 2 }, partition: 3 },
      { command: "strict", key: "other", args: { customer: "k", no: 3 }, partition: 3 },
      { command: "order", key: "k", args: { customer: "k", no: 4 }, partition: 3 },
    );
    await harness.applied();
    expect(await numbers(harness)).toEqual([3]);
    expect((await letters(harness)).map((letter) => [letter["sequence"], letter["state"]])).toEqual([
      [2, "rejected"],
      [3, "parked"],
      [5, "parked"],
    ]);
    // The replay of the stopper is refused again: its successors stay.
    await harness.write(
      { command: "strict", key: "k", args: { customer: "nobody", no: 1 }, partition: 3, replayOf: 2n },
      { command: "strict", key: "k", args: { customer: "k", no: 2 }, partition: 3, replayOf: 3n },
    );
    await harness.applied();
    expect(await numbers(harness)).toEqual([3]);
    const pending = (await letters(harness)).filter((letter) => letter["state"] === "rejected" || letter["state"] === "parked");
    expect(pending.map((letter) => letter["origin"])).toEqual([5, 2, 3]);
    // Its table is mended: all follow in the order of their origins.
    await harness.admin`INSERT INTO customer VALUES ('nobody')`;
    const [stopper, second] = pending.slice(1).map((letter) => BigInt(letter["sequence"] as number));
    await harness.write(
      { command: "strict", key: "k", args: { customer: "nobody", no: 1 }, partition: 3, replayOf: stopper ?? 0n },
      { command: "strict", key: "k", args: { customer: "k", no: 2 }, partition: 3, replayOf: second ?? 0n },
      { command: "order", key: "k", args: { customer: "k", no: 4 }, partition: 3, replayOf: 5n },
      { command: "order", key: "k", args: { customer: "k", no: 5 }, partition: 3 },
    );
    await harness.applied();
    expect((await harness.admin`SELECT no FROM orders`).map((row) => row["no"])).toEqual([3, 1, 2, 4, 5]);
    expect((await letters(harness)).every((letter) => letter["state"] === "replayed")).toBe(true);
  });

  it("that were given up stop nothing any more, and pin nothing", async () => {
    await using harness = await prepare();
    harness.start();
    await harness.write({ command: "strict", key: "k", args: { customer: "nobody", no: 1 }, partition: 3 });
    await harness.applied();
    await harness.gateway.appendVerdict(3, { v: 1, sequence: "1", verdict: "discarded", reason: "a mistake", by: "ada" });
    await harness.write({ command: "customer", key: "k", args: { name: "k" }, partition: 3 });
    await harness.applied();
    expect(await letters(harness)).toMatchObject([{ sequence: 1, state: "discarded" }]);
    expect(await harness.admin`SELECT name FROM customer`).toMatchObject([{ name: "k" }]);
    await harness.gateway.until(() => BigInt(harness.gateway.of("trim-safe").at(-1)?.upTo ?? "0") >= 4n);
  });

  it("pin trimming while they are pending", async () => {
    await using harness = await prepare();
    harness.start();
    await harness.write({ command: "customer", key: "k", args: { name: "k" }, partition: 3 });
    await harness.write(
      { command: "order", key: "k", args: { customer: "nobody", no: 1 }, partition: 3 },
      { command: "order", key: "k", args: { customer: "k", no: 2 }, partition: 3 },
    );
    await harness.applied();
    await harness.gateway.until(() => BigInt(harness.gateway.of("trim-safe").at(-1)?.upTo ?? "0") >= 1n);
    await harness.write({ command: "order", key: "k", args: { customer: "k", no: 3 }, partition: 3 });
    await harness.applied();
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // two barriers' time: nothing may come
    expect(harness.gateway.of("trim-safe").map((message) => message.upTo)).not.toContain("2");
    expect(BigInt(harness.gateway.of("trim-safe").at(-1)?.upTo ?? "0")).toBe(1n);
  });

  it("because a table is missing wait, say which command, and go on when it is there", async () => {
    await using harness = await prepare();
    harness.start();
    await harness.write(
      { command: "missing", key: "m", args: {}, partition: 1 },
      { command: "customer", key: "x", args: { name: "x" }, partition: 2 },
    );
    await harness.gateway.until(
      () => harness.gateway.state?.state === "waiting" && harness.gateway.state.code === "TM-APPLIER-STATEMENT-FAULT",
    );
    await harness.gateway.until(() => harness.gateway.applied(2) >= 2n);
    await harness.admin.unsafe("CREATE TABLE not_there (key text)");
    await harness.applied();
    expect(await harness.admin`SELECT key FROM not_there`).toEqual([{ key: "m" }]);
    expect(harness.gateway.of("verdict")).toEqual([]);
    await harness.admin.unsafe("DROP TABLE not_there");
  });

  it("keep what PostgreSQL cannot hold: U+0000 in an argument ends in the dead letters, whole", async () => {
    await using harness = await prepare();
    harness.start();
    await harness.write({ command: "customer", key: "nul\u0000key", args: { name: "a\u0000b" }, partition: 0 });
    await harness.applied();
    const [row] = await harness.admin<
      { payload: { args: { name: string } }; sqlstate: string }[]
    >`SELECT payload, sqlstate FROM tidemark.dead_letter WHERE journal = ${harness.journal.id}`;
    expect(row?.payload.args.name).toBe("a\u0000b");
    expect(row?.sqlstate?.slice(0, 2)).toBe("22");
  });

  it("never read arguments as SQL: quotes, comments and array braces arrive as they are", async () => {
    await using harness = await prepare();
    harness.start();
    const text = `'); DROP TABLE note; -- "\\ {}`;
    await harness.write({
      command: "note",
      key: "n",
      args: { text, tags: [text, "a,b", null, "NULL"], body: { deep: [text, 1, true, null] } },
      partition: 0,
    });
    await harness.write({ command: "note", key: "n", args: { text: "plain", body: "a string" }, partition: 0 });
    await harness.applied();
    expect(harness.gateway.of("verdict")).toEqual([]);
    expect(await harness.admin`SELECT text, array_to_json(tags) AS tags, body FROM note`).toEqual([
      { text, tags: [text, "a,b", null, "NULL"], body: { deep: [text, 1, true, null] } },
      { text: "plain", tags: null, body: "a string" },
    ]);
  });
});
