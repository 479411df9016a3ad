import { randomUUID } from "node:crypto";
import { cp, rm } from "node:fs/promises";
import type { JournalId, Timeline } from "@tidemark/kernel/brands";
import { cloneStandby, startPrimary, startPrimaryWithStandby, untilStreaming } from "@tidemark/postgres/testing/cluster-fixture";
import postgres from "postgres";
import { describe, expect, it } from "vitest";
import { SimulatedJournal } from "../journal/simulated/simulated-journal.ts";
import { RECORD_REIGN_SQL } from "./schema.ts";
import { ApplierHarness, type HarnessOptions } from "./testing/applier-harness.ts";

const number = { type: "integer" };
const COMMANDS = {
  add: {
    schema: { type: "object", properties: { amount: number } },
    statements: [
      "INSERT INTO account AS a (key, total) VALUES (:key, :amount) ON CONFLICT (key) DO UPDATE SET total = a.total + excluded.total",
    ],
  },
};
const TABLE = "CREATE TABLE IF NOT EXISTS account (key text PRIMARY KEY, total bigint NOT NULL CHECK (total < 1000))";
const adds = (count: number): { command: string; key: string; args: { amount: number } }[] =>
  Array.from({ length: count }, (_, i) => ({ command: "add", key: `k${i % 9}`, args: { amount: 1 } }));
const total = async (sql: postgres.Sql): Promise<number> => Number((await sql`SELECT sum(total)::int AS sum FROM account`)[0]?.["sum"]);
const prepare = async (options: Omit<HarnessOptions, "commands">): Promise<ApplierHarness> => {
  const harness = await ApplierHarness.prepare({ commands: COMMANDS, ...options });
  await harness.admin.unsafe(TABLE);
  return harness;
};

describe("healing", () => {
  it("puts back what a failover to a standby that lagged has lost, and nothing twice", async () => {
    await using pair = await startPrimaryWithStandby({ synchronous: false });
    const { primary, standby } = pair;
    await using harness = await prepare({ connection: primary.connection });
    harness.start();
    await harness.write(...adds(90));
    await harness.applied();
    const replayed = await harness.admin`SELECT pg_current_wal_flush_lsn()::text AS lsn`;
    const there = postgres({ ...standby.connection, username: standby.connection.user, max: 1, fetch_types: false });
    await expect
      .poll(
        async () =>
          (await there`SELECT pg_last_wal_replay_lsn() >= ${replayed[0]?.["lsn"] as string}::pg_lsn AS caught_up`)[0]?.["caught_up"],
      )
      .toBe(true);
    // The standby hears nothing more; the primary goes on, then dies.
    await there.unsafe("ALTER SYSTEM SET primary_conninfo = ''");
    await there`SELECT pg_reload_conf()`;
    await expect.poll(async () => (await harness.admin`SELECT count(*)::int AS n FROM pg_stat_replication`)[0]?.["n"]).toBe(0);
    await harness.write(...adds(180));
    await harness.applied();
    const before = Math.max(...[0, 1, 2, 3].map((partition) => Number(harness.gateway.applied(partition))));
    expect(before).toBe(270);
    await primary.server.kill();
    await there`SELECT pg_promote()`;
    await there.unsafe(RECORD_REIGN_SQL, [2, "node2", 2, "0/0"]);
    expect(await total(there)).toBe(90);
    harness.locator.move({ epoch: 2 as never, node: "node2", port: standby.connection.port, timeline: 2 as Timeline });
    await harness.gateway.until(() => harness.gateway.of("state").some(({ state }) => state.state === "healing"));
    await harness.gateway.until(() => harness.gateway.state?.state === "applying");
    await harness.write(...adds(9));
    await harness.applied();
    expect(await total(there)).toBe(279);
    const went = harness.gateway
      .of("applied")
      .filter((message) => message.partition === 0)
      .map((message) => Number(message.upTo));
    expect(went.some((upTo, index) => index > 0 && upTo < (went[index - 1] ?? 0))).toBe(true);
    expect(harness.gateway.of("verdict")).toEqual([]);
    await there.end({ timeout: 1 });
  });

  it("waits for an operator on a restored database, and then applies again all but the discarded", async () => {
    await using primary = await startPrimary({ settings: { wal_keep_size: "64MB" } });
    await using backup = await cloneStandby(primary, { name: "backup" });
    await using harness = await prepare({ connection: primary.connection });
    harness.start();
    await harness.write(...adds(20));
    await harness.applied();
    await backup.server.start({ awaitReady: "accepting" });
    await untilStreaming(primary, "backup");
    const restored = postgres({ ...backup.connection, username: backup.connection.user, max: 1, fetch_types: false });
    await expect.poll(async () => (await restored`SELECT to_regclass('account') IS NOT NULL AS there`)[0]?.["there"]).toBe(true);
    await expect.poll(() => total(restored)).toBe(20);
    // The copy stops here: a backup. What follows is what the restore is for.
    await backup.server.stop("fast");
    await harness.write(...adds(10));
    const [wrong] = await harness.write({ command: "add", key: "k0", args: { amount: 500 } });
    await harness.applied();
    await primary.server.kill();
    await restored.end({ timeout: 1 });
    await backup.server.start({ awaitReady: "accepting" });
    const again = postgres({ ...backup.connection, username: backup.connection.user, max: 1, fetch_types: false });
    await again`SELECT pg_promote()`;
    harness.locator.move({ port: backup.connection.port });
    await harness.gateway.until(() => harness.gateway.state?.state === "stopped");
    expect(harness.gateway.state).toMatchObject({ code: "TM-APPLIER-NOT-RECORDED" });
    expect(await total(again)).toBe(20);
    await harness.gateway.appendVerdict(wrong?.partition ?? 0, {
      v: 1,
      sequence: String(wrong?.sequence),
      verdict: "discarded",
      reason: "wrong amount",
      by: "ada",
    });
    harness.gateway.tell({ type: "reapply", except: [String(wrong?.sequence)], by: "ada", reason: "restored" });
    await harness.gateway.until(() => harness.gateway.state?.state === "applying");
    await harness.applied();
    expect(await total(again)).toBe(30);
    expect((await again`SELECT state FROM tidemark.dead_letter`).map((row) => row["state"])).toEqual(["discarded"]);
    await again.end({ timeout: 1 });
  });

  it("reports as incidents the writes that had taken effect and are refused now", async () => {
    await using primary = await startPrimary();
    await using harness = await prepare({ connection: primary.connection });
    harness.start();
    await harness.write(...adds(9));
    await harness.applied();
    await primary.server.stop("fast");
    const data = `${primary.folder}/data`;
    await cp(data, `${primary.folder}/copy`, { recursive: true, preserveTimestamps: true });
    await primary.server.start({ awaitReady: "accepting" });
    const [late] = await harness.write({ command: "add", key: "k3", args: { amount: 5 } });
    await harness.applied();
    harness.gateway.tell({ type: "pause", paused: true });
    await primary.server.stop("fast");
    await rm(data, { recursive: true });
    await cp(`${primary.folder}/copy`, data, { recursive: true, preserveTimestamps: true });
    await chownLike(data, primary);
    await primary.server.start({ awaitReady: "accepting" });
    const hand = postgres({ ...primary.connection, username: primary.connection.user, max: 1, fetch_types: false });
    await hand`UPDATE account SET total = 999 WHERE key = 'k3'`;
    await hand.end({ timeout: 1 });
    harness.gateway.tell({ type: "pause", paused: false });
    await harness.gateway.until(() => harness.gateway.of("incident").length > 0);
    expect(harness.gateway.of("incident")).toMatchObject([{ sequence: String(late?.sequence), code: "TM-APPLIER-OUTCOME-CHANGED" }]);
    await harness.gateway.until(() => harness.gateway.of("verdict").length > 0);
  });

  it("does not say applied while the wait for the copy was cancelled; a barrier says it later", async () => {
    await using pair = await startPrimaryWithStandby({ synchronous: true });
    const { primary, standby } = pair;
    await using harness = await prepare({ connection: primary.connection, guarantee: "synchronous", demanded: ["standby1"] });
    harness.start();
    await harness.write(...adds(4));
    await harness.applied();
    process.kill(await walReceiver(standby), "SIGSTOP");
    const [hung] = await harness.write({ command: "add", key: "cut", args: { amount: 1 } });
    const waiting = async (): Promise<number | undefined> =>
      (
        await harness.admin<
          { pid: number }[]
        >`SELECT pid FROM pg_stat_activity WHERE application_name = 'tidemark_applier' AND wait_event = 'SyncRep' LIMIT 1`
      )[0]?.pid;
    await expect.poll(waiting).toBeDefined();
    await harness.admin`SELECT pg_cancel_backend(${(await waiting()) ?? 0})`;
    await expect.poll(async () => (await harness.admin`SELECT total::int AS total FROM account WHERE key = 'cut'`)[0]?.["total"]).toBe(1);
    // The row is visible on the primary, and the applier has its answer: COMMIT, with a WARNING.
    await expect.poll(waiting).toBeDefined(); // the barrier that follows waits for the copy
    expect(harness.gateway.applied(hung?.partition ?? 0) < (hung?.sequence ?? 0n)).toBe(true);
    process.kill(await walReceiver(standby), "SIGCONT");
    await harness.applied();
    expect(harness.gateway.of("applied").at(-1)?.provisional).toBe(false);
  });
});

describe("two of something", () => {
  it("takes one effect of the same key through two gateways, and rejects the same key with other content", async () => {
    await using primary = await startPrimary();
    await using first = await prepare({ connection: primary.connection });
    await using second = await prepare({
      connection: primary.connection,
      journal: new SimulatedJournal({ id: randomUUID() as JournalId }),
    });
    first.start();
    second.start();
    await first.write({ command: "add", key: "k", args: { amount: 1 }, idempotencyKey: "once" });
    await first.applied();
    await second.write(
      ...adds(5),
      { command: "add", key: "k", args: { amount: 1 }, idempotencyKey: "once" },
      { command: "add", key: "k", args: { amount: 1 }, idempotencyKey: "twice in one batch" },
      { command: "add", key: "k", args: { amount: 1 }, idempotencyKey: "twice in one batch" },
      { command: "add", key: "k", args: { amount: 2 }, idempotencyKey: "once" },
      ...adds(5),
    );
    await second.applied();
    expect(Number((await first.admin`SELECT total FROM account WHERE key = 'k'`)[0]?.["total"])).toBe(2);
    expect(await total(first.admin)).toBe(12);
    expect(second.gateway.of("verdict").map(({ payload }) => payload.reason)).toEqual([
      expect.stringContaining("taken with other content"),
    ]);
  });

  it("lets one of two appliers of the same journal move each position", async () => {
    await using primary = await startPrimary();
    await using first = await prepare({ connection: primary.connection });
    await using zombie = await prepare({ connection: primary.connection, journal: first.journal });
    first.start();
    zombie.start();
    for (let round = 0; round < 30; round++) await first.write(...adds(18));
    await Promise.all([first.applied(), zombie.applied()]);
    expect(await total(first.admin)).toBe(540);
  });

  it("refuses the transaction of an applier that has not heard of a newer reign", async () => {
    await using primary = await startPrimary();
    await using harness = await prepare({ connection: primary.connection });
    harness.start();
    await harness.write(...adds(4));
    await harness.applied();
    await harness.recordReign(2);
    await harness.write(...adds(4));
    await harness.gateway.until(() => harness.gateway.state?.state === "waiting" && harness.gateway.state.code === "TM-APPLIER-NOT-READY");
    expect(await total(harness.admin)).toBe(4);
    harness.locator.move({ epoch: 2 as never });
    await harness.applied();
    expect(await total(harness.admin)).toBe(8);
  });
});

describe("a journal that is not the one of before", () => {
  it("starts at its own beginning when its disk was replaced, and says that the old one is gone", async () => {
    await using primary = await startPrimary();
    {
      await using old = await prepare({ connection: primary.connection });
      old.start();
      await old.write(...adds(50));
      await old.applied();
    }
    await using replaced = await prepare({ connection: primary.connection });
    await replaced.write(...adds(7));
    replaced.start();
    await replaced.applied();
    expect(await total(replaced.admin)).toBe(57);
    expect(replaced.gateway.of("incident")).toMatchObject([{ code: "TM-APPLIER-JOURNAL-REPLACED" }]);
  });

  it("stops the applier when it ends before the database's position", async () => {
    await using primary = await startPrimary();
    const id = randomUUID() as JournalId;
    {
      await using longer = await prepare({ connection: primary.connection, journal: new SimulatedJournal({ id }) });
      longer.start();
      await longer.write(...adds(50));
      await longer.applied();
    }
    await using older = await prepare({ connection: primary.connection, journal: new SimulatedJournal({ id }) });
    await older.write(...adds(10));
    older.start();
    await older.gateway.until(() => older.gateway.state?.state === "stopped");
    expect(older.gateway.state).toMatchObject({ code: "TM-APPLIER-JOURNAL-BEHIND" });
    expect(await total(older.admin)).toBe(50);
  });

  it("stops the applier when it ended before the database's position, however much was accepted since", async () => {
    await using primary = await startPrimary();
    const id = randomUUID() as JournalId;
    {
      await using longer = await prepare({ connection: primary.connection, journal: new SimulatedJournal({ id }) });
      longer.start();
      await longer.write(...adds(20));
      await longer.applied();
    }
    // An old copy of the journal, and a database that was away while it took in more than it had lost.
    await using older = await prepare({ connection: primary.connection, journal: new SimulatedJournal({ id }) });
    await older.write(...adds(10));
    const recovered = older.journal.extent().durable;
    await older.write(...adds(30));
    older.start(recovered);
    await older.gateway.until(() => older.gateway.state?.state === "stopped");
    expect(older.gateway.state).toMatchObject({ code: "TM-APPLIER-JOURNAL-BEHIND" });
    expect(await total(older.admin)).toBe(20);
  });

  it("lets the applier go on past where it was recovered, also over a lost connection", async () => {
    await using primary = await startPrimary();
    await using harness = await prepare({ connection: primary.connection });
    await harness.write(...adds(5));
    harness.start(harness.journal.extent().durable);
    await harness.write(...adds(5));
    await harness.applied();
    await harness.admin`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidemark_applier'`;
    await harness.write(...adds(5));
    await harness.applied();
    expect(await total(harness.admin)).toBe(15);
  });

  it("stops the applier when it no longer has what the database needs, and names the range", async () => {
    await using primary = await startPrimary();
    const journal = new SimulatedJournal({ id: randomUUID() as JournalId });
    await using harness = await prepare({ connection: primary.connection, journal });
    await harness.write(...adds(30));
    journal.markTrimSafe(20n as never);
    journal.trim(20n as never);
    harness.start();
    await harness.gateway.until(() => harness.gateway.state?.state === "stopped");
    expect(harness.gateway.state).toMatchObject({
      code: "TM-APPLIER-NEEDED-TRIMMED",
      message: expect.stringContaining("1 to 20") as string,
    });
  });
});

async function walReceiver(standby: {
  connection: { host: string; port: number; user: string; password: string; database: string };
}): Promise<number> {
  const sql = postgres({ ...standby.connection, username: standby.connection.user, max: 1, fetch_types: false });
  try {
    return (await sql<{ pid: number }[]>`SELECT pid FROM pg_stat_wal_receiver`)[0]?.pid ?? 0;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function chownLike(
  folder: string,
  server: { server: { options: { user: { uid: number; gid: number; switches: boolean } } } },
): Promise<void> {
  const { chown, readdir, chmod } = await import("node:fs/promises");
  const { uid, gid, switches } = server.server.options.user;
  await chmod(folder, 0o700);
  if (!switches) return;
  await chown(folder, uid, gid);
  for (const entry of await readdir(folder, { recursive: true })) await chown(`${folder}/${entry}`, uid, gid);
}
