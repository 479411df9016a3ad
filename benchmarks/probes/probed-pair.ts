// A real primary and an asynchronous standby for the probes to look at, with links that can be broken: the standby follows through one, and
// the probe looks at the standby through the other.
import { join } from "node:path";
import { Client } from "pg";
import { silentLogger } from "@tidemark/kernel/logger";
import { freePorts } from "@tidemark/kernel/platform/free-ports";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { takeBaseBackup } from "@tidemark/postgres/base-backup";
import { findBinaries } from "@tidemark/postgres/binaries";
import { EmbeddedServer } from "@tidemark/postgres/embedded-server";
import { makeStandby, writePassfile } from "@tidemark/postgres/make-standby";
import { choosePostgresUser } from "@tidemark/postgres/unprivileged-user";
import { ENSURE_CANARY_SQL } from "../../packages/tidemark/src/canary/canary-table.ts";
import type { PostgresqlTarget } from "../../packages/tidemark/src/probes/postgresql/postgresql-target.ts";
import { Link } from "./link.ts";

const SUPERUSER = "bench";
const PROBE = "tidemark_probe";
const PASSWORD = "only-for-benchmarks";

/** The standby's application_name, and its name as a copy. */
export const STANDBY = "pg2";

const SETTINGS = {
  wal_level: "replica",
  max_wal_senders: "10",
  hot_standby: "on",
  max_connections: "100",
  shared_buffers: "128MB",
  wal_retrieve_retry_interval: "100ms",
  // A partition ends after it as far as the primary is concerned.
  wal_sender_timeout: "10s",
  wal_receiver_timeout: "10s",
};

/** What `tidemark grants --canary` grants. */
const GRANTS = [
  `CREATE ROLE ${PROBE} LOGIN PASSWORD '${PASSWORD}'`,
  `GRANT pg_monitor TO ${PROBE}`,
  ...ENSURE_CANARY_SQL.split(";\n"),
  `GRANT USAGE ON SCHEMA tidemark_canary TO ${PROBE}`,
  `GRANT SELECT, INSERT, UPDATE ON tidemark_canary.beat TO ${PROBE}`,
];

export class ProbedPair {
  readonly primary: EmbeddedServer;
  readonly standby: EmbeddedServer;
  /** From the standby to the primary. */
  readonly replication: Link;
  /** From the probe to the standby. */
  readonly access: Link;

  private constructor(parts: Pick<ProbedPair, "primary" | "standby" | "replication" | "access">) {
    this.primary = parts.primary;
    this.standby = parts.standby;
    this.replication = parts.replication;
    this.access = parts.access;
  }

  /** Resolves when the standby streams. */
  static async start(folder: string): Promise<ProbedPair> {
    const user = choosePostgresUser();
    const binaries = await findBinaries({ user });
    const [first, second] = (await freePorts(2)) as [number, number];
    const serverAt = (name: string, port: number): EmbeddedServer =>
      new EmbeddedServer({
        binaries,
        dataDir: join(folder, name),
        logFile: join(folder, `${name}.log`),
        port,
        user,
        logger: silentLogger,
        clock: systemClock,
      });
    const [primary, standby] = [serverAt("primary", first), serverAt("standby", second)];
    const [replication, access] = [await Link.start(first), await Link.start(second)];
    const pair = new ProbedPair({ primary, standby, replication, access });
    try {
      await primary.initialise({ superuser: SUPERUSER, password: new Redacted(PASSWORD) });
      await primary.configure(SETTINGS);
      await primary.start({ awaitReady: "accepting" });
      await pair.#prepare();
      const passfile = join(folder, "upstream.pgpass");
      await writePassfile(passfile, { user: SUPERUSER, password: new Redacted(PASSWORD) }, user);
      const upstream = { host: "127.0.0.1", port: replication.port, user: SUPERUSER, passfile, applicationName: STANDBY, slot: STANDBY };
      await takeBaseBackup({
        from: { host: "127.0.0.1", port: first, user: SUPERUSER, password: new Redacted(PASSWORD), clock: systemClock },
        targetDir: standby.options.dataDir,
        label: STANDBY,
        user,
        slot: STANDBY,
        prepare: (copy) => makeStandby(copy, { upstream, settings: SETTINGS, user }),
      });
      await standby.start({ awaitReady: "accepting" });
      await pair.untilStreaming();
      return pair;
    } catch (error) {
      await pair.stop();
      throw error;
    }
  }

  get version(): string {
    return this.primary.options.binaries.version;
  }

  /** As whom the probes look, with the smallest grants; the standby through the link that can be cut. */
  get targets(): { readonly primary: PostgresqlTarget; readonly standby: PostgresqlTarget } {
    const shared = {
      host: "127.0.0.1",
      user: PROBE,
      password: new Redacted(PASSWORD),
      database: "postgres",
      tls: "disable" as const,
    };
    return { primary: { ...shared, port: this.primary.options.port }, standby: { ...shared, port: this.access.port } };
  }

  /** As the superuser, past every link. */
  async connect(node: "primary" | "standby"): Promise<Client> {
    const { port } = this[node].options;
    const client = new Client({
      host: "127.0.0.1",
      port,
      user: SUPERUSER,
      password: PASSWORD,
      database: "postgres",
      application_name: "bench",
    });
    await client.connect();
    return client;
  }

  async untilStreaming(): Promise<void> {
    const deadlineMs = Date.now() + 60_000;
    for (;;) {
      const [row] = await this.#ask<{ state: string }>("primary", "SELECT state FROM pg_stat_replication WHERE application_name = $1", [
        STANDBY,
      ]);
      if (row?.state === "streaming") return;
      if (Date.now() > deadlineMs) throw new Error(`the standby is ${row?.state ?? "away"} after a minute`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Process numbers of the server processes of a kind, such as `walreceiver`, or of Tidemark's sessions. */
  async backends(node: "primary" | "standby", which: { kind: string } | { applications: string }): Promise<number[]> {
    const rows = await ("kind" in which
      ? this.#ask<{ pid: number }>(node, "SELECT pid FROM pg_stat_activity WHERE backend_type = $1", [which.kind])
      : this.#ask<{ pid: number }>(node, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE $1", [which.applications]));
    return rows.map(({ pid }) => pid);
  }

  async stop(): Promise<void> {
    await this.replication[Symbol.asyncDispose]();
    await this.access[Symbol.asyncDispose]();
    await this.standby.kill();
    await this.primary.kill();
  }

  async #prepare(): Promise<void> {
    for (const statement of GRANTS) await this.#ask("primary", statement);
    await this.#ask("primary", "CREATE TABLE orders (id bigserial PRIMARY KEY, what text)");
  }

  async #ask<T extends object>(node: "primary" | "standby", sql: string, values: readonly string[] = []): Promise<T[]> {
    const client = await this.connect(node);
    try {
      return (await client.query<T>(sql, [...values])).rows;
    } finally {
      await client.end();
    }
  }
}
