// One real server per finding, and its healthy twin: one primary that is set wrong and right again.
import { spawnSync } from "node:child_process";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { choosePostgresUser, serverEnvironment, spawnIdentity } from "@tidemark/postgres/unprivileged-user";
import { startPrimary, TEST_SETTINGS, unstartedServer, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import type postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { change, findings, look, session, until } from "./testing/checked-server.ts";

let primary: TestServer;
let sql: postgres.Sql;

beforeAll(async () => {
  primary = await startPrimary({
    settings: { wal_level: "logical", max_prepared_transactions: "5", max_wal_size: "32MB", min_wal_size: "32MB" },
  });
  sql = session(primary.connection);
});
afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await primary?.dispose();
});

/** Restarts the primary with other settings beside the test's. */
async function restartWith(settings: Record<string, string>): Promise<void> {
  await sql.end({ timeout: 1 });
  await primary.server.stop("fast");
  await primary.server.configure({ ...TEST_SETTINGS, ...settings });
  await primary.server.start({ awaitReady: "accepting" });
  sql = session(primary.connection);
}

const BASE = { wal_level: "logical", max_prepared_transactions: "5", max_wal_size: "32MB", min_wal_size: "32MB" };

describe("a check of a primary", () => {
  it("finds no copy and no archive on a bare server, nothing else that is critical, and knows everything that it asked", async () => {
    const report = await look(primary.connection);
    expect(report.findings.filter(({ severity }) => severity === "critical").map(({ name }) => name)).toEqual(["no-copy"]);
    expect(report.findings.map(({ name }) => name)).toContain("archive-off");
    expect(report.unknown).toEqual([]);
    expect(report.exposure.find(({ scenario }) => scenario === "node-loss")?.exposure.kind).toBe("no-copy");
  });

  it("names settings that can be loaded and risk data, and is silent once they are right", async () => {
    const loadable = { fsync: "off", full_page_writes: "off", synchronous_commit: "off" };
    const names = ["fsync-off", "full-page-writes-off", "synchronous-commit-off"];
    await change(sql, loadable);
    const bad = await look(primary.connection);
    expect(bad.findings.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    expect(bad.exposure.find(({ scenario }) => scenario === "process-loss")?.exposure).toEqual({ kind: "known", ms: 300, errorMs: 300 });
    await change(sql, { fsync: null, full_page_writes: null, synchronous_commit: null });
    expect((await findings(primary.connection)).filter((name) => names.includes(name))).toEqual([]);
  });

  it("names synchronous_commit that is off for a role or a database only", async () => {
    await sql.unsafe(
      "create role hurried; alter role hurried set synchronous_commit = off; alter database template1 set synchronous_commit = off",
    );
    const found = (await look(primary.connection)).findings.find(({ name }) => name === "synchronous-commit-off");
    expect(found?.evidence).toEqual(["synchronous_commit is off for database template1", "synchronous_commit is off for role hurried"]);
    expect(found?.fix).toContain("ALTER ROLE hurried RESET synchronous_commit;");
    for (const statement of found?.fix ?? []) await sql.unsafe(statement);
    expect(await findings(primary.connection)).not.toContain("synchronous-commit-off");
  });

  it("names open and prepared transactions that are old, and is silent about young ones", async () => {
    await using other = { sql: session(primary.connection), [Symbol.asyncDispose]: () => other.sql.end({ timeout: 0 }) };
    await sql.unsafe("begin; create table t_prepared (id int); prepare transaction 'it''s old'");
    await other.sql.unsafe("begin; select 1");
    const thresholds = { transactionAgeMs: 0 };
    const report = await look(primary.connection, { thresholds });
    expect(report.findings.map(({ name }) => name)).toEqual(expect.arrayContaining(["long-transaction", "prepared-transaction-old"]));
    expect(report.findings.find(({ name }) => name === "prepared-transaction-old")?.fix[1]).toContain("ROLLBACK PREPARED 'it''s old'");
    const young = await findings(primary.connection);
    expect(young).not.toContain("long-transaction");
    expect(young).not.toContain("prepared-transaction-old");
    await other.sql.unsafe("rollback");
    await sql.unsafe("rollback prepared 'it''s old'");
    const ended = await findings(primary.connection, { thresholds });
    expect(ended).not.toContain("long-transaction");
    expect(ended).not.toContain("prepared-transaction-old");
  });

  it("names unlogged tables until they are logged", async () => {
    await sql.unsafe('create unlogged table "Odd name" (id int)');
    const found = (await look(primary.connection)).findings.find(({ name }) => name === "unlogged-tables");
    expect(found?.evidence.join()).toContain("1 unlogged table in postgres: public.Odd name");
    await sql.unsafe('alter table "Odd name" set logged');
    expect(await findings(primary.connection)).not.toContain("unlogged-tables");
  });

  it("names sequences beside a logical slot, and is silent without the publication", async () => {
    await sql.unsafe("create table t_published (id bigserial primary key); create publication p for table t_published");
    await sql.unsafe("select pg_create_logical_replication_slot('sub', 'pgoutput')");
    expect(await findings(primary.connection)).toContain("logical-sequences");
    await sql.unsafe("drop publication p");
    expect(await findings(primary.connection)).not.toContain("logical-sequences");
    await sql.unsafe("select pg_drop_replication_slot('sub')");
  });

  it("does not take a subscription for a copy of the whole", async () => {
    const { host, port, user, password } = primary.connection;
    await sql.unsafe("create table t_some (id int); create publication feed for table t_some");
    await sql.unsafe("select pg_create_logical_replication_slot('feed', 'pgoutput')");
    await sql.unsafe("create database subscriber");
    const subscriber = session({ ...primary.connection, database: "subscriber" });
    try {
      const login = `host=${host} port=${port} user=${user} password='${password.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}' dbname=postgres`;
      await subscriber.unsafe("create table t_some (id int)");
      await subscriber.unsafe(
        `create subscription feed connection '${login.replaceAll("'", "''")}' publication feed with (create_slot = false, copy_data = false)`,
      );
      await until("it streams", async () => (await sql.unsafe("select from pg_stat_replication where state = 'streaming'")).length === 1);
      const report = await look(primary.connection);
      expect(report.copies).toMatchObject([{ name: "feed", kind: "logical" }]);
      const names = report.findings.map(({ name }) => name);
      expect(names).toContain("no-copy");
      expect(names).not.toContain("one-failure-domain");
      expect(names).not.toContain("logical-slot-no-failover");
      expect(report.exposure.find(({ scenario }) => scenario === "node-loss")?.exposure.kind).toBe("no-copy");
      await subscriber.unsafe("alter subscription feed disable");
      await subscriber.unsafe("alter subscription feed set (slot_name = none)");
      await subscriber.unsafe("drop subscription feed");
    } finally {
      await subscriber.end({ timeout: 1 });
    }
    await until("it left", async () => (await sql.unsafe("select from pg_stat_replication")).length === 0);
    await sql.unsafe("select pg_drop_replication_slot('feed')");
    await sql.unsafe("drop publication feed");
  });

  it("follows a slot from unused to endangered to lost, and says what bounds it", async () => {
    await sql.unsafe("select pg_create_physical_replication_slot('away', true)");
    const unused = await findings(primary.connection);
    expect(unused).toEqual(expect.arrayContaining(["slot-inactive", "slots-unbounded"]));
    expect(unused).not.toContain("slot-losing-wal");
    expect(unused).not.toContain("slot-idle-timeout");
    expect(unused).not.toContain("wal-piling-up");

    await change(sql, { idle_replication_slot_timeout: "1d", max_slot_wal_keep_size: "1GB" });
    const bounded = await findings(primary.connection);
    expect(bounded).toContain("slot-idle-timeout");
    expect(bounded).not.toContain("slots-unbounded");

    // Six files of 16 MiB, held by the slot: more than twice max_wal_size.
    for (let file = 0; file < 6; file += 1)
      await sql.unsafe("select pg_logical_emit_message(true, 'tidemark', 'x'); select pg_switch_wal()");
    expect(await findings(primary.connection)).toContain("wal-piling-up");
    await change(sql, { max_slot_wal_keep_size: "16MB" });
    expect(await findings(primary.connection)).toContain("slot-losing-wal");
    await sql.unsafe("checkpoint");
    const lost = await findings(primary.connection);
    expect(lost).toContain("slot-lost");
    expect(lost).not.toContain("slot-inactive");
    expect(lost).not.toContain("slot-losing-wal");

    await sql.unsafe("select pg_drop_replication_slot('away')");
    await change(sql, { idle_replication_slot_timeout: null, max_slot_wal_keep_size: null });
    await sql.unsafe("checkpoint");
    const healthy = await findings(primary.connection);
    expect(healthy.filter((name) => name.startsWith("slot") || name === "wal-piling-up")).toEqual([]);
  });

  it("follows an archive from off to hollow to failing to working", async () => {
    await restartWith({ ...BASE, archive_mode: "on", archive_command: "true" });
    const hollow = await findings(primary.connection);
    expect(hollow).toEqual(expect.arrayContaining(["archive-command-hollow", "archive-timeout-off"]));
    expect(hollow).not.toContain("archive-off");
    expect(hollow).not.toContain("no-copy");
    expect(hollow).not.toContain("archiver-failing");

    await change(sql, { archive_command: "echo a-secret-word; test ! -f %p", archive_timeout: "1h" });
    await sql.unsafe("select pg_logical_emit_message(true, 'tidemark', 'x'); select pg_switch_wal()");
    await until(
      "the archiver failed",
      async () => Number((await sql.unsafe("select failed_count from pg_stat_archiver"))[0]?.["failed_count"]) > 0,
    );
    const failing = await look(primary.connection);
    const names = failing.findings.map(({ name }) => name);
    expect(names).toContain("archiver-failing");
    expect(names).not.toContain("archive-command-hollow");
    expect(names).not.toContain("archive-timeout-off");
    expect(JSON.stringify(failing)).not.toContain("a-secret-word");

    await change(sql, { archive_command: "test -f %p" });
    // The archiver sleeps after three failures; a new file wakes it.
    await sql.unsafe("select pg_logical_emit_message(true, 'tidemark', 'x'); select pg_switch_wal()");
    await until("the archiver works", async () => !(await findings(primary.connection)).includes("archiver-failing"));
    const working = await look(primary.connection);
    expect(working.exposure.find(({ scenario }) => scenario === "node-loss")).toMatchObject({
      uses: "WAL archive",
      exposure: { kind: "at-least" },
    });
    expect(working.copies.map(({ kind }) => kind)).toEqual(["archive"]);
  });

  it("names settings that need a restart, and is silent once they are right", async () => {
    const names = ["wal-level-minimal", "data-sync-retry-on", "commit-timestamps-off"];
    await restartWith({ wal_level: "minimal", max_wal_senders: "0", data_sync_retry: "on" });
    expect(await findings(primary.connection)).toEqual(expect.arrayContaining(names));
    await restartWith({ ...BASE, track_commit_timestamp: "on" });
    expect((await findings(primary.connection)).filter((name) => names.includes(name))).toEqual([]);
  });

  it("asks for pg_monitor instead of taking what is hidden for none, and is silent with it", async () => {
    await sql.unsafe("create role bare login password 'bare'; create role monitor login password 'monitor' in role pg_monitor");
    const bare = await look({ ...primary.connection, user: "bare", password: "bare" });
    const names = bare.findings.map(({ name }) => name);
    expect(names).toContain("rights-missing");
    expect(names).not.toContain("checked-as-superuser");
    expect(bare.unknown.map(({ part }) => part)).toEqual(expect.arrayContaining(["open transactions", "the WAL directory"]));
    const monitor = await look({ ...primary.connection, user: "monitor", password: "monitor" });
    expect(monitor.unknown).toEqual([]);
    expect(monitor.findings.map(({ name }) => name)).not.toContain("rights-missing");
    expect(monitor.findings.map(({ name }) => name)).not.toContain("checked-as-superuser");
    expect(await findings(primary.connection)).toContain("checked-as-superuser");
  });

  it("names a clock that differs, and a version whose corrections have ended", async () => {
    const at = (wallMs: () => number) => ({ ...systemClock, wallMs });
    const ahead = await look(primary.connection, { clock: at(() => systemClock.wallMs() - 3_600_000) });
    expect(ahead.findings.find(({ name }) => name === "clock-skew")?.evidence[0]).toMatch(
      /^the server is (1 h 0 m|60 m 0 s|59 m 59 s) ahead/,
    );
    const later = await findings(primary.connection, { clock: at(() => systemClock.wallMs() + 10 * 366 * 86_400_000) });
    expect(later).toContain("version-unsupported");
    const now = await findings(primary.connection);
    expect(now).not.toContain("clock-skew");
    expect(now).not.toContain("version-unsupported");
  });

  it("writes nothing: not one transaction id is used by a check", async () => {
    const next = async (): Promise<unknown> => (await sql.unsafe("select pg_snapshot_xmax(pg_current_snapshot())::text as x"))[0]?.["x"];
    const before = await next();
    await look(primary.connection);
    expect(await next()).toBe(before);
  });
});

it("a check names a server without checksums; its twin has them", async () => {
  await using server = await unstartedServer();
  const { binaries, user, dataDir } = { ...server.server.options, user: choosePostgresUser() };
  const made = spawnSync(
    binaries.initdb,
    [`--pgdata=${dataDir}`, "--username=tidemark", "--auth=trust", "--locale=C", "--no-data-checksums", "--no-sync"],
    {
      ...spawnIdentity(user),
      env: serverEnvironment(user),
      encoding: "utf8",
    },
  );
  expect(made.stderr).toBe("");
  await server.server.configure(TEST_SETTINGS);
  await server.server.start({ awaitReady: "accepting" });
  expect(await findings(server.connection)).toContain("checksums-off");
  expect(await findings(primary.connection)).not.toContain("checksums-off");
});
