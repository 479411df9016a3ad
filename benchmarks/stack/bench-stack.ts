import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { freePort, PeerProcess } from "../contenders/peer-process.ts";
import { benchConfig, SETUP_SQL, STORE, type BenchPorts } from "./bench-config.ts";

const MAIN = fileURLToPath(new URL("../../packages/tidemark/src/main.ts", import.meta.url));
const READY_MS = 90_000;
/** A backlog that takes longer to drain than this is a fault. */
const DRAIN_MS = 300_000;
const LOOK_EVERY_MS = 20;
/** The gateway's figure is an upper bound: idle partitions move rarely. */
const NEARLY_APPLIED_RECORDS = 1_000;

/** What the stack's gateway says of itself, as far as the benchmark needs it. */
interface GatewayFacts {
  readonly memoryBytes: number;
  readonly journal: { readonly durable: string };
  readonly stores: Readonly<Record<string, { readonly behind: { readonly records: number | null } }>>;
}

/** A whole stack from `tidemark up`, with a primary and one synchronous standby, on the measured disk. */
export class BenchStack {
  readonly gatewayUrl: string;
  readonly token: string;
  readonly #folder: string;
  readonly #ports: BenchPorts;
  readonly #process: PeerProcess;
  /** Processes that are stopped. */
  readonly #held: number[] = [];

  private constructor(parts: { folder: string; ports: BenchPorts; token: string }) {
    this.#folder = parts.folder;
    this.#ports = parts.ports;
    this.token = parts.token;
    this.gatewayUrl = `http://127.0.0.1:${parts.ports.gateway}`;
    const args = [
      "--conditions=@tidemark/source",
      "--disable-warning=ExperimentalWarning",
      MAIN,
      "up",
      "--config",
      join(parts.folder, "tidemark.yaml"),
    ];
    this.#process = new PeerProcess(process.execPath, args, {
      log: join(parts.folder, "up.log"),
      cwd: parts.folder,
      env: { ...process.env, NO_COLOR: "1" },
    });
  }

  /** Makes and starts a stack in `folder`, an empty one; resolves when it acknowledges, applies and replicates synchronously. */
  static async start(folder: string): Promise<BenchStack> {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o755);
    const ports: BenchPorts = {
      gateway: await freePort(),
      control: await freePort(),
      nodes: [
        { postgres: await freePort(), agent: await freePort() },
        { postgres: await freePort(), agent: await freePort() },
      ],
    };
    const token = randomBytes(24).toString("base64url");
    writeFileSync(join(folder, "bench.token"), `${token}\n`, { mode: 0o600 });
    writeFileSync(join(folder, "setup.sql"), SETUP_SQL);
    writeFileSync(join(folder, "tidemark.yaml"), benchConfig(ports));
    const stack = new BenchStack({ folder, ports, token });
    try {
      await stack.#ready();
      return stack;
    } catch (error) {
      await stack.close();
      throw error;
    }
  }

  async #ready(): Promise<void> {
    await this.#process.listening(this.#ports.gateway, READY_MS);
    const endMs = performance.now() + READY_MS;
    let last: unknown = new Error("nothing was asked yet");
    while (performance.now() < endMs) {
      try {
        if (await this.#isReady()) return;
      } catch (error) {
        last = error;
      }
      await pause(100);
    }
    const log = readFileSync(join(this.#folder, "up.log"), "utf8").slice(-3_000);
    throw new Error(`the stack was not ready in ${READY_MS / 1_000} s; the end of its log: ${log}`, { cause: last });
  }

  /** Once the table is there and a commit waits for the standby. */
  async #isReady(): Promise<boolean> {
    const [row] = await this.query<{ table: string | null; names: string; copies: string | null }>(
      `SELECT to_regclass('orders')::text AS table, current_setting('synchronous_standby_names') AS names,
              (SELECT string_agg(sync_state, ',') FROM pg_stat_replication WHERE state = 'streaming') AS copies`,
    );
    const ready = row !== undefined && row.table !== null && row.names !== "" && /sync|quorum/.test(row.copies?.replace("async", "") ?? "");
    if (!ready) throw new Error(`the primary says ${JSON.stringify(row)}`);
    return true;
  }

  /** Where an application would connect to the primary. */
  async postgres(): Promise<{ host: string; port: number; user: string; password: string; database: string }> {
    const token = readFileSync(join(this.#folder, ".tidemark", "secrets", "internal.token"), "utf8").trim();
    const route = (await askJson({ url: `http://127.0.0.1:${this.#ports.control}/v1/stores/${STORE}/route`, token })) as {
      host: string;
      port: number;
    };
    const password = readFileSync(join(this.#folder, ".tidemark", "secrets", `${STORE}.password`), "utf8").trim();
    return { host: route.host, port: route.port, user: STORE, password, database: STORE };
  }

  async query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    const client = new Client(await this.postgres());
    await client.connect();
    try {
      return (await client.query(text, values)).rows as Row[];
    } finally {
      await client.end();
    }
  }

  /** Holds applying back, or lets it go on. */
  async pause(paused: boolean): Promise<void> {
    await askJson({ url: `${this.gatewayUrl}/v1/stores/${STORE}/${paused ? "pause" : "resume"}`, token: this.token, method: "POST" });
  }

  async gatewayFacts(): Promise<GatewayFacts> {
    return (await askJson({ url: `${this.gatewayUrl}/v1/status`, token: this.token })) as GatewayFacts;
  }

  /** Records that are durable and may not be applied yet; undefined while the applier has not told. */
  async recordsBehind(): Promise<number | undefined> {
    return (await this.gatewayFacts()).stores[STORE]?.behind.records ?? undefined;
  }

  /** The newest durable sequence: grows by one with each acknowledged order. */
  async durable(): Promise<number> {
    return Number((await this.gatewayFacts()).journal.durable);
  }

  async rows(): Promise<number> {
    const [row] = await this.query<{ count: string }>("SELECT count(*) FROM orders");
    return Number(row?.count ?? 0);
  }

  /** Empties the table once everything is applied; from then on `durable() - base` rows are to come. */
  async clear(): Promise<number> {
    await this.pause(false);
    await this.#untilNearlyApplied(performance.now());
    // Nothing is written now, so the count of rows comes to rest.
    for (let before = -1, now = await this.rows(); now !== before; before = now, now = await this.rows()) await pause(200);
    await this.query("TRUNCATE orders");
    return this.durable();
  }

  /** Waits until all orders since `base` are in the table; resolves with how long it took. */
  async drained(base: number): Promise<number> {
    const startMs = performance.now();
    const expected = (await this.durable()) - base;
    await this.#untilNearlyApplied(startMs);
    while ((await this.rows()) < expected) await inTime(startMs);
    return performance.now() - startMs;
  }

  /** Counting rows costs the database something, so it begins when the gateway's figure, which never reaches zero on idle partitions, is small. */
  async #untilNearlyApplied(startMs: number): Promise<void> {
    // Until each partition has had a record the gateway has no figure; before the first record there is nothing to wait for.
    if ((await this.durable()) === 0) return;
    while (((await this.recordsBehind()) ?? Infinity) > NEARLY_APPLIED_RECORDS) await inTime(startMs);
  }

  /** Ends every database server and holds whoever would start it again, until the stack is closed. */
  async takeDatabasesAway(): Promise<void> {
    const run = JSON.parse(readFileSync(join(this.#folder, ".tidemark", "run.json"), "utf8")) as { roles: { kind: string; pid: number }[] };
    for (const { kind, pid } of run.roles) if (kind === "agent") this.#held.push(pid);
    for (const pid of this.#held) process.kill(pid, "SIGSTOP");
    const data = join(this.#folder, ".tidemark", "data");
    for (const node of readdirSync(data)) {
      const pidFile = join(data, node, "postmaster.pid");
      if (existsSync(pidFile)) process.kill(Number(readFileSync(pidFile, "utf8").split("\n")[0]), "SIGQUIT");
    }
  }

  async close(): Promise<void> {
    for (const pid of this.#held.splice(0)) process.kill(pid, "SIGCONT");
    await this.#process.stop(30_000);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function inTime(startMs: number): Promise<void> {
  if (performance.now() - startMs > DRAIN_MS) throw new Error(`the backlog was not drained in ${DRAIN_MS / 1_000} s`);
  await pause(LOOK_EVERY_MS);
}

async function askJson(question: { url: string; token: string; method?: string }): Promise<unknown> {
  const response = await fetch(question.url, {
    method: question.method ?? "GET",
    headers: { authorization: `Bearer ${question.token}` },
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${question.url} answered ${response.status}: ${text.slice(0, 300)}`);
  return text === "" ? undefined : JSON.parse(text);
}
