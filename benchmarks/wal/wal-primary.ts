import { execFile } from "node:child_process";
import { accessSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { silentLogger } from "@tidemark/kernel/logger";
import { Redacted } from "@tidemark/kernel/redacted";
import { findBinaries } from "@tidemark/postgres/binaries";
import { EmbeddedServer } from "@tidemark/postgres/embedded-server";
import { choosePostgresUser } from "@tidemark/postgres/unprivileged-user";
import { freePort } from "../contenders/peer-process.ts";

const USER = "bench";
const PASSWORD = "only-for-benchmarks";

/** Both sides of every comparison see the same server with these. */
const SETTINGS = {
  wal_level: "replica",
  max_wal_senders: "10",
  max_connections: "100",
  shared_buffers: "256MB",
  max_wal_size: "16GB",
  wal_keep_size: "16GB",
  checkpoint_timeout: "1h",
  autovacuum: "off",
};

/** The folder with postgres, pg_receivewal and pgbench. Throws when one of them is missing. */
export function findTools(): string {
  const folder = process.env["TIDEMARK_PG_BIN"] ?? "/usr/lib/postgresql/15/bin";
  for (const name of ["postgres", "initdb", "pg_receivewal", "pgbench"]) accessSync(join(folder, name));
  return folder;
}

/** The primary that is written to while others receive its WAL. */
export class WalPrimary {
  readonly tools: string;
  readonly login: { readonly host: string; readonly port: number; readonly user: string; readonly password: string };
  readonly version: string;
  readonly #server: EmbeddedServer;
  readonly #client: Client;

  private constructor(tools: string, server: EmbeddedServer) {
    this.tools = tools;
    this.#server = server;
    this.version = server.options.binaries.version;
    this.login = { host: "127.0.0.1", port: server.options.port, user: USER, password: PASSWORD };
    this.#client = new Client({ ...this.login, database: "postgres" });
  }

  static async start(folder: string): Promise<WalPrimary> {
    const tools = findTools();
    const user = choosePostgresUser();
    const binaries = await findBinaries({ env: { ...process.env, TIDEMARK_PG_BIN: tools }, user });
    const port = await freePort();
    const server = new EmbeddedServer({
      binaries,
      dataDir: join(folder, "primary"),
      logFile: join(folder, "primary.log"),
      port,
      user,
      logger: silentLogger,
      clock: systemClock,
    });
    await server.initialise({ superuser: USER, password: new Redacted(PASSWORD) });
    await server.configure(SETTINGS);
    await server.start({ awaitReady: "accepting" });
    const primary = new WalPrimary(tools, server);
    await primary.#client.connect();
    await primary.#ask("CREATE TABLE orders (id bigserial PRIMARY KEY, customer int, amount int, note text)");
    await primary.#ask("CREATE TABLE filler (text text)");
    return primary;
  }

  /** Ends the segment that is written; the first position after it. */
  async switchSegment(): Promise<string> {
    await this.#ask("SELECT pg_switch_wal()");
    // Something in the next one, or a receiver would not begin it.
    await this.#ask("SELECT pg_logical_emit_message(true, 'bench', 'switched')");
    const [row] = await this.#ask<{ lsn: string }>("SELECT pg_current_wal_lsn()::text AS lsn");
    return row?.lsn ?? "";
  }

  /** Writes WAL of many rows. */
  async writeBacklog(mib: number): Promise<void> {
    const batch = 64;
    for (let done = 0; done < mib; done += batch) {
      await this.#ask("INSERT INTO filler SELECT repeat(md5(i::text), 29) FROM generate_series(1, $1::int) i", [
        Math.min(batch, mib - done) * 1_000,
      ]);
      await this.#ask("TRUNCATE filler");
    }
    await this.#ask("CHECKPOINT");
  }

  /** Commits wait for `name` and for nobody else, or for nobody; resolves when that holds. */
  async waitFor(name: string | undefined): Promise<void> {
    await this.#server.configure({ ...SETTINGS, ...(name === undefined ? {} : { synchronous_standby_names: name }) });
    this.#server.reload();
    await this.#until(async () => {
      const [setting] = await this.#ask<{ value: string }>("SELECT current_setting('synchronous_standby_names') AS value");
      if (setting?.value !== (name ?? "")) return false;
      const [row] = await this.#ask<{ n: number }>("SELECT count(*)::int AS n FROM pg_stat_replication WHERE sync_state = 'sync'");
      return row?.n === (name === undefined ? 0 : 1);
    });
  }

  /** Resolves when `name` receives what is written now. */
  async streamsTo(name: string): Promise<void> {
    await this.#until(async () => {
      const rows = await this.#ask("SELECT 1 FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'", [name]);
      return rows.length === 1;
    });
  }

  /** Resolves when nobody receives any more; their slots are gone then. */
  async clear(): Promise<void> {
    await this.#until(async () => (await this.#ask("SELECT 1 FROM pg_stat_replication")).length === 0);
    await this.#until(async () => (await this.#ask("SELECT 1 FROM pg_replication_slots WHERE active")).length === 0);
    await this.#ask("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
  }

  /** Commits of single rows a second; undefined when pgbench counts none, as on a machine where connecting takes longer than that. */
  async commits(connections: number, seconds: number, script: string): Promise<number | undefined> {
    await this.#ask("TRUNCATE orders");
    await this.#ask("CHECKPOINT");
    const { host, port, user, password } = this.login;
    const args = ["-h", host, "-p", String(port), "-U", user, "-n", "-M", "prepared", "-f", script, "-T", String(seconds)];
    const clients = ["-c", String(connections), "-j", String(Math.min(2, connections)), "postgres"];
    const { stdout: said } = await promisify(execFile)(join(this.tools, "pgbench"), [...args, ...clients], {
      env: { ...process.env, PGPASSWORD: password },
    });
    const rate = Number(/^tps = ([\d.]+)/m.exec(said)?.[1]);
    return Number.isFinite(rate) && rate > 0 ? rate : undefined;
  }

  async stop(): Promise<void> {
    await this.#client.end();
    await this.#server.kill();
  }

  async #ask<Row extends object>(text: string, values: readonly (string | number)[] = []): Promise<Row[]> {
    return (await this.#client.query(text, [...values])).rows as Row[];
  }

  async #until(holds: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + 60_000;
    while (!(await holds())) {
      if (performance.now() > endMs) throw new Error("the primary did not get there within a minute");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
