import { startPrimary, startPrimaryWithStandby, type TestPair, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ApplierHarness } from "./testing/applier-harness.ts";

const COMMANDS = {
  put: {
    schema: { type: "object", properties: { item: { type: "string" }, amount: { type: "integer" } } },
    statements: [
      "INSERT INTO item (id, key, name, amount, accepted_at) VALUES (:id, :key, :item, :amount, :accepted_at) RETURNING id, amount",
    ],
  },
};
const TABLE =
  "CREATE TABLE item (id uuid PRIMARY KEY, key text NOT NULL, name text NOT NULL, amount int NOT NULL, accepted_at timestamptz NOT NULL, n bigserial)";

describe("applier on a real PostgreSQL", () => {
  let primary: TestServer;
  beforeAll(async () => {
    primary = await startPrimary();
  });
  afterAll(() => primary.dispose());

  it("applies each write once, in order of its key, and says so", async () => {
    await using harness = await ApplierHarness.prepare({ connection: primary.connection, commands: COMMANDS });
    await harness.admin.unsafe(TABLE);
    harness.start();
    for (let round = 0; round < 20; round++) {
      await harness.write(
        ...Array.from({ length: 50 }, (_, i) => ({
          command: "put",
          key: `k${i % 7}`,
          args: { item: `round ${round}`, amount: round * 50 + i },
        })),
      );
    }
    await harness.applied();
    const rows = await harness.admin<{ key: string; amount: number }[]>`SELECT key, amount FROM item ORDER BY n`;
    expect(rows.length).toBe(1_000);
    for (let k = 0; k < 7; k++) {
      const amounts = rows.filter((row) => row.key === `k${k}`).map((row) => row.amount);
      expect(amounts).toEqual(amounts.toSorted((a, b) => a - b));
    }
    expect(harness.gateway.state).toEqual({ state: "applying" });
  });

  it("answers the rows of a write that waits for them", async () => {
    await using harness = await ApplierHarness.prepare({ connection: primary.connection, commands: COMMANDS });
    harness.start();
    const [written] = await harness.write({ command: "put", key: "rows", args: { item: "x", amount: 7 }, rows: true });
    await harness.applied();
    const answers = harness.gateway.of("applied").flatMap((message) => message.answers);
    expect(answers).toEqual([{ sequence: String(written?.sequence), rows: [[{ id: written?.id, amount: 7 }]] }]);
  });
});

describe("applier with a synchronous standby", () => {
  let pair: TestPair;
  beforeAll(async () => {
    pair = await startPrimaryWithStandby({ synchronous: true });
  });
  afterAll(() => pair.dispose());

  it("says applied without provision, and trims what the copies have flushed", async () => {
    await using harness = await ApplierHarness.prepare({
      connection: pair.primary.connection,
      commands: COMMANDS,
      guarantee: "synchronous",
      demanded: ["standby1"],
    });
    await harness.admin.unsafe(TABLE);
    harness.start();
    const written = await harness.write(
      ...Array.from({ length: 100 }, (_, i) => ({ command: "put", key: `k${i}`, args: { item: "x", amount: i } })),
    );
    await harness.applied();
    expect(harness.gateway.of("applied").every((message) => !message.provisional)).toBe(true);
    const last = written.at(-1)?.sequence ?? 0n;
    await harness.gateway.until(() => BigInt(harness.gateway.of("trim-safe").at(-1)?.upTo ?? "-1") >= last);
    // On which timeline, too: on another one it may have been applied again later.
    expect(harness.gateway.of("trim-safe").at(-1)?.timeline).toBe(harness.gateway.of("applied").at(-1)?.timeline);
  });

  it("calls nothing safe to forget while a copy is required and none is named (TRIM-SAFE)", async () => {
    await using harness = await ApplierHarness.prepare({ connection: pair.primary.connection, commands: COMMANDS, requiredCopies: 1 });
    harness.start();
    await harness.write({ command: "put", key: "alone", args: { item: "x", amount: 1 } });
    await harness.applied();
    const journal = harness.journal.id;
    const barriers = async (): Promise<bigint> =>
      BigInt((await harness.admin<{ number: string }[]>`SELECT number FROM tidemark.barrier WHERE journal = ${journal}`)[0]?.number ?? "0");
    // Each write lets one more barrier be made; the second one begins when the first has said what it had to say.
    const from = await barriers();
    for (let amount = 2; (await barriers()) < from + 2n; amount++) {
      await harness.write({ command: "put", key: "alone", args: { item: "x", amount } });
      await harness.applied();
    }
    expect(harness.gateway.of("trim-safe")).toEqual([]);
  });
});
