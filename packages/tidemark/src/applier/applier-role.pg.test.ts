import { fork, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../config/config.ts";
import { openJournal } from "../journal/embedded/open-journal.ts";
import type { Journal } from "../journal/journal.ts";
import type { FromApplier } from "./applier-link.ts";
import { RECORD_REIGN_SQL, TIDEMARK_SCHEMA_SQL } from "./schema.ts";

const ENTRY = fileURLToPath(new URL("applier-role.ts", import.meta.url));

/** An applier process with what its gateway would do for it. */
class Child {
  readonly process: ChildProcess;
  readonly said: FromApplier[] = [];
  readonly #journal: Journal;
  readonly #off: () => void;

  constructor(journal: Journal, config: Config) {
    this.#journal = journal;
    this.process = fork(ENTRY, [], {
      execArgv: ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "inherit", "ignore", "ipc"],
    });
    this.process.on("message", (message) => this.said.push(message as FromApplier));
    this.process.send({ type: "begin", store: "orders", journal: journal.id, config });
    this.#tell();
    this.#off = journal.onDurable(() => this.#tell());
  }

  #tell(): void {
    if (this.process.connected) this.process.send({ type: "durable", upTo: String(this.#journal.extent().durable) }, () => undefined);
  }

  async end(how: "SIGKILL" | "disconnect" | "SIGTERM"): Promise<number | null> {
    this.#off();
    if (this.process.exitCode !== null || this.process.signalCode !== null) return this.process.exitCode;
    const gone = once(this.process, "exit");
    if (how === "disconnect") this.process.disconnect();
    else this.process.kill(how);
    const [code] = (await gone) as [number | null];
    return code;
  }
}

describe("the applier's process", () => {
  let primary: TestServer;
  let folder: string;
  let route: Server;
  let config: Config;
  let sql: postgres.Sql;
  const children: Child[] = [];
  beforeAll(async () => {
    primary = await startPrimary();
  });
  afterAll(() => primary.dispose());

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-applier-"));
    sql = postgres({ ...primary.connection, username: primary.connection.user, max: 2, fetch_types: false, onnotice: () => undefined });
    await sql.unsafe(TIDEMARK_SCHEMA_SQL).simple();
    await sql.unsafe(RECORD_REIGN_SQL, [1, "pg1", 1, "0/0"]);
    await sql.unsafe("DROP TABLE IF EXISTS tally; CREATE TABLE tally (n int NOT NULL, key text NOT NULL, at bigserial)").simple();
    const [row] = await sql<{ system: string }[]>`SELECT system_identifier::text AS system FROM pg_control_system()`;
    const { host, port } = primary.connection;
    const body = {
      store: "orders",
      revision: 1,
      epoch: 1,
      node: "pg1",
      host,
      port,
      timeline: 1,
      systemIdentifier: row?.system,
      state: "open",
      guarantee: "asynchronous",
      demanded: [],
    };
    route = createServer((request, response) => {
      const held = request.url?.includes("waitMs") === true;
      setTimeout(() => response.setHeader("content-type", "application/json").end(JSON.stringify(body)), held ? 500 : 0).unref();
    });
    await new Promise<void>((resolve) => route.listen(0, "127.0.0.1", resolve));
    await writeFile(join(folder, "password"), primary.connection.password, { mode: 0o600 });
    await writeFile(join(folder, "token"), "internal", { mode: 0o600 });
    config = {
      stores: {
        orders: {
          database: primary.connection.database,
          user: primary.connection.user,
          passwordFile: join(folder, "password"),
          nodes: [],
          vaults: [],
          required: 0,
        },
      },
      journal: {
        kind: "embedded",
        directory: join(folder, "journal"),
        domain: { machine: "m" },
        partitions: 3,
        segmentBytes: 1_048_576,
        quotaBytes: 64_000_000,
        minimumFreeBytes: 0,
        healing: { windowMs: 3_600_000, atQuota: "shorten" },
      },
      gateway: { idempotency: { windowMs: 3_600_000, count: 1_000 } },
      control: { host: "127.0.0.1", port: (route.address() as AddressInfo).port, internalTokenFile: join(folder, "token") },
      commands: {
        count: {
          store: "orders",
          key: "/n",
          schema: { type: "object", properties: { n: {} } },
          statements: ["INSERT INTO tally (n, key) VALUES (:n, :key)"],
          onReject: "skip",
          volatile: false,
        },
      },
    } as unknown as Config;
  });
  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.end("SIGKILL")));
    route.closeAllConnections();
    await new Promise((resolve) => route.close(resolve));
    await sql.end({ timeout: 1 });
    await rm(folder, { recursive: true, force: true });
  });

  const open = (partitions = 3): Promise<Journal> =>
    openJournal({ config: { ...config.journal, partitions }, clock: systemClock, random: systemRandom, logger: silentLogger });
  const start = (journal: Journal): Child => {
    const child = new Child(journal, config);
    children.push(child);
    return child;
  };
  let written = 0;
  const write = async (journal: Journal, count: number): Promise<void> => {
    const entries = Array.from({ length: count }, () => {
      const n = written++;
      const payload = {
        v: 1,
        id: randomUUID(),
        command: "count",
        args: { n },
        idempotencyKey: randomUUID(),
        scope: "test",
        contentHash: "h",
      };
      return { kind: "write" as const, key: `k${n % 11}`, acceptedAtMs: Date.now(), payload: Buffer.from(JSON.stringify(payload)) };
    });
    await journal.append(entries);
  };
  const numbers = async (): Promise<number[]> => (await sql<{ n: number }[]>`SELECT n FROM tally ORDER BY at`).map((row) => row.n);
  const allApplied = async (first: number): Promise<void> => {
    await expect
      .poll(async () => Number((await sql`SELECT count(*) AS count FROM tally`)[0]?.["count"]), { timeout: 30_000, interval: 50 })
      .toBeGreaterThanOrEqual(written - first);
    const found = await numbers();
    expect(found.toSorted((a, b) => a - b)).toEqual(Array.from({ length: written - first }, (_, i) => first + i));
    for (let k = 0; k < 11; k++) {
      const ofKey = found.filter((n) => n % 11 === k);
      expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b));
    }
  };

  it("can be killed at any moment, again and again: each write takes effect once, in the order of its key", async () => {
    const first = written;
    const journal = await open();
    try {
      let child = start(journal);
      for (let round = 0; round < 8; round++) {
        const before = child.said.length;
        await write(journal, 400);
        // Killed as soon as it says anything more, in the middle of the rest.
        await expect.poll(() => child.said.length, { timeout: 20_000, interval: 1 }).toBeGreaterThan(before);
        await child.end("SIGKILL");
        child = start(journal);
      }
      await allApplied(first);
    } finally {
      await journal.close();
    }
  });

  it("ends by itself when its gateway is gone, and in order at SIGTERM", async () => {
    const first = written;
    const journal = await open();
    try {
      const orphan = start(journal);
      await write(journal, 20);
      await allApplied(first);
      expect(await orphan.end("disconnect")).toBe(0);
      const next = start(journal);
      await write(journal, 20);
      await allApplied(first);
      expect(await next.end("SIGTERM")).toBe(0);
    } finally {
      await journal.close();
    }
  });

  it("drains a generation before it begins the next with another number of partitions (R12)", async () => {
    const first = written;
    let journal = await open(3);
    await write(journal, 200);
    await journal.close();
    journal = await open(7);
    try {
      await write(journal, 200);
      const child = start(journal);
      await allApplied(first);
      await child.end("SIGKILL");
      await write(journal, 50);
      await journal.close();
      journal = await open(2);
      await write(journal, 200);
      start(journal);
      await allApplied(first);
      const rows = await sql<{ generation: number; at: string; base: string }[]>`
        SELECT generation, array_agg(DISTINCT sequence)::text AS at, max(sequence) FILTER (WHERE partition = -1)::text AS base
        FROM tidemark.position WHERE journal = ${journal.id} GROUP BY generation ORDER BY generation`;
      expect(rows.map((row) => row.generation)).toEqual([1, 2, 3]);
      // Every partition of an ended generation stands at the record that ended it.
      for (const row of rows.slice(0, 2)) expect(row.at).toBe(`{${row.base}}`);
    } finally {
      await journal.close();
    }
  });

  it("says why and ends when it is started without a gateway", async () => {
    const { spawn } = await import("node:child_process");
    const alone = spawn(process.execPath, ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", ENTRY], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    alone.stderr.on("data", (bytes: Buffer) => (log += String(bytes)));
    const [code] = (await once(alone, "exit")) as [number];
    expect(code).toBe(1);
    expect(log).toContain("TM-APPLIER-LINK");
  });
});
