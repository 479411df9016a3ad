import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sleep } from "@tidemark/kernel/clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_SETTINGS, startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { testMajors } from "@tidemark/postgres/testing/test-majors";
import { CanaryProbe } from "../canary/canary-probe.ts";
import { PostgresqlProbe } from "./postgresql-probe.ts";
import { grantsScript } from "./postgresql/grants-script.ts";
import { KeptConnection } from "./postgresql/kept-connection.ts";
import { StoreObservation } from "./store-observation.ts";
import { copy, look, lookUntil, soon, targetOf, valueOf } from "./testing/postgresql-looks.ts";

describe.each(testMajors().map((major) => ({ major })))("the probe of PostgreSQL $major", ({ major }) => {
  let server: TestServer;
  let sql: postgres.Sql;

  beforeAll(async () => {
    server = await startPrimary({
      major,
      settings: { archive_mode: "on", archive_command: "false", max_prepared_transactions: "2", max_slot_wal_keep_size: "1GB" },
    });
    sql = postgres({ ...server.connection, max: 1, fetch_types: false, onnotice: () => undefined });
  });

  afterAll(async () => {
    await sql.end({ timeout: 1 });
    await server.dispose();
  });

  const watch = (as?: { user: string; password: string }): PostgresqlProbe =>
    new PostgresqlProbe({
      name: "pg1",
      domain: {},
      target: targetOf(server, as),
      observation: new StoreObservation("orders"),
      clock: systemClock,
    });

  it("sees slots, a failing archiver, prepared and old transactions, and settings", async () => {
    await sql`select pg_create_physical_replication_slot('idle', true)`;
    await sql`create table t (i int)`;
    await sql.unsafe("begin; insert into t values (1); prepare transaction 'left behind'");
    await sql`select pg_switch_wal()`;
    const old = postgres({ ...server.connection, max: 1, fetch_types: false });
    // postgres.js never gives out a first connection that was opened for it.
    await old`select 1`;
    const held = await old.reserve();
    await held`begin`;
    await held`select 1`;
    const probe = watch();
    const reading = await lookUntil(probe, (seen) => valueOf(seen.figures["postgresql_archive_failures_total"]) > 0);
    await sleep(systemClock, 20);
    const later = await look(probe);
    held.release();
    await old.end({ timeout: 1 });
    await probe.close();
    const figure = (name: string): number => valueOf(reading.figures[name]);
    expect(figure("postgresql_slots")).toBe(1);
    expect(figure("postgresql_slots_inactive")).toBe(1);
    expect(figure("postgresql_slots_losing_wal")).toBe(0);
    expect(figure("postgresql_slot_least_safe_bytes")).toBeGreaterThan(0);
    expect(figure("postgresql_slot_most_kept_bytes")).toBeGreaterThanOrEqual(0);
    expect(figure("postgresql_archiving_fails")).toBe(1);
    expect(figure("postgresql_archive_backlog_bytes")).toBeGreaterThanOrEqual(16_777_216);
    expect(figure("postgresql_wal_folder_bytes")).toBeGreaterThan(0);
    expect(figure("postgresql_data_bytes")).toBeGreaterThan(1_000_000);
    expect(figure("postgresql_prepared_transactions")).toBe(1);
    expect(valueOf(later.figures["postgresql_oldest_transaction_ms"])).toBeGreaterThanOrEqual(20);
    expect(figure("postgresql_fsync")).toBe(1);
    const archive = copy(reading, "archive");
    expect(archive.recoveryPoint).toMatchObject({ known: false, why: "nothing was archived yet" });
    expect(archive.remarks.join()).toContain("archiving fails");
    expect(reading.details.settings.settings).toMatchObject({ wal_level: "replica", archive_command: "set", full_page_writes: "on" });
    const slot = reading.details.primary?.slots[0];
    expect(slot).toMatchObject({ name: "idle", type: "physical", active: false, walStatus: "reserved" });
    if (major >= 17) expect(slot?.inactiveForMs).toBeGreaterThanOrEqual(0);
    else expect(slot?.inactiveForMs).toBeUndefined();
    await sql`rollback prepared 'left behind'`;
    await sql`select pg_drop_replication_slot('idle')`;
  });

  it("turns the last archived file into a recovery point", async () => {
    await server.server.configure({ ...TEST_SETTINGS, archive_mode: "on", archive_command: "true" });
    server.server.reload();
    const probe = watch();
    await look(probe);
    await sql`insert into t values (2)`;
    await sql`select pg_switch_wal()`;
    const reading = await lookUntil(probe, (seen) => {
      const { recoveryPoint } = copy(seen, "archive");
      return recoveryPoint.known && recoveryPoint.value.complete;
    });
    expect(copy(reading, "archive")).toMatchObject({ kind: "archive", holds: "wal", missingBytes: { known: true, value: 0 } });
    await sql`insert into t values (3)`;
    const behind = copy(await look(probe), "archive");
    await probe.close();
    expect(behind.recoveryPoint).toMatchObject({ known: true, value: { complete: false } });
    expect(valueOf(behind.missingBytes)).toBeGreaterThan(0);
    expect(valueOf(behind.missingTransactions)).toBeGreaterThanOrEqual(1);
  });

  it("works with nothing granted, and says which figures are unknown and why; the script of grants makes them known", async () => {
    await sql.unsafe("create role tidemark_probe login password 'seen'");
    const receiver = postgres({ ...server.connection, max: 1, fetch_types: false });
    await receiver`select 1`;
    const open = await receiver.reserve();
    const as = { user: "tidemark_probe", password: "seen" };
    const poor = watch(as);
    const without = await look(poor);
    await poor.close();
    const unknowns = Object.entries(without.figures).flatMap(([name, figure]) => (figure.known ? [] : [name]));
    expect(unknowns.sort()).toEqual([
      "postgresql_archive_backlog_bytes",
      "postgresql_oldest_transaction_ms",
      "postgresql_synchronous_replicas",
      "postgresql_wal_folder_bytes",
    ]);
    for (const name of unknowns)
      expect(without.figures[name]).toMatchObject({ why: expect.stringMatching(/^pg_\w+ is not granted to tidemark_probe$/) as string });
    expect(without.details.settings.canary).toBe(false);

    const script = grantsScript({ role: "tidemark_probe", canary: true });
    await sql.unsafe(script);
    await sql.unsafe(script);
    const granted = watch(as);
    const canary = new CanaryProbe({ store: "orders", target: targetOf(server, as), clock: systemClock });
    expect(await canary.probe(soon())).toMatchObject({ ok: true, figures: { canary_sequence: { value: 1 } } });
    const reading = await look(granted);
    await granted.close();
    await canary.close();
    open.release();
    await receiver.end({ timeout: 1 });
    expect(Object.entries(reading.figures).flatMap(([name, figure]) => (figure.known ? [] : [name]))).toEqual([]);
    expect(reading.details.primary?.canary).toMatchObject({ sequence: 1n });
    expect(reading.store?.newestCommit).toMatchObject({ known: true, method: "canary" });
  });

  it("keeps one session, which cannot write", async () => {
    const probe = watch();
    for (let turn = 0; turn < 4; turn++) await look(probe);
    const sessions = await sql`select pid from pg_stat_activity where application_name = 'tidemark-probe'`;
    expect(sessions).toHaveLength(1);
    await probe.close();
    const session = { applicationName: "tidemark-test", readOnly: true, statementTimeoutMs: 1_000 };
    const connection = new KeptConnection(targetOf(server), session);
    await expect(connection.ask("create table written (i int)", [], soon())).rejects.toMatchObject({ code: "TM-PROBE-FAILED" });
    await expect(connection.ask("select pg_sleep(5)", [], soon())).rejects.toMatchObject({ code: "TM-PROBE-SLOW" });
    expect(connection.isOpen).toBe(true);
    connection.close();
  });
});
