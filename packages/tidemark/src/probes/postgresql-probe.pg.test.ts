import { readFile } from "node:fs/promises";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sleep } from "@tidemark/kernel/clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import type { TestPair, TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import {
  TEST_SETTINGS,
  TEST_STANDBY,
  startPrimary,
  startPrimaryWithStandby,
  untilSynchronous,
} from "@tidemark/postgres/testing/cluster-fixture";
import { testMajors } from "@tidemark/postgres/testing/test-majors";
import { CanaryProbe } from "../canary/canary-probe.ts";
import { CANARY_ROWS } from "../canary/canary-table.ts";
import type { CopyFacts, Figure } from "./probe-result.ts";
import type { PostgresqlReading } from "./postgresql-probe.ts";
import { PostgresqlProbe } from "./postgresql-probe.ts";
import { KeptConnection } from "./postgresql/kept-connection.ts";
import type { PostgresqlTarget } from "./postgresql/postgresql-target.ts";
import { StoreObservation } from "./store-observation.ts";

type Seen = Extract<PostgresqlReading, { ok: true }>;

const soon = (): AbortSignal => AbortSignal.timeout(10_000);

async function look(probe: PostgresqlProbe): Promise<Seen> {
  const reading = await probe.probe(soon());
  if (!reading.ok) throw new Error(`${reading.code}: ${reading.why}`);
  return reading;
}

/** Looks until it holds: the machine may be busy, and what is waited for happens on its own. */
async function lookUntil(probe: PostgresqlProbe, holds: (reading: Seen) => boolean): Promise<Seen> {
  const deadlineMs = systemClock.monotonicMs() + 20_000;
  for (;;) {
    const reading = await look(probe);
    if (holds(reading)) return reading;
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`it never held; last: ${JSON.stringify(reading.copies)}`);
    await sleep(systemClock, 50);
  }
}

function copy(reading: Seen, name: string): CopyFacts {
  const found = reading.copies.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no copy ${name} among ${reading.copies.map((one) => one.name).join(", ")}`);
  return found;
}

function valueOf<T>(figure: Figure<T> | undefined): T {
  if (figure?.known !== true) throw new Error(`not known: ${figure?.why ?? "absent"}`);
  return figure.value;
}

function targetOf(server: TestServer, as?: { user: string; password: string }): PostgresqlTarget {
  const { host, port, user, password, database } = server.connection;
  return { host, port, user: as?.user ?? user, password: new Redacted(as?.password ?? password), database, tls: "disable" };
}

describe("the probe of PostgreSQL, on a primary and a standby", () => {
  let pair: TestPair;
  let sql: postgres.Sql;
  const observation = new StoreObservation("orders");
  let primary: PostgresqlProbe;
  let standby: PostgresqlProbe;
  let canary: CanaryProbe;

  beforeAll(async () => {
    pair = await startPrimaryWithStandby({ synchronous: false });
    sql = postgres({ ...pair.primary.connection, max: 1, onnotice: () => undefined });
    await sql`create table orders (id bigserial primary key, what text)`;
    const shared = { observation, clock: systemClock };
    primary = new PostgresqlProbe({
      ...shared,
      name: "pg1",
      domain: { zone: "a" },
      target: targetOf(pair.primary),
      knownCopies: { [TEST_STANDBY]: { name: "pg2", domain: { zone: "b" } } },
    });
    standby = new PostgresqlProbe({ ...shared, name: "pg2", domain: { zone: "b" }, target: targetOf(pair.standby) });
    canary = new CanaryProbe({ store: "orders", target: targetOf(pair.primary), clock: systemClock });
    await canary.ensure(soon());
    await canary.ensure(soon());
  });

  afterAll(async () => {
    for (const probe of [primary, standby, canary]) await probe.close();
    await sql.end({ timeout: 1 });
    await pair.dispose();
  });

  /** Holds the standby's receiver: what the primary writes then does not reach it. */
  async function stalled(during: () => Promise<void>): Promise<void> {
    const admin = postgres({ ...pair.standby.connection, max: 1 });
    const [receiver] = await admin<{ pid: number }[]>`select pid from pg_stat_activity where backend_type = 'walreceiver'`;
    await admin.end();
    if (receiver === undefined) throw new Error("nothing receives");
    process.kill(receiver.pid, "SIGSTOP");
    try {
      await during();
    } finally {
      process.kill(receiver.pid, "SIGCONT");
    }
  }

  it("says that an idle standby lacks nothing, by position alone where nothing is written", async () => {
    const reading = await lookUntil(primary, (seen) => {
      const { recoveryPoint } = copy(seen, "pg2");
      return recoveryPoint.known && recoveryPoint.value.complete;
    });
    expect(copy(reading, "pg2")).toMatchObject({
      kind: "standby",
      domain: { zone: "b" },
      recoveryPoint: { known: true, method: "position-history", value: { complete: true, timeline: 1 } },
      missingBytes: { known: true, value: 0 },
      missingTransactions: { known: true, value: 0 },
      synchronous: { known: true, value: false },
    });
    expect(copy(reading, "pg1")).toMatchObject({ kind: "primary", recoveryPoint: { known: true, value: { complete: true } } });
    const own = await lookUntil(standby, (seen) => {
      const { recoveryPoint } = copy(seen, "pg2");
      return recoveryPoint.known && recoveryPoint.value.complete;
    });
    expect(copy(own, "pg2")).toMatchObject({ kind: "standby", missingBytes: { known: true, value: 0 } });
  });

  it("reads the canary on the standby itself, also after the table has gone round", async () => {
    let last = 0;
    for (let beat = 0; beat < CANARY_ROWS + 5; beat++) {
      const reading = await canary.probe(soon());
      if (!reading.ok) throw new Error(reading.why);
      last = valueOf(reading.figures["canary_sequence"]);
    }
    expect(last).toBe(CANARY_ROWS + 5);
    const [rows] = await sql<{ count: number }[]>`select count(*)::int as count from tidemark_canary.beat`;
    expect(rows?.count).toBe(CANARY_ROWS);
    await look(primary);
    const reading = await lookUntil(standby, (seen) => {
      const { recoveryPoint } = copy(seen, "pg2");
      return recoveryPoint.known && recoveryPoint.value.sequence === last;
    });
    const { recoveryPoint } = copy(reading, "pg2");
    expect(recoveryPoint.known).toBe(true);
  });

  it("says what a stalled standby lacks, from when on, in bytes and in transactions without the canary's own", async () => {
    await canary.probe(soon());
    await lookUntil(primary, (seen) => {
      const { recoveryPoint } = copy(seen, "pg2");
      return recoveryPoint.known && recoveryPoint.value.complete;
    });
    await stalled(async () => {
      const stalledMs = systemClock.wallMs();
      for (let write = 0; write < 7; write++) await sql`insert into orders (what) values ('lost?')`;
      for (let beat = 0; beat < 3; beat++) await canary.probe(soon());
      const seen = await look(primary);
      const behind = copy(seen, "pg2");
      expect(behind.recoveryPoint).toMatchObject({ known: true, method: "position-history", value: { complete: false } });
      const point = valueOf(behind.recoveryPoint);
      expect(point.commitMs).toBeLessThanOrEqual(stalledMs);
      expect(point.commitMs).toBeGreaterThan(stalledMs - 5_000);
      expect(valueOf(behind.missingBytes)).toBeGreaterThan(0);
      expect(valueOf(behind.missingTransactions)).toBe(7);
      expect(valueOf(seen.store?.newestCommit).commitMs).toBeGreaterThan(stalledMs - 1_000);
      const own = copy(await look(standby), "pg2");
      expect(own.recoveryPoint).toMatchObject({ known: true, method: "canary", value: { complete: false } });
      expect(valueOf(own.recoveryPoint).commitMs).toBeLessThanOrEqual(stalledMs + 5);
      expect(valueOf(own.missingTransactions)).toBe(7);
    });
    await lookUntil(primary, (seen) => {
      const { recoveryPoint } = copy(seen, "pg2");
      return recoveryPoint.known && recoveryPoint.value.complete;
    });
  });

  it("says nothing of a standby that this user may not see, instead of that it lacks nothing", async () => {
    await sql.unsafe("create role blind login password 'blind'");
    const blind = new PostgresqlProbe({
      name: "pg1",
      domain: {},
      target: targetOf(pair.primary, { user: "blind", password: "blind" }),
      observation: new StoreObservation("orders"),
      clock: systemClock,
    });
    const seen = (await look(blind)).copies.filter(({ kind }) => kind !== "primary");
    await blind.close();
    expect(seen).toHaveLength(1);
    const hidden = { known: false, why: "pg_read_all_stats is not granted to blind" };
    expect(seen[0]).toMatchObject({ recoveryPoint: hidden, missingBytes: hidden, missingTransactions: hidden, synchronous: hidden });
  });

  it("counts what a standby received and has not replayed as there", async () => {
    const admin = postgres({ ...pair.standby.connection, max: 1 });
    await admin`select pg_wal_replay_pause()`;
    try {
      await sql`insert into orders (what) values ('received')`;
      await canary.probe(soon());
      await look(primary);
      const reading = await lookUntil(standby, (seen) => {
        const { recoveryPoint } = copy(seen, "pg2");
        return recoveryPoint.known && recoveryPoint.value.complete;
      });
      expect(copy(reading, "pg2").remarks.join()).toContain("paused");
      expect(valueOf(reading.figures["postgresql_replay_paused"])).toBe(1);
      expect(valueOf(reading.figures["postgresql_replay_backlog_bytes"])).toBeGreaterThan(0);
    } finally {
      await admin`select pg_wal_replay_resume()`;
      await admin.end();
    }
  });

  it("says the difference of the clocks with its error bound; on one machine it is none", async () => {
    const reading = await look(primary);
    const offset = reading.store?.clockOffset;
    expect(offset?.known === true && Math.abs(offset.value) <= offset.errorMs + 1).toBe(true);
    expect(valueOf(reading.figures["postgresql_clock_alarm"])).toBe(0);
  });

  it("refuses the canary on a standby, and says why", async () => {
    const wrong = new CanaryProbe({ store: "orders", target: targetOf(pair.standby), clock: systemClock });
    const reading = await wrong.probe(soon());
    await wrong.close();
    expect(reading).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });
    expect(!reading.ok && reading.why).toContain("written on the primary");
  });

  it("takes a standby for synchronous once it has what came before, not where a role is exempt, and says when commits were released without it", async () => {
    const configure = async (names: string): Promise<void> => {
      await pair.primary.server.configure({ ...TEST_SETTINGS, synchronous_standby_names: names });
      pair.primary.server.reload();
    };
    await configure(`FIRST 1 (${TEST_STANDBY})`);
    await untilSynchronous(pair.primary, TEST_STANDBY);
    const synchronous = await lookUntil(primary, (seen) => copy(seen, "pg2").recoveryPoint.known && valueOf(copy(seen, "pg2").synchronous));
    expect(copy(synchronous, "pg2").recoveryPoint).toMatchObject({ method: "synchronous", value: { complete: true } });
    expect(synchronous.store?.releasedWithoutCopiesAtMs).toBeUndefined();

    await sql`create role careless`;
    await sql`alter role careless set synchronous_commit = off`;
    const fresh = new PostgresqlProbe({
      name: "pg1",
      domain: {},
      target: targetOf(pair.primary),
      observation: new StoreObservation("orders"),
      clock: systemClock,
    });
    const weak = copy(await look(fresh), TEST_STANDBY);
    await fresh.close();
    expect(weak.synchronous).toMatchObject({ known: true, value: false });
    expect(weak.recoveryPoint).toMatchObject({ method: "position-history" });
    expect(weak.remarks.join()).toContain("role careless");
    await sql`drop role careless`;

    await configure("");
    const released = await lookUntil(primary, (seen) => seen.store?.releasedWithoutCopiesAtMs !== undefined);
    expect(copy(released, "pg2").synchronous).toMatchObject({ known: true, value: false });
  });

  it("misses a copy that is gone, and follows the standby when it is promoted: a new timeline is no error", async () => {
    await pair.primary.server.kill();
    expect(await primary.probe(soon())).toMatchObject({ ok: false, code: "TM-PROBE-AWAY" });
    const alone = copy(await look(standby), "pg2");
    expect(alone.recoveryPoint.known).toBe(true);
    const admin = postgres({ ...pair.standby.connection, max: 1 });
    await admin`select pg_promote()`;
    await admin.end();
    const reading = await lookUntil(standby, (seen) => copy(seen, "pg2").kind === "primary");
    expect(copy(reading, "pg2").recoveryPoint).toMatchObject({ known: true, value: { complete: true, timeline: 2 } });
    expect(observation.positions.timeline).toBe(2);
  });
});

describe.each(testMajors().map((major) => ({ major })))("the probe of PostgreSQL $major", ({ major }) => {
  let server: TestServer;
  let sql: postgres.Sql;

  beforeAll(async () => {
    server = await startPrimary({
      major,
      settings: { archive_mode: "on", archive_command: "false", max_prepared_transactions: "2", max_slot_wal_keep_size: "1GB" },
    });
    sql = postgres({ ...server.connection, max: 1, onnotice: () => undefined });
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
    const old = postgres({ ...server.connection, max: 1 });
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
    const receiver = postgres({ ...server.connection, max: 1 });
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

    const script = await readFile(new URL("../../examples/postgresql-grants.sql", import.meta.url), "utf8");
    // As psql would read it: its variable, and without its own commands.
    const statements = script.replaceAll(':"user"', "tidemark_probe").replace(/^SELECT format.*\\gexec$/m, "");
    await sql.unsafe(statements);
    await sql.unsafe(statements);
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
