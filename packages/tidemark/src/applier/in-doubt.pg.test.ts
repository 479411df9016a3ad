import { startPrimary, TEST_SETTINGS, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ApplierHarness } from "./testing/applier-harness.ts";
import { CommitCutter, type Cut } from "./testing/commit-cutter.ts";

const COMMANDS = {
  add: {
    schema: { type: "object", properties: { amount: { type: "integer" } } },
    // Not idempotent by itself: a second application shows.
    statements: [
      "INSERT INTO account AS a (key, total) VALUES (:key, :amount) ON CONFLICT (key) DO UPDATE SET total = a.total + excluded.total",
    ],
  },
};

describe("a commit in doubt", () => {
  let primary: TestServer;
  beforeAll(async () => {
    primary = await startPrimary();
  });
  afterAll(() => primary.dispose());

  for (const cut of ["before", "behind"] satisfies Cut[]) {
    it(`is decided by the position when the connection breaks ${cut} the COMMIT`, async () => {
      await using cutter = await CommitCutter.before(primary.connection);
      await using harness = await ApplierHarness.prepare({ connection: primary.connection, commands: COMMANDS, at: cutter });
      await harness.admin.unsafe("CREATE TABLE IF NOT EXISTS account (key text PRIMARY KEY, total bigint NOT NULL)");
      await harness.admin`TRUNCATE account`;
      harness.start();
      await harness.write({ command: "add", key: "warm", args: { amount: 1 } });
      await harness.applied();
      for (let round = 0; round < 10; round++) {
        cutter.next = cut;
        await harness.write(...Array.from({ length: 5 }, (_, i) => ({ command: "add", key: `k${i}`, args: { amount: 1 } })));
        await harness.applied();
      }
      expect(cutter.cuts).toBeGreaterThanOrEqual(9);
      const rows = await harness.admin<{ key: string; total: string }[]>`SELECT key, total FROM account WHERE key <> 'warm'`;
      expect(rows.map((row) => row.total)).toEqual(Array.from({ length: 5 }, () => "10"));
      expect(harness.gateway.of("verdict")).toEqual([]);
    });
  }

  it("is waited for while the COMMIT hangs, and said so, without doing anything twice", async () => {
    await using harness = await ApplierHarness.prepare({
      connection: { ...primary.connection },
      commands: COMMANDS,
      guarantee: "synchronous",
      local: true,
    });
    await harness.admin.unsafe("CREATE TABLE IF NOT EXISTS account (key text PRIMARY KEY, total bigint NOT NULL)");
    await harness.admin`TRUNCATE account`;
    const demandCopy = async (names: string): Promise<void> => {
      await primary.server.configure({ ...TEST_SETTINGS, synchronous_standby_names: names });
      primary.server.reload();
      await expect.poll(async () => (await harness.admin`SHOW synchronous_standby_names`)[0]?.["synchronous_standby_names"]).toBe(names);
    };
    await demandCopy("nobody");
    harness.start();
    await harness.write({ command: "add", key: "hangs", args: { amount: 1 } });
    await harness.gateway.until(
      () => harness.gateway.state?.state === "waiting" && harness.gateway.state.code === "TM-APPLIER-COMMIT-WAITS",
    );
    expect(harness.gateway.of("applied")).toEqual([]);
    await demandCopy("");
    await harness.applied();
    expect((await harness.admin`SELECT total FROM account WHERE key = 'hangs'`)[0]?.["total"]).toBe("1");
  });
});
