import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sleep } from "@tidemark/kernel/clock";
import type { Clock } from "@tidemark/kernel/clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { TestPair } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_SETTINGS, TEST_STANDBY, startPrimaryWithStandby, untilSynchronous } from "@tidemark/postgres/testing/cluster-fixture";
import { CanaryProbe } from "../canary/canary-probe.ts";
import { CANARY_ROWS } from "../canary/canary-table.ts";
import { newestState } from "../exposure/copy-state.ts";
import type { CopyFacts, StoreFacts } from "./probe-result.ts";
import { unknown } from "./probe-result.ts";
import { PostgresqlProbe } from "./postgresql-probe.ts";
import { StoreObservation } from "./store-observation.ts";
import { copy, look, lookUntil, soon, targetOf, valueOf } from "./testing/postgresql-looks.ts";

describe("the probe of PostgreSQL, on a primary and a standby", () => {
  let pair: TestPair;
  let sql: postgres.Sql;
  const observation = new StoreObservation("orders");
  let primary: PostgresqlProbe;
  let standby: PostgresqlProbe;
  let canary: CanaryProbe;

  beforeAll(async () => {
    pair = await startPrimaryWithStandby({ synchronous: false });
    sql = postgres({ ...pair.primary.connection, max: 1, fetch_types: false, onnotice: () => undefined });
    await sql`create table orders (id bigserial primary key, what text)`;
    const shared = { observation, clock: systemClock };
    primary = new PostgresqlProbe({
      ...shared,
      name: "pg1",
      domain: { zone: "a" },
      target: targetOf(pair.primary),
      copyKnownAs: (name) => (name === TEST_STANDBY ? { name: "pg2", domain: { zone: "b" } } : undefined),
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
    const admin = postgres({ ...pair.standby.connection, max: 1, fetch_types: false });
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

  /** Looks at the standby without knowing anything of its primary. */
  function lonelyStandby(): AsyncDisposable & { probe: PostgresqlProbe } {
    const target = targetOf(pair.standby);
    const probe = new PostgresqlProbe({ name: "pg2", domain: {}, target, observation: new StoreObservation("orders"), clock: systemClock });
    return { probe, [Symbol.asyncDispose]: () => probe.close() };
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

  it("says of a standby that lacks nothing up to which commit it has replayed since its primary was seen", async () => {
    await look(primary);
    const beforeMs = systemClock.wallMs();
    await sql`insert into orders (what) values ('after the look')`;
    const reading = await lookUntil(standby, (seen) => {
      const { recoveryPoint } = copy(seen, "pg2");
      return recoveryPoint.known && recoveryPoint.value.complete && recoveryPoint.value.commitMs > beforeMs - 5;
    });
    const { recoveryPoint } = copy(reading, "pg2");
    expect(recoveryPoint.known && recoveryPoint.value.commitMs).toBeLessThanOrEqual(reading.atMs);
    await look(primary);
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
    // The primary is seen before its newest commit that the standby has, so that its position alone would say less.
    await look(primary);
    const replicatedMs = systemClock.wallMs();
    await sql`insert into orders (what) values ('replicated')`;
    await lookUntil(
      standby,
      (seen) => seen.details.standby !== undefined && (seen.details.standby.replayedCommitMs ?? 0) >= replicatedMs - 1,
    );
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
      expect(own.recoveryPoint).toMatchObject({ known: true, method: "position-history", value: { complete: false } });
      expect(valueOf(own.recoveryPoint).commitMs).toBeLessThanOrEqual(stalledMs + 5);
      // By the newest commit that it replayed; the comparison of clocks is of one machine.
      expect(valueOf(own.recoveryPoint).commitMs).toBeGreaterThan(replicatedMs - 25);
      expect(valueOf(own.missingTransactions)).toBe(7);
      await using alone = lonelyStandby();
      const byCanary = copy(await look(alone.probe), "pg2").recoveryPoint;
      expect(byCanary).toMatchObject({ known: true, method: "canary", value: { complete: false } });
      expect(valueOf(byCanary).commitMs).toBeLessThanOrEqual(stalledMs + 5);
    });
    await lookUntil(primary, (seen) => {
      const { recoveryPoint } = copy(seen, "pg2");
      return recoveryPoint.known && recoveryPoint.value.complete;
    });
  });

  it("says how long its word serves where the store's servers are asked seldom", async () => {
    const seldom = new StoreObservation("orders", { freshForMs: 90_000 });
    const probe = new PostgresqlProbe({ name: "pg1", domain: {}, target: targetOf(pair.primary), observation: seldom, clock: systemClock });
    const seen = await look(probe);
    await probe.close();
    expect(seen.store).toMatchObject({ freshForMs: 90_000 });
    expect(seen.copies.map(({ freshForMs }) => freshForMs)).toEqual([90_000, 90_000]);
    expect((await look(primary)).copies.map(({ freshForMs }) => freshForMs)).toEqual([undefined, undefined]);
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
    const admin = postgres({ ...pair.standby.connection, max: 1, fetch_types: false });
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

  it("gives the same exposure to an observer whose clock is an hour off, and says that a clock is", async () => {
    const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() - 3_600_000 };
    const shared = { observation: new StoreObservation("orders"), clock };
    const off = new PostgresqlProbe({
      ...shared,
      name: "pg1",
      domain: {},
      target: targetOf(pair.primary),
      copyKnownAs: (name) => (name === TEST_STANDBY ? { name: "pg2" } : undefined),
    });
    const offStandby = new PostgresqlProbe({ ...shared, name: "pg2", domain: {}, target: targetOf(pair.standby) });
    await canary.probe(soon());
    const exposureNow = async (): Promise<{ byPrimary: number; byStandby: number }> => {
      const seen = await look(off);
      const own = await look(offStandby);
      const nowMs = clock.wallMs();
      const store: StoreFacts = {
        store: "orders",
        atMs: nowMs,
        newestCommit: unknown("", nowMs),
        commitRate: unknown("", nowMs),
        ...seen.store,
        copies: seen.copies,
      };
      const exposureOf = (one: CopyFacts): number => valueOf(newestState(one, store, nowMs).exposureMs);
      return { byPrimary: exposureOf(copy(seen, "pg2")), byStandby: exposureOf(copy(own, "pg2")) };
    };
    await lookUntil(off, (seen) => {
      const { recoveryPoint } = copy(seen, "pg2");
      return recoveryPoint.known && recoveryPoint.value.complete;
    });
    const idle = await exposureNow();
    expect(idle).toEqual({ byPrimary: 0, byStandby: 0 });
    await stalled(async () => {
      const stalledMs = systemClock.wallMs();
      await sql`insert into orders (what) values ('lost?')`;
      await canary.probe(soon());
      await sleep(systemClock, 300);
      const behind = await exposureNow();
      const atMostMs = systemClock.wallMs() - stalledMs + 5_000;
      for (const exposureMs of Object.values(behind)) {
        expect(exposureMs).toBeGreaterThanOrEqual(300);
        expect(exposureMs).toBeLessThan(atMostMs);
      }
    });
    const seen = await look(off);
    expect(Math.abs(valueOf(seen.store?.clockOffset) - 3_600_000)).toBeLessThan(1_000);
    expect(valueOf(seen.figures["postgresql_clock_alarm"])).toBe(1);
    await off.close();
    await offStandby.close();
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
    const admin = postgres({ ...pair.standby.connection, max: 1, fetch_types: false });
    await admin`select pg_promote()`;
    await admin.end();
    const reading = await lookUntil(standby, (seen) => copy(seen, "pg2").kind === "primary");
    expect(copy(reading, "pg2").recoveryPoint).toMatchObject({ known: true, value: { complete: true, timeline: 2 } });
    expect(observation.positions.timeline).toBe(2);

    // The old one comes back as it was: it takes writes, and speaks for nobody any more.
    await pair.primary.server.start({ awaitReady: "accepting" });
    const former = await look(primary);
    expect(former.store).toBeUndefined();
    expect(former.copies).toHaveLength(1);
    expect(copy(former, "pg1")).toMatchObject({ kind: "standby", recoveryPoint: { known: false } });
    expect(valueOf(former.figures["postgresql_former_primary"])).toBe(1);
    expect(observation.positions.timeline).toBe(2);
  });
});
