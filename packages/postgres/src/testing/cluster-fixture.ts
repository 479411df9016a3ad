// Real PostgreSQL servers for tests: on free ports, in folders of their own, gone with the test.
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { silentLogger } from "@tidemark/kernel/logger";
import { Redacted } from "@tidemark/kernel/redacted";
import type { PostgresBinaries, PostgresMajor } from "../binaries.ts";
import { findBinaries } from "../binaries.ts";
import { EmbeddedServer } from "../embedded-server.ts";
import type { ServerSettings } from "../server-settings.ts";
import type { PostgresUser } from "../unprivileged-user.ts";
import { choosePostgresUser } from "../unprivileged-user.ts";

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

/** The major version that tests run on: TIDEMARK_TEST_PG_MAJOR, by default what findBinaries chooses. */
export async function testBinaries(user: PostgresUser = choosePostgresUser()): Promise<PostgresBinaries> {
  const major = process.env["TIDEMARK_TEST_PG_MAJOR"];
  return findBinaries({ user, ...(major === undefined || major === "" ? {} : { major: Number(major) as PostgresMajor }) });
}

/** A new folder below the temporary one that the server's user may enter. */
export async function testFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tidemark-test-"));
  const user = choosePostgresUser();
  if (user.switches) await chown(folder, user.uid, user.gid);
  await chmod(folder, 0o755);
  return folder;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => probe.once("error", reject).listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** A server that is not initialised yet: its data directory is `<folder>/data`. */
export async function unstartedServer(options?: { folder?: string; port?: number; name?: string }): Promise<TestServer> {
  const folder = options?.folder ?? (await testFolder());
  const name = options?.name ?? "data";
  const user = choosePostgresUser();
  const port = options?.port ?? (await freePort());
  const server = new EmbeddedServer({
    binaries: await testBinaries(user),
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
export async function startPrimary(options?: { settings?: ServerSettings }): Promise<TestServer> {
  const primary = await unstartedServer();
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
