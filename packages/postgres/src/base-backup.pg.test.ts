import { access, chown, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Redacted } from "@tidemark/kernel/redacted";
import { takeBaseBackup } from "./base-backup.ts";
import { isMarkedStandby, makeStandby, writePassfile } from "./make-standby.ts";
import { runDriver } from "./testing/driver-process.ts";
import type { TestServer } from "./testing/cluster-fixture.ts";
import {
  TEST_PASSWORD,
  TEST_SETTINGS,
  TEST_SUPERUSER,
  cloneStandby,
  replicationLogin,
  startPrimary,
  testFolder,
  untilStreaming,
  untilSynchronous,
} from "./testing/cluster-fixture.ts";
import { startTamperingProxy } from "./testing/tampering-proxy.ts";

/** Inserts one row after the other until stopped; gives the rows whose commit was confirmed. */
function startLoad(server: TestServer): { stop(): Promise<number[]> } {
  const sql = postgres({ ...server.connection, max: 1, fetch_types: false, onnotice: () => undefined });
  const confirmed: number[] = [];
  let running = true;
  const done = (async () => {
    while (running) {
      const [row] = await sql<{ n: number }[]>`insert into load (filler) values (repeat('x', 500)) returning n`.catch(() => []);
      if (row === undefined) return;
      confirmed.push(row.n);
    }
  })();
  return {
    async stop() {
      running = false;
      await done;
      await sql.end({ timeout: 0 });
      return confirmed;
    },
  };
}

async function rowsOf(server: TestServer): Promise<Set<number>> {
  const sql = postgres({ ...server.connection, max: 1, fetch_types: false });
  const rows = await sql<{ n: number }[]>`select n from load`;
  await sql.end();
  return new Set(rows.map(({ n }) => n));
}

const absent = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    () => true,
  );

describe("a base backup", () => {
  let primary: TestServer;
  let folder: string;

  beforeAll(async () => {
    primary = await startPrimary();
    folder = await testFolder();
    const sql = postgres({ ...primary.connection, max: 1, fetch_types: false });
    await sql`create table load (n int primary key generated always as identity, filler text)`;
    await sql.end();
  });

  afterAll(async () => {
    await primary.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  const request = (name: string) => ({
    from: replicationLogin(primary.connection),
    targetDir: join(folder, name),
    label: `it's ${name}`,
    user: primary.server.options.user,
  });

  it("taken under load becomes a standby that catches up and, once synchronous, has every confirmed commit when the primary dies", async () => {
    await using other = await startPrimary();
    const sql = postgres({ ...other.connection, max: 1, fetch_types: false });
    await sql`create table load (n int primary key generated always as identity, filler text)`;
    await sql.end();
    const early = startLoad(other);
    await using standby = await cloneStandby(other);
    expect(await isMarkedStandby(standby.server.dataDir)).toBe(true);
    await standby.server.start({ awaitReady: "standby" });
    await untilStreaming(other, "standby1");
    await other.server.configure({ ...TEST_SETTINGS, synchronous_standby_names: "FIRST 1 (standby1)" });
    other.server.reload();
    await untilSynchronous(other, "standby1");
    const confirmedEarly = await early.stop();
    const late = startLoad(other);
    await expect.poll(async () => (await rowsOf(other)).size, { timeout: 20_000 }).toBeGreaterThan(confirmedEarly.length + 20);
    await other.server.kill();
    const confirmed = [...confirmedEarly, ...(await late.stop())];
    await standby.server.promote();
    const there = await rowsOf(standby);
    expect(confirmed.length).toBeGreaterThan(20);
    expect(confirmed.filter((n) => !there.has(n))).toEqual([]);
  });

  it("holds its files closed to others, owned by the server's user, with the manifest and a slot that keeps WAL", async () => {
    const progress: number[] = [];
    const result = await takeBaseBackup({
      ...request("whole"),
      slot: "whole",
      onProgress: ({ doneBytes, totalBytes }) => progress.push(doneBytes / totalBytes),
    });
    expect(result).toMatchObject({ timeline: 1 });
    expect(result.endLsn).toBeGreaterThan(result.startLsn);
    expect(result.files).toBeGreaterThan(500);
    expect(progress.at(-1)).toBeGreaterThan(0.5);
    const { uid, switches } = primary.server.options.user;
    for (const entry of await readdir(join(folder, "whole"), { recursive: true, withFileTypes: true })) {
      const facts = await stat(join(entry.parentPath, entry.name));
      expect(facts.mode & 0o777, entry.name).toBe(entry.isDirectory() ? 0o700 : 0o600);
      if (switches) expect(facts.uid).toBe(uid);
    }
    expect(await readFile(join(folder, "whole", "backup_label"), "utf8")).toContain("LABEL: it's whole");
    expect(JSON.parse(await readFile(join(folder, "whole", "backup_manifest"), "utf8"))).toHaveProperty("Files");
    await takeBaseBackup({ ...request("again"), slot: "whole" });
  });

  it("killed halfway (-9) leaves no data directory, and the next attempt clears up after it", async () => {
    const { targetDir } = request("killed");
    const clone = runDriver({ kind: "clone", connection: primary.connection, targetDir });
    for (let line = await clone.next(); Number(line?.["doneBytes"]) < 4_000_000; line = await clone.next()) continue;
    await clone.kill();
    expect(await absent(targetDir)).toBe(true);
    expect((await readdir(folder)).filter((name) => name.startsWith("killed"))).toEqual([`killed.partial-${clone.child.pid}`]);
    await takeBaseBackup(request("killed"));
    expect((await readdir(folder)).filter((name) => name.startsWith("killed"))).toEqual(["killed"]);
  });

  it("leaves nothing behind when it is aborted, the connection breaks, or one bit was changed on its way", async () => {
    await using whole = await startTamperingProxy(primary.connection, { afterBytes: 0, how: "pass" });
    const through = (port: number) => ({ ...request("damaged"), from: { ...replicationLogin(primary.connection), port } });
    await takeBaseBackup({ ...through(whole.port), targetDir: join(folder, "measured") });
    // The rest of the stream is WAL, which is not in the manifest: each of its records has a checksum that recovery checks.
    for (const share of [0.1, 0.3, 0.5]) {
      const afterBytes = Math.floor(whole.serverBytes * share);
      await using flipping = await startTamperingProxy(primary.connection, { afterBytes, how: "flip" });
      const error = await takeBaseBackup(through(flipping.port)).catch((error: unknown) => error);
      // A flipped bit may hit the content of a file, a header of tar or of the protocol; none may pass.
      expect(error).toMatchObject({ code: expect.stringMatching(/^TM-PG-(BACKUP|PROTOCOL|CONNECTION)$/) });
      await using cutting = await startTamperingProxy(primary.connection, { afterBytes, how: "cut" });
      await expect(takeBaseBackup(through(cutting.port))).rejects.toMatchObject({ code: "TM-PG-CONNECTION" });
    }
    const abort = new AbortController();
    const aborted = takeBaseBackup({ ...request("damaged"), maxRateKb: 1_024, signal: abort.signal, onProgress: () => abort.abort() });
    await expect(aborted).rejects.toMatchObject({ code: "TM-PG-CONNECTION" });
    const unprepared = takeBaseBackup({ ...request("damaged"), prepare: () => Promise.reject(new Error("the disk is full")) });
    await expect(unprepared).rejects.toThrow("the disk is full");
    expect((await readdir(folder)).filter((name) => name.startsWith("damaged"))).toEqual([]);
  });

  it("refuses a target that is not empty, and does not touch it", async () => {
    const { targetDir } = request("taken");
    await mkdir(targetDir);
    await writeFile(join(targetDir, "mine"), "");
    await expect(takeBaseBackup(request("taken"))).rejects.toMatchObject({ code: "TM-PG-DATA-DIR" });
    expect(await readdir(targetDir)).toEqual(["mine"]);
  });

  it("refuses a server with tablespaces, naming them, before it copies anything", async () => {
    await using other = await startPrimary();
    const { user } = other.server.options;
    const location = join(other.folder, "elsewhere");
    await mkdir(location, { mode: 0o700 });
    if (user.switches) await chown(location, user.uid, user.gid);
    const sql = postgres({ ...other.connection, max: 1, fetch_types: false, onnotice: () => undefined });
    await sql.unsafe(`create tablespace elsewhere location '${location}'`);
    await sql.end();
    await expect(takeBaseBackup({ ...request("tablespaces"), from: replicationLogin(other.connection) })).rejects.toMatchObject({
      code: "TM-PG-TABLESPACE",
      message: expect.stringContaining(location),
    });
    expect(await absent(join(folder, "tablespaces"))).toBe(true);
  });
});

describe("a data directory made a standby", () => {
  it("does not follow what its copy brought along, and shows no password to those who can read settings", async () => {
    await using primary = await startPrimary();
    const sql = postgres({ ...primary.connection, max: 1, fetch_types: false });
    await sql`alter system set primary_conninfo = 'host=wrong password=stale'`;
    await sql`alter system set work_mem = '7MB'`;
    await sql.end();
    await using standby = await cloneStandby(primary);
    const { dataDir, user } = standby.server.options;
    const auto = await readFile(join(dataDir, "postgresql.auto.conf"), "utf8");
    expect(auto).not.toContain("primary_conninfo");
    expect(auto).toContain("work_mem");
    await standby.server.start({ awaitReady: "accepting" });
    await untilStreaming(primary, "standby1");
    const reader = postgres({ ...standby.connection, max: 1, fetch_types: false });
    const [row] = await reader<
      { conninfo: string; shown: string }[]
    >`select conninfo, current_setting('primary_conninfo') as shown from pg_stat_wal_receiver`;
    expect(row?.shown).toContain("passfile=");
    expect(`${row?.conninfo} ${row?.shown}`).not.toContain(TEST_PASSWORD);
    await reader.end();
    // Pointed elsewhere with a reload, as after a failover.
    const passfile = join(standby.folder, "other.pgpass");
    await writePassfile(passfile, { user: TEST_SUPERUSER, password: new Redacted(TEST_PASSWORD) }, user);
    expect((await stat(passfile)).mode & 0o777).toBe(0o600);
    const upstream = { host: "127.0.0.1", port: primary.connection.port, user: TEST_SUPERUSER, passfile, applicationName: "renamed" };
    await makeStandby(dataDir, { upstream, settings: TEST_SETTINGS, user });
    standby.server.reload();
    await untilStreaming(primary, "renamed");
  });
});
