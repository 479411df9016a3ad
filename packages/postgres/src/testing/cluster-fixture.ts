// Real PostgreSQL servers for tests: on free ports, in folders of their own, gone with the test.
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { sleep } from "@tidemark/kernel/clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { silentLogger } from "@tidemark/kernel/logger";
import { Redacted } from "@tidemark/kernel/redacted";
import { takeBaseBackup } from "../base-backup.ts";
import type { PostgresBinaries, PostgresMajor } from "../binaries.ts";
import { findBinaries } from "../binaries.ts";
import type { ReplicationLogin } from "../connection.ts";
import { EmbeddedServer } from "../embedded-server.ts";
import { makeStandby, writePassfile } from "../make-standby.ts";
import type { ServerSettings } from "../server-settings.ts";
import type { PostgresUser } from "../unprivileged-user.ts";
import { choosePostgresUser } from "../unprivileged-user.ts";
import { freePort } from "@tidemark/kernel/platform/free-ports";

export { freePort };

/** Where and as whom to connect; the shape that the `postgres` driver takes as options. */
export interface ConnectionDetails {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface TestServer extends AsyncDisposable {
  readonly server: EmbeddedServer;
  /** The superuser's. */
  readonly connection: ConnectionDetails;
  /** A folder of this test that holds the data directory (`data`) and the log (`postgres.log`). */
  readonly folder: string;
  /** Kills the server and removes the folder. Safe to call twice. */
  dispose(): Promise<void>;
}

export const TEST_SUPERUSER = "tidemark";
export const TEST_PASSWORD = "only-for-tests: it's \\ odd";

/** Close to what an agent configures; fsync stays on. */
export const TEST_SETTINGS: ServerSettings = {
  wal_level: "replica",
  max_wal_senders: "10",
  hot_standby: "on",
  max_connections: "100",
  shared_buffers: "128MB",
  wal_retrieve_retry_interval: "100ms",
  log_line_prefix: "%m [%p] ",
};

/** The major version that tests run on: `major`, or TIDEMARK_TEST_PG_MAJOR, by default what findBinaries chooses. */
export async function testBinaries(user: PostgresUser = choosePostgresUser(), major?: PostgresMajor): Promise<PostgresBinaries> {
  const wanted = major ?? process.env["TIDEMARK_TEST_PG_MAJOR"];
  return findBinaries({ user, ...(wanted === undefined || wanted === "" ? {} : { major: Number(wanted) as PostgresMajor }) });
}

/** A new folder below the temporary one that the server's user may enter. */
export async function testFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tidemark-test-"));
  const user = choosePostgresUser();
  if (user.switches) await chown(folder, user.uid, user.gid);
  await chmod(folder, 0o755);
  return folder;
}

/** A server that is not initialised yet: its data directory is `<folder>/data`. */
export async function unstartedServer(options?: {
  folder?: string;
  port?: number;
  name?: string;
  major?: PostgresMajor;
}): Promise<TestServer> {
  const folder = options?.folder ?? (await testFolder());
  const name = options?.name ?? "data";
  const user = choosePostgresUser();
  const port = options?.port ?? (await freePort());
  const server = new EmbeddedServer({
    binaries: await testBinaries(user, options?.major),
    dataDir: join(folder, name),
    logFile: join(folder, name === "data" ? "postgres.log" : `${name}.log`),
    port,
    user,
    logger: silentLogger,
    clock: systemClock,
  });
  const dispose = async (): Promise<void> => {
    await server.kill();
    await rm(folder, { recursive: true, force: true });
  };
  const connection = { host: "127.0.0.1", port, user: TEST_SUPERUSER, password: TEST_PASSWORD, database: "postgres" };
  return { server, connection, folder, dispose, [Symbol.asyncDispose]: dispose };
}

/** A running primary with {@link TEST_SETTINGS} and `settings`. */
export async function startPrimary(options?: { settings?: ServerSettings; major?: PostgresMajor }): Promise<TestServer> {
  const primary = await unstartedServer(options?.major === undefined ? {} : { major: options.major });
  try {
    await primary.server.initialise({ superuser: TEST_SUPERUSER, password: new Redacted(TEST_PASSWORD) });
    await primary.server.configure({ ...TEST_SETTINGS, ...options?.settings });
    await primary.server.start({ awaitReady: "accepting" });
    return primary;
  } catch (error) {
    await primary.dispose();
    throw error;
  }
}

export interface TestPair extends AsyncDisposable {
  readonly primary: TestServer;
  readonly standby: TestServer;
  /** Where the standby's password file stands. */
  readonly passfile: string;
  dispose(): Promise<void>;
}

/** The standby's application_name in {@link startPrimaryWithStandby}. */
export const TEST_STANDBY = "standby1";

/** How to log in at a test server for replication. */
export function replicationLogin(connection: ConnectionDetails): ReplicationLogin {
  return {
    host: connection.host,
    port: connection.port,
    user: connection.user,
    password: new Redacted(connection.password),
    clock: systemClock,
  };
}

/** Clones a running server into `<folder>/<name>` and makes it a standby that is configured but not started. */
export async function cloneStandby(primary: TestServer, options?: { name?: string; settings?: ServerSettings }): Promise<TestServer> {
  const name = options?.name ?? TEST_STANDBY;
  const standby = await unstartedServer({ major: primary.server.options.binaries.major as PostgresMajor });
  const { user, dataDir } = standby.server.options;
  const passfile = join(standby.folder, "upstream.pgpass");
  try {
    await writePassfile(passfile, { user: TEST_SUPERUSER, password: new Redacted(TEST_PASSWORD) }, user);
    const upstream = {
      host: "127.0.0.1",
      port: primary.connection.port,
      user: TEST_SUPERUSER,
      passfile,
      applicationName: name,
      slot: name,
    };
    const prepare = (folder: string): Promise<void> =>
      makeStandby(folder, { upstream, settings: { ...TEST_SETTINGS, ...options?.settings }, user });
    await takeBaseBackup({ from: replicationLogin(primary.connection), targetDir: dataDir, label: name, user, slot: name, prepare });
    return standby;
  } catch (error) {
    await standby.dispose();
    throw error;
  }
}

/** A running primary and a running standby that streams from it; `synchronous`: the primary waits for it at each commit. */
export async function startPrimaryWithStandby(options: { synchronous: boolean; settings?: ServerSettings }): Promise<TestPair> {
  const primary = await startPrimary(options.settings === undefined ? {} : { settings: options.settings });
  let standby: TestServer | undefined;
  const dispose = async (): Promise<void> => {
    await standby?.dispose();
    await primary.dispose();
  };
  try {
    standby = await cloneStandby(primary, options.settings === undefined ? {} : { settings: options.settings });
    await standby.server.start({ awaitReady: "accepting" });
    await untilStreaming(primary, TEST_STANDBY);
    if (options.synchronous) {
      await primary.server.configure({ ...TEST_SETTINGS, ...options.settings, synchronous_standby_names: `FIRST 1 (${TEST_STANDBY})` });
      primary.server.reload();
      await untilSynchronous(primary, TEST_STANDBY);
    }
    return { primary, standby, passfile: join(standby.folder, "upstream.pgpass"), dispose, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Resolves when `name` streams from the server. */
export function untilStreaming(server: TestServer, name: string): Promise<void> {
  return untilReplication(server, name, (row) => row?.state === "streaming");
}

/** Resolves when the server waits for `name` at each commit. */
export function untilSynchronous(server: TestServer, name: string): Promise<void> {
  return untilReplication(server, name, (row) => row?.state === "streaming" && row.sync_state === "sync");
}

interface ReplicationRow {
  readonly state: string;
  readonly sync_state: string;
}

async function untilReplication(server: TestServer, name: string, holds: (row: ReplicationRow | undefined) => boolean): Promise<void> {
  const sql = postgres({ ...server.connection, max: 1, fetch_types: false, onnotice: () => undefined });
  try {
    const deadlineMs = systemClock.monotonicMs() + 20_000;
    for (;;) {
      const [row] = await sql<ReplicationRow[]>`select state, sync_state from pg_stat_replication where application_name = ${name}`;
      if (holds(row)) return;
      if (systemClock.monotonicMs() > deadlineMs) throw new Error(`${name} is still ${JSON.stringify(row)}`);
      await sleep(systemClock, 10);
    }
  } finally {
    await sql.end();
  }
}
