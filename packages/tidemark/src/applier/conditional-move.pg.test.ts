import type { Epoch, Sequence } from "@tidemark/kernel/brands";
import { Redacted } from "@tidemark/kernel/redacted";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileCommand } from "../gateway/command-catalogue.ts";
import type { ApplyUnit, DatabaseSession, WriteStep } from "./database.ts";
import { PostgresDatabase } from "./platform/postgres-database.ts";
import { ApplierHarness } from "./testing/applier-harness.ts";

const command = compileCommand("put", {
  store: "orders",
  key: "/n",
  schema: { type: "object", properties: { n: {} } },
  statements: ["INSERT INTO plain (n) VALUES (:n)"],
  onReject: "skip",
  volatile: false,
});
const sequence = (n: number): Sequence => BigInt(n) as Sequence;
const step = (n: number): WriteStep => ({
  kind: "write",
  sequence: sequence(n),
  key: "k",
  acceptedAtMs: 1,
  write: {
    v: 1,
    id: "00000000-0000-7000-8000-000000000000",
    command: "put",
    args: { n },
    idempotencyKey: `key ${n}`,
    scope: "s",
    contentHash: "h",
  },
  command,
});

describe("a transaction whose position does not fit", () => {
  let primary: TestServer;
  let harness: ApplierHarness;
  let session: DatabaseSession;
  beforeAll(async () => {
    primary = await startPrimary();
    harness = await ApplierHarness.prepare({ connection: primary.connection, commands: {} });
    await harness.admin`CREATE TABLE plain (n int)`;
    const { database, user, password } = primary.connection;
    const route = harness.locator.current;
    if (route === undefined) throw new Error("there is no route");
    session = await new PostgresDatabase({ database, user, password: new Redacted(password) }).open(route);
  });
  afterAll(async () => {
    await session.close();
    await harness[Symbol.asyncDispose]();
    await primary.dispose();
  });

  const unit = (from: number | undefined, to: number, change: Partial<ApplyUnit> = {}): ApplyUnit => ({
    journal: harness.journal.id,
    epoch: 1 as Epoch,
    moves: [{ generation: 1, partition: 0, from: from === undefined ? undefined : sequence(from), to: sequence(to) }],
    steps: [step(to)],
    ...change,
  });
  const rows = async (): Promise<number[]> => (await harness.admin<{ n: number }[]>`SELECT n FROM plain ORDER BY n`).map((row) => row.n);

  it("is refused as a whole, COMMIT too, and the session goes on", async () => {
    expect(await session.apply(unit(undefined, 5))).toMatchObject({ kind: "committed" });
    // A sleeper's view, a forerunner's view, and a second first row.
    for (const from of [4, 6, undefined]) {
      expect(await session.apply(unit(from, 7))).toMatchObject({
        kind: "failed",
        step: undefined,
        trouble: { sqlstate: "TM001", reaction: "reconnect" },
      });
    }
    expect(await rows()).toEqual([5]);
    expect(await session.apply(unit(5, 7))).toMatchObject({ kind: "committed", facts: { proof: "asynchronous" } });
    expect(await rows()).toEqual([5, 7]);
    expect(await harness.admin`SELECT key FROM tidemark.idempotency ORDER BY key`).toEqual([{ key: "key 5" }, { key: "key 7" }]);
  });

  it("is refused in another epoch, though its position fits", async () => {
    expect(await session.apply(unit(7, 8, { epoch: 2 as Epoch }))).toMatchObject({ kind: "failed", trouble: { sqlstate: "TM003" } });
    expect(await session.barrier({ ...unit(7, 8), epoch: 2 as Epoch })).toMatchObject({ kind: "failed", trouble: { sqlstate: "TM003" } });
    expect(await rows()).toEqual([5, 7]);
  });

  it("waits for the other one in hand, and then does not fit", async () => {
    const other = await harness.admin.reserve();
    await other`BEGIN`;
    await other`SELECT tidemark.move_position(${harness.journal.id}, 1, 0, 7, 9, false, 1)`;
    const waiting = session.apply(unit(7, 8));
    await expect
      .poll(
        async () =>
          (
            await harness.admin`SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'tidemark_applier' AND wait_event_type = 'Lock'`
          )[0]?.["n"],
      )
      .toBe(1);
    await other`COMMIT`;
    other.release();
    expect(await waiting).toMatchObject({ kind: "failed", trouble: { sqlstate: "TM001" } });
    expect(await rows()).toEqual([5, 7]);
  });
});
