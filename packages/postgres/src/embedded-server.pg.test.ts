import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { chmod, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Redacted } from "@tidemark/kernel/redacted";
import { readControlFile } from "./control-file.ts";
import type { PostmasterExit } from "./postmaster.ts";
import { postgresProcesses, processState } from "./process-table.ts";
import { runDriver } from "./testing/driver-process.ts";
import type { TestServer } from "./testing/cluster-fixture.ts";
import { TEST_PASSWORD, TEST_SUPERUSER, startPrimary, unstartedServer } from "./testing/cluster-fixture.ts";
import { spawnIdentity } from "./unprivileged-user.ts";

/** How long a condition may take on a machine that is busy with other tests. */
const PATIENT = { timeout: 20_000 };
const login = { superuser: TEST_SUPERUSER, password: new Redacted(TEST_PASSWORD) };

async function query<T>(server: TestServer, run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres({ ...server.connection, max: 1, fetch_types: false, onnotice: () => undefined, connect_timeout: 5 });
  try {
    return await run(sql);
  } finally {
    await sql.end({ timeout: 0 });
  }
}

/** Opens a session, gives its backend's process id, and keeps it open until `close`. */
async function openSession(server: TestServer): Promise<{ backend: number; close(): Promise<void> }> {
  const sql = postgres({ ...server.connection, max: 1, fetch_types: false, onnotice: () => undefined });
  const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  return { backend: row?.pid ?? 0, close: () => sql.end({ timeout: 0 }) };
}

/** Whether the kernel lists the children of a process. */
const hasChildren = existsSync(`/proc/${process.pid}/task/${process.pid}/children`);

/** Looks without awaiting anything. */
function isAtWork(pid: number): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^[ZX]/.test(line.slice(line.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

describe("an embedded server", () => {
  let primary: TestServer;

  beforeAll(async () => {
    primary = await startPrimary();
    await query(primary, async (sql) => {
      await sql`create table kept (n int primary key)`;
    });
  });

  afterAll(() => primary.dispose());

  /** Each test finds the server running, whatever the one before did to it. */
  async function ensureRunning(): Promise<void> {
    if (primary.server.pid === undefined) await primary.server.start({ awaitReady: "accepting" });
  }

  /** Inserts the next row, then all rows must be there and none besides. */
  async function insertAndCount(): Promise<void> {
    await query(primary, async (sql) => {
      await sql`insert into kept select coalesce(max(n), 0) + 1 from kept`;
      const [row] = await sql<{ count: number; last: number }[]>`select count(*)::int as count, max(n) as last from kept`;
      expect(row?.count).toBe(row?.last);
    });
  }

  it("has checksums, UTF-8, and lets nobody in without the password", async () => {
    await ensureRunning();
    const facts = await query(
      primary,
      (sql) =>
        sql`select current_setting('data_checksums') as checksums, current_setting('server_encoding') as encoding, current_setting('fsync') as fsync`,
    );
    expect(facts[0]).toEqual({ checksums: "on", encoding: "UTF8", fsync: "on" });
    const stranger = { ...primary, connection: { ...primary.connection, password: "wrong" } };
    await expect(query(stranger, (sql) => sql`select 1`)).rejects.toMatchObject({ code: "28P01" });
  });

  it("keeps its password out of its files and off its command line", async () => {
    const { dataDir } = primary.server;
    for (const name of ["postgresql.conf", "postgresql.auto.conf", "tidemark.conf", "pg_hba.conf", "postmaster.opts"]) {
      expect(await readFile(join(dataDir, name), "utf8"), name).not.toContain(TEST_PASSWORD);
    }
    expect(JSON.stringify(login)).not.toContain(TEST_PASSWORD);
  });

  it("takes settings at a reload, last of all files, whatever characters they hold", async () => {
    await ensureRunning();
    const odd = "it's \\ 'odd' # not a comment";
    await primary.server.configure({ "tidemark.note": odd, work_mem: "5MB", max_connections: "100" });
    primary.server.reload();
    await expect
      .poll(
        () => query(primary, (sql) => sql`select current_setting('tidemark.note') as note, current_setting('work_mem') as memory`),
        PATIENT,
      )
      .toEqual([{ note: odd, memory: "5MB" }]);
    const main = await readFile(join(primary.server.dataDir, "postgresql.conf"), "utf8");
    expect(main.match(/include_if_exists = 'tidemark.conf'/g)).toHaveLength(1);
  });

  it.each(["fast", "immediate"] as const)(
    "stops %s with a session open, has no process left, and starts again with its rows",
    async (mode) => {
      await ensureRunning();
      await insertAndCount();
      const session = await openSession(primary);
      const exited = primary.server.exited();
      expect(await primary.server.stop(mode)).toBe("asked");
      expect(await exited).toMatchObject({ expected: true, adopted: false });
      expect(await postgresProcesses(primary.server.dataDir, undefined)).toEqual([]);
      expect((await primary.server.state()).kind).toBe("stopped");
      expect((await readControlFile(primary.server.dataDir)).state).toBe(mode === "fast" ? "shut-down" : "in-production");
      await session.close();
      await ensureRunning();
      await insertAndCount();
    },
  );

  it("escalates from smart when a session does not end, and says so", async () => {
    await ensureRunning();
    const session = await openSession(primary);
    expect(await primary.server.stop("smart", { timeoutMs: 100 })).toBe("immediate");
    await session.close();
  });

  it.runIf(hasChildren)("kills its backends at once, whatever else its own process has to do (R5)", async () => {
    await ensureRunning();
    const session = await openSession(primary);
    const ended = primary.server.kill();
    // Nothing that is awaited goes on meanwhile: what was not killed by now would not be.
    const deadlineMs = performance.now() + 20_000;
    while (isAtWork(session.backend) && performance.now() < deadlineMs);
    expect(isAtWork(session.backend)).toBe(false);
    await ended;
    await session.close();
  });

  it("recovers after kill -9 with all that was committed", async () => {
    await ensureRunning();
    await insertAndCount();
    const session = await openSession(primary);
    await primary.server.kill();
    expect(await processState(session.backend)).toBe("gone");
    expect(await postgresProcesses(primary.server.dataDir, undefined)).toEqual([]);
    await session.close();
    await ensureRunning();
    await insertAndCount();
  });

  it("reports the death of its postmaster at once, as unexpected", async () => {
    await ensureRunning();
    const exits: PostmasterExit[] = [];
    const remove = primary.server.onExit((exit) => exits.push(exit));
    const pid = primary.server.pid ?? 0;
    const killedAt = performance.now();
    process.kill(pid, "SIGKILL");
    await primary.server.exited();
    expect(performance.now() - killedAt).toBeLessThan(1_000);
    expect(exits).toEqual([{ pid, code: null, signal: "SIGKILL", adopted: false, expected: false }]);
    remove();
  });

  it("starts although a backend outlived its postmaster and still holds the shared memory", async () => {
    await ensureRunning();
    const session = await openSession(primary);
    // A stopped backend cannot notice that its postmaster is gone.
    process.kill(session.backend, "SIGSTOP");
    process.kill(primary.server.pid ?? 0, "SIGKILL");
    await primary.server.exited();
    expect(await postgresProcesses(primary.server.dataDir, undefined)).toContain(session.backend);
    await primary.server.start({ awaitReady: "accepting" });
    expect(await processState(session.backend)).toBe("gone");
    await session.close();
    await insertAndCount();
  });

  it("stops a postmaster that hangs (SIGSTOP) without waiting for it", async () => {
    await ensureRunning();
    const session = await openSession(primary);
    process.kill(primary.server.pid ?? 0, "SIGSTOP");
    const startedAt = performance.now();
    expect(await primary.server.stop("immediate", { timeoutMs: 60_000 })).toBe("killed");
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(await processState(session.backend)).toBe("gone");
    await session.close();
    await ensureRunning();
    await insertAndCount();
  });

  it("is adopted after its starter was killed with -9, watched, and stopped", async () => {
    if (primary.server.pid !== undefined) await primary.server.stop("fast");
    const { dataDir, logFile, port } = primary.server.options;
    const starter = runDriver({ kind: "start", dataDir, logFile, port });
    const pid = (await starter.next())?.["pid"] as number;
    await starter.kill();
    expect(await processState(pid)).toBe("running");
    expect(await primary.server.state()).toEqual({ kind: "leftover", pid });
    await expect(primary.server.start()).rejects.toMatchObject({ code: "TM-PG-RUNNING", details: { pid } });
    expect(await primary.server.adopt()).toBe(true);
    expect(await primary.server.state()).toEqual({ kind: "running", pid, adopted: true, status: "ready" });
    await insertAndCount();
    expect(await primary.server.stop("fast")).toBe("asked");
    expect(await primary.server.adopt()).toBe(false);
  });

  it("reports soon that a postmaster it adopted was killed, as a child's death is", async () => {
    if (primary.server.pid !== undefined) await primary.server.stop("fast");
    const { dataDir, logFile, port } = primary.server.options;
    const starter = runDriver({ kind: "start", dataDir, logFile, port });
    const pid = (await starter.next())?.["pid"] as number;
    await starter.kill();
    await primary.server.adopt();
    const killedAt = performance.now();
    process.kill(pid, "SIGKILL");
    expect(await primary.server.exited()).toEqual({ pid, code: null, signal: null, adopted: true, expected: false });
    expect(performance.now() - killedAt).toBeLessThan(1_000);
  });

  it("starts although the pid file names a process id that now belongs to another process of the same user", async () => {
    if (primary.server.pid !== undefined) await primary.server.stop("fast");
    const other = spawn("sleep", ["60"], { ...spawnIdentity(primary.server.options.user), stdio: "ignore" });
    try {
      await writeFile(join(primary.server.dataDir, "postmaster.pid"), `${other.pid}\n${primary.server.dataDir}\n1790000000\n5432\n\n\n`);
      expect((await primary.server.state()).kind).toBe("stopped");
      await primary.server.start({ awaitReady: "accepting" });
      await insertAndCount();
      expect(other.exitCode).toBeNull();
    } finally {
      other.kill();
      await once(other, "exit");
    }
  });

  it("keeps its log across starts, readable by its user alone", async () => {
    await ensureRunning();
    expect(await readFile(primary.server.options.logFile, "utf8")).toContain("database system is ready to accept connections");
    expect((await stat(primary.server.options.logFile)).mode & 0o777).toBe(0o600);
  });
});

describe("an embedded server that cannot start", () => {
  it("names the port that another process holds", async () => {
    const holder = createServer();
    const server = await unstartedServer();
    try {
      await new Promise<void>((resolve) => holder.listen(server.connection.port, "127.0.0.1", resolve));
      await server.server.initialise(login);
      await expect(server.server.start({ awaitReady: "accepting" })).rejects.toMatchObject({
        code: "TM-PG-PORT-IN-USE",
        details: { port: server.connection.port },
        message: expect.stringContaining(String(server.connection.port)),
      });
      expect((await server.server.state()).kind).toBe("stopped");
    } finally {
      holder.close();
      await server.dispose();
    }
  });

  it("says what is wrong with the data directory: absent, taken, of another version, open to others, damaged", async () => {
    await using server = await unstartedServer();
    const { dataDir } = server.server;
    await expect(server.server.start()).rejects.toMatchObject({ code: "TM-PG-DATA-DIR" });
    expect((await server.server.state()).kind).toBe("absent");
    await expect(server.server.stop("fast")).resolves.toBe("absent");
    await server.server.initialise(login);
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
    await expect(server.server.initialise(login)).rejects.toMatchObject({ code: "TM-PG-DATA-DIR" });
    expect(await readdir(server.folder)).toEqual(["data"]);

    await chmod(dataDir, 0o777);
    await expect(server.server.start({ awaitReady: "accepting" })).rejects.toMatchObject({ code: "TM-PG-DATA-DIR" });
    await chmod(dataDir, 0o700);

    const version = await readFile(join(dataDir, "PG_VERSION"), "utf8");
    await writeFile(join(dataDir, "PG_VERSION"), "9\n");
    await expect(server.server.start()).rejects.toMatchObject({ code: "TM-PG-VERSION", details: { major: 9 } });
    await writeFile(join(dataDir, "PG_VERSION"), version);

    await server.server.configure({ no_such_setting: "1" });
    await expect(server.server.start({ awaitReady: "accepting" })).rejects.toMatchObject({
      code: "TM-PG-START",
      details: { log: expect.stringContaining("no_such_setting") },
    });
  });

  it("leaves nothing behind when initdb fails", async () => {
    await using server = await unstartedServer();
    await expect(server.server.initialise({ superuser: "pg_reserved", password: new Redacted("x") })).rejects.toMatchObject({
      code: "TM-PG-INITDB",
      details: { output: expect.stringContaining("pg_") },
    });
    expect(await readdir(server.folder)).toEqual([]);
  });

  it("says when it is not ready in time, and is still there to be stopped", async () => {
    await using primary = await startPrimary();
    await primary.server.stop("fast");
    await expect(primary.server.start({ awaitReady: "accepting", timeoutMs: 0 })).rejects.toMatchObject({ code: "TM-PG-START-TIMEOUT" });
    expect(primary.server.pid).toBeDefined();
    await expect(primary.server.promote()).rejects.toMatchObject({ code: "TM-PG-PROMOTE" });
    await primary.server.stop("immediate");
    expect(() => primary.server.reload()).toThrow(expect.objectContaining({ code: "TM-PG-NOT-RUNNING" }));
  });
});
