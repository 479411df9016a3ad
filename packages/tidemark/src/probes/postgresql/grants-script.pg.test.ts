// The script of grants, as the command prints it: with it everything is seen, and what it does not give is refused.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CanaryProbe } from "../../canary/canary-probe.ts";
import { look as check, session, startReceiver } from "../../check/testing/checked-server.ts";
import { PostgresqlProbe } from "../postgresql-probe.ts";
import { StoreObservation } from "../store-observation.ts";
import { look, soon, targetOf } from "../testing/postgresql-looks.ts";
import { isRoleName } from "./grants-script.ts";

const LAUNCHER = fileURLToPath(new URL("../../../bin/tidemark.mjs", import.meta.url));

function printed(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [LAUNCHER, "grants", ...args], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout;
}

/** What a role that only looks has no business with, with what PostgreSQL says to it. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["insert into orders values (2)", "42501"],
  ["update orders set id = 3", "42501"],
  ["delete from orders", "42501"],
  ["truncate orders", "42501"],
  ["select * from orders", "42501"],
  ["select nextval('order_ids')", "42501"],
  ["create table mine (id int)", "42501"],
  ["create schema mine", "42501"],
  ["create role mine", "42501"],
  ["create database mine", "42501"],
  ["alter table orders add column more int", "42501"],
  ["alter system set fsync = off", "42501"],
  ["copy (select 1) to program 'true'", "42501"],
  ["select pg_read_file('postgresql.conf')", "42501"],
  ["select pg_terminate_backend((select pid from pg_stat_activity where usename = 'tidemark' limit 1))", "42501"],
  ["select pg_switch_wal()", "42501"],
  ["select pg_create_physical_replication_slot('mine')", "42501"],
  ["checkpoint", "42501"],
  ["drop table tidemark_canary.beat", "42501"],
  ["truncate tidemark_canary.beat", "42501"],
  ["delete from tidemark_canary.beat", "42501"],
  ["create table tidemark_canary.mine (id int)", "42501"],
];

describe.each([{ major: 15 as const }, { major: 18 as const }])("the grants on PostgreSQL $major", ({ major }) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPrimary({ major, settings: { archive_mode: "on", archive_command: "test -f %p" } });
    const sql = session(server.connection);
    await sql.unsafe("create table orders (id int primary key); insert into orders values (1); create sequence order_ids");
    // Twice each: whoever is not sure whether it ran may run it again.
    for (const script of [printed("--role", "looks-only"), printed("--role", "monitor", "--canary")]) {
      await sql.unsafe(script);
      await sql.unsafe(script);
    }
    await sql.unsafe(`alter role "looks-only" password 'seen'; alter role monitor password 'seen'`);
    await sql.end({ timeout: 1 });
  });
  afterAll(() => server?.dispose());

  const as = (user: string) => ({ ...server.connection, user, password: "seen" });

  it("are enough: a check and a probe know all that they ask for, and the canary is written", async () => {
    using _receiver = await startReceiver(server.connection, "vault");
    const report = await check(as("looks-only"));
    expect(report.unknown).toEqual([]);
    expect(report.copies.map(({ name }) => name)).toEqual(["vault", "WAL archive"]);
    expect(report.findings.map(({ name }) => name).filter((name) => /rights|superuser/.test(name))).toEqual([]);

    for (const user of ["looks-only", "monitor"]) {
      const login = targetOf(server, { user, password: "seen" });
      const canary = new CanaryProbe({ store: "orders", target: login, clock: systemClock });
      const beat = await canary.probe(soon());
      await canary.close();
      if (user === "monitor") expect(beat).toMatchObject({ ok: true, figures: { canary_sequence: { value: 1 } } });
      else expect(beat).toMatchObject({ ok: false, code: "TM-PROBE-DENIED" });
      const observation = new StoreObservation("orders");
      const probe = new PostgresqlProbe({ name: "pg1", domain: {}, target: login, observation, clock: systemClock });
      const reading = await look(probe);
      await probe.close();
      const missing = Object.values(reading.figures).flatMap((figure) => (figure.known || !/granted/.test(figure.why) ? [] : [figure.why]));
      expect(missing).toEqual([]);
    }
  });

  it.each(REFUSED)("are no more: %s is refused", async (statement, code) => {
    const sql = session(as("monitor"));
    try {
      await expect(sql.unsafe(statement)).rejects.toMatchObject({ code });
    } finally {
      await sql.end({ timeout: 1 });
    }
  });

  it("let the role without the canary change no row of it", async () => {
    const sql = session(as("looks-only"));
    try {
      await expect(sql.unsafe("insert into tidemark_canary.beat values ('s', 0, 1, now())")).rejects.toMatchObject({ code: "42501" });
      const [row] = await sql.unsafe(
        "select rolsuper, rolcreaterole, rolcreatedb, rolreplication from pg_roles where rolname = current_user",
      );
      expect(Object.values(row ?? {})).toEqual([false, false, false, false]);
    } finally {
      await sql.end({ timeout: 1 });
    }
  });
});

it("a role's name cannot bring SQL of its own into the script", () => {
  const names = ['a"b', "a'b", "a;b", "a b", "1a", "", "a$$b", "a".repeat(64), "ä"];
  expect(names.filter(isRoleName)).toEqual([]);
  const { status, stdout } = spawnSync(process.execPath, [LAUNCHER, "grants", "--role", "x'; drop table orders; --"], { encoding: "utf8" });
  expect(status).toBe(64);
  expect(stdout).toBe("");
});
