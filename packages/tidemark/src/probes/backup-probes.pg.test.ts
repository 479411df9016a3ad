// Real ones, Debian's: each takes one backup of a real PostgreSQL 15.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseLsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { choosePostgresUser, spawnIdentity } from "@tidemark/postgres/unprivileged-user";
import postgres from "postgres";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BarmanProbe } from "./barman-probe.ts";
import { PgbackrestProbe } from "./pgbackrest-probe.ts";
import type { Probe } from "./probe.ts";
import { PGBACKREST, pgbackrestRepository } from "./testing/pgbackrest-repository.ts";

const REQUIRED = process.env["TIDEMARK_REQUIRE_PEERS"] === "1";
const BARMAN = "/usr/bin/barman";
/** Both may run for so long, milliseconds; the machine may be busy. */
const COMMAND_MS = 60_000;

const user = choosePostgresUser();
let primary: TestServer;
let passfile: string;

beforeEach(async () => {
  primary = await startPrimary({ major: 15 });
  const { connection, folder } = primary;
  passfile = join(folder, "pgpass");
  const password = connection.password.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
  await writeFile(passfile, `*:*:*:*:${password}\n`, { mode: 0o600 });
  await own(passfile);
});
afterEach(() => primary?.dispose());

const own = async (path: string): Promise<void> => {
  if (user.switches) await chown(path, user.uid, user.gid);
};
const run = async (program: string, args: readonly string[], timeoutMs = COMMAND_MS): Promise<string> => {
  const { stdout } = await promisify(execFile)(program, args, {
    ...spawnIdentity(user),
    // The server has no socket in the file system: pgBackRest, which names no host, takes libpq's default from here.
    env: { PATH: process.env["PATH"], LC_ALL: "C", PGPASSFILE: passfile, PGHOST: primary.connection.host, HOME: primary.folder },
    timeout: timeoutMs,
  });
  return stdout;
};
const look = async (probe: Probe) => {
  const reading = await probe.probe(AbortSignal.timeout(COMMAND_MS));
  if (!reading.ok) throw new Error(`${reading.code}: ${reading.why}`);
  const copy = reading.copies[0];
  if (copy === undefined || reading.copies.length !== 1) throw new Error("not one copy");
  return { copy, figures: reading.figures };
};
const ask = async <T>(question: (sql: postgres.Sql) => Promise<T>): Promise<T> => {
  const sql = postgres({ ...primary.connection, max: 1, fetch_types: false, onnotice: () => undefined });
  try {
    return await question(sql);
  } finally {
    await sql.end();
  }
};

describe.runIf(existsSync(PGBACKREST) || REQUIRED)("a real pgBackRest", () => {
  it("is an unproven copy from its first backup on, and none before", { timeout: 180_000 }, async () => {
    const repository = await pgbackrestRepository(primary);
    const make = () =>
      new PgbackrestProbe({
        store: "orders",
        copy: "backups",
        stanza: "main",
        repositories: { 1: { machine: "here" } },
        source: { kind: "command", command: repository.info() },
        clock: systemClock,
      });

    expect((await look(make())).copy).toMatchObject({ recoveryPoint: { known: false } });

    await repository.attach();
    expect((await look(make())).copy).toMatchObject({ recoveryPoint: { known: false, why: "there is no whole backup" } });
    const fromMs = Date.now();
    await repository.backup();
    const { copy, figures } = await look(make());
    expect(copy).toMatchObject({
      name: "backups/repo1",
      kind: "backup",
      recoveryPoint: { known: true, method: "reported", value: { complete: false, timeline: 1 } },
    });
    expect(copy.proof).toBeUndefined();
    expect(copy.remarks.join(" ")).toContain("unproven");
    const point = copy.recoveryPoint.known ? copy.recoveryPoint : undefined;
    expect(point?.value.commitMs).toBeGreaterThan(fromMs - (point?.errorMs ?? 0));
    expect(point?.value.commitMs).toBeLessThanOrEqual(Date.now());
    expect(parseLsn(point?.value.lsn ?? "0/0")).toBeGreaterThan(0n);
    expect(figures["pgbackrest_repo1_backups"]).toMatchObject({ known: true, value: 1 });
    expect(figures["pgbackrest_repo1_bytes"]).toMatchObject({
      value: expect.toSatisfy((bytes: number) => bytes > 100_000) as number,
    });
  });
});

describe.runIf(existsSync(BARMAN) || REQUIRED)("a real Barman", () => {
  it("is an unproven copy from its first backup on, and names the checks that fail", { timeout: 180_000 }, async () => {
    const { folder, connection } = primary;
    const home = join(folder, "barman");
    await mkdir(home);
    await own(home);
    const config = join(folder, "barman.conf");
    const conninfo = `host=${connection.host} port=${connection.port} user=${connection.user} passfile=${passfile}`;
    const lines = [
      "[barman]",
      `barman_user = ${await run("/usr/bin/id", ["-un"]).then((name) => name.trim())}`,
      `barman_home = ${home}`,
      `barman_lock_directory = ${home}`,
      `log_file = ${join(home, "barman.log")}`,
      `configuration_files_directory = ${join(home, "none")}`,
      "path_prefix = /usr/lib/postgresql/15/bin",
      "[main]",
      "description = main",
      `conninfo = ${conninfo} dbname=postgres`,
      `streaming_conninfo = ${conninfo}`,
      "backup_method = postgres",
      "streaming_archiver = on",
      "slot_name = barman",
      "create_slot = auto",
      "",
    ];
    await writeFile(config, lines.join("\n"));
    await own(config);
    const command = (...args: string[]) => ({
      kind: "command" as const,
      command: [BARMAN, "-c", config, "--format", "json", ...args] as const satisfies readonly [string, ...string[]],
      environment: { HOME: folder },
    });
    // Barman refuses to run as anybody but its user: the probe asks as its user would be allowed to by sudo, here by setpriv.
    const asUser = (...args: string[]) => {
      const plain = command(...args);
      if (!user.switches) return plain;
      const switching = ["/usr/bin/setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"] as const;
      return { ...plain, command: [...switching, ...plain.command] as const };
    };
    const make = (server = "main") =>
      new BarmanProbe({
        store: "orders",
        copy: "barman",
        server,
        domain: { machine: "here" },
        sources: {
          backups: asUser("list-backups", server),
          latest: asUser("show-backup", server, "latest"),
          check: asUser("check", server),
        },
        clock: systemClock,
      });
    const barman = (...args: string[]) => run(BARMAN, ["-c", config, ...args]);

    expect((await look(make())).copy).toMatchObject({ recoveryPoint: { known: false, why: "there is no whole backup" } });
    const unknownServer = await make("nobody").probe(AbortSignal.timeout(COMMAND_MS));
    expect(unknownServer).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });

    await barman("receive-wal", "--create-slot", "main");
    // Until it is told to stop: a busy machine takes its time for the backup.
    const receiving = run(BARMAN, ["-c", config, "receive-wal", "main"], 0).catch(() => "");
    try {
      await expect
        .poll(
          () =>
            ask(async (sql) => (await sql`SELECT active FROM pg_replication_slots WHERE slot_name = 'barman'`)[0]?.["active"] as boolean),
          {
            timeout: 30_000,
          },
        )
        .toBe(true);
      await barman("switch-wal", "--force", "--archive", "main");
      const fromMs = Date.now();
      await barman("backup", "--wait", "main");
      const { copy, figures } = await look(make());
      expect(copy).toMatchObject({
        name: "barman",
        kind: "backup",
        recoveryPoint: { known: true, value: { complete: false, timeline: 1 } },
      });
      expect(copy.proof).toBeUndefined();
      const point = copy.recoveryPoint.known ? copy.recoveryPoint : undefined;
      expect(point?.value.commitMs).toBeGreaterThan(fromMs - (point?.errorMs ?? 0));
      expect(point?.value.commitMs).toBeLessThanOrEqual(Date.now());
      expect(figures["barman_backups"]).toMatchObject({ known: true, value: 1 });
      expect(figures["barman_failed_checks"]).toMatchObject({ known: true });
    } finally {
      await barman("receive-wal", "--stop", "main");
      await receiving;
    }
    await primary.server.kill();
    const { copy } = await look(make());
    expect(copy.recoveryPoint).toMatchObject({ known: true });
    expect(copy.remarks.join(" ")).toMatch(/Barman's own check fails: .*postgresql/);
    expect(JSON.stringify(copy)).not.toContain(connection.password);
  });
});
