// Control and agents as real processes over real PostgreSQL servers, in a folder and on ports of their own. Only processes
// that were started here, and the postmasters in that folder, are ever signalled.
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, testBinaries, testFolder } from "@tidemark/postgres/testing/cluster-fixture";
import { postgresProcesses } from "@tidemark/postgres/process-table";
import postgres from "postgres";
import type { Config, StoreConfig, SynchronousPolicy } from "../../config/config.ts";
import { HISTORY_DEFAULTS } from "../../history/history-options.ts";
import type { StoreReport } from "../../control/cluster-status.ts";
import type { AgentStatus } from "../agent-status.ts";
import type { NodeStep } from "../agent/postgres-node.ts";
import type { PrimaryRoute } from "../cluster-record.ts";

export const STORE = "orders";

export interface StackOptions {
  readonly policy?: SynchronousPolicy;
  readonly required?: number;
  readonly failover?: Partial<StoreConfig["failover"]>;
  readonly nodes?: number;
  /** How many vaults; called vault1 and so on. Default none. */
  readonly vaults?: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** Services, and who is told of alerts; with them control measures, and writes the canary. Default: nothing is looked at. */
  readonly measured?: Pick<Config, "services" | "alerts">;
}

export class ClusterStack {
  readonly folder: string;
  readonly config: Config;
  readonly #processes = new Map<string, ChildProcess>();
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(folder: string, config: Config, environment: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.config = config;
    this.#environment = environment;
  }

  static async make(options: StackOptions = {}): Promise<ClusterStack> {
    const folder = await testFolder();
    const count = options.nodes ?? 2;
    const vaults = options.vaults ?? 0;
    const ports: number[] = [];
    for (let index = 0; index < 2 + 2 * count + vaults; index++) ports.push(await freePort());
    await writeFile(join(folder, "setup.sql"), "CREATE TABLE orders (id bigint PRIMARY KEY, note text NOT NULL);\n");
    const store: StoreConfig = {
      kind: "postgresql",
      database: "orders",
      user: "orders_app",
      passwordFile: join(folder, "orders.password"),
      setup: [join(folder, "setup.sql")],
      nodes: Array.from({ length: count }, (_, index) => ({
        name: `pg${index + 1}`,
        host: "127.0.0.1",
        port: ports[2 + 2 * index] ?? 0,
        agent: { host: "127.0.0.1", port: ports[3 + 2 * index] ?? 0 },
        dataDir: join(folder, `pg${index + 1}`, "data"),
        domain: { machine: "here", process: `pg${index + 1}` },
      })),
      vaults: Array.from({ length: vaults }, (_, index) => ({
        name: `vault${index + 1}`,
        host: "127.0.0.1",
        port: ports[2 + 2 * count + index] ?? 0,
        directory: join(folder, `vault${index + 1}`),
        domain: { machine: "here", process: `vault${index + 1}` },
        synchronous: true,
        keepLocalBytes: 67_108_864,
        archive: { stores: [], compression: { kind: "zstd", level: 1 }, encryption: "none", partialEveryMs: 5_000 },
      })),
      required: options.required ?? 1,
      policy: options.policy ?? { kind: "available" },
      failover: { suspectAfterMs: 2_000, leaseMs: 5_000, probeMs: 250, ...options.failover },
      acknowledge: "journal",
      writes: "anywhere",
      settings: { shared_buffers: "32MB", ...options.settings },
    };
    const config = {
      version: 1,
      name: "test",
      file: join(folder, "tidemark.yaml"),
      stateDir: join(folder, "state"),
      services: {},
      observed: {},
      alerts: { receivers: [], rules: {}, runbooks: "docs/runbooks" },
      history: HISTORY_DEFAULTS,
      ...(options.measured === undefined ? {} : { ...options.measured, observed: { [STORE]: { copies: [], canary: "write" } } }),
      stores: { [STORE]: store },
      journal: { domain: { machine: "here", process: "gateway" } },
      gateway: { host: "127.0.0.1", port: ports[1] ?? 0 },
      control: { host: "127.0.0.1", port: ports[0] ?? 0, internalTokenFile: join(folder, "internal.token") },
      commands: {},
    } as unknown as Config;
    for (const node of store.nodes) await mkdir(join(node.dataDir, ".."), { recursive: true, mode: 0o755 });
    const stack = new ClusterStack(folder, config, await environment());
    await stack.writeConfig(config);
    return stack;
  }

  get store(): StoreConfig {
    return this.config.stores[STORE] as StoreConfig;
  }

  async writeConfig(config: Config): Promise<void> {
    await writeFile(join(this.folder, "config.json"), JSON.stringify(config));
  }

  /**
   * Starts `control`, the agent of a node, or a vault, and waits until it answers.
   * @param killAt a step at which an agent kills itself; {@link gone} waits for that.
   */
  async start(role: string, killAt?: NodeStep): Promise<void> {
    const script = fileURLToPath(new URL("role-process.ts", import.meta.url));
    const config = join(this.folder, "config.json");
    const kind = this.store.vaults.some((vault) => vault.name === role) ? "vault" : "agent";
    const args = role === "control" ? ["control", config] : [kind, config, role, ...(killAt === undefined ? [] : [killAt])];
    const child = spawn(process.execPath, ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", script, ...args], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env: this.#environment,
    });
    child.stderr?.pipe(createWriteStream(join(this.folder, `${role}.log`), { flags: "a" }));
    this.#processes.set(role, child);
    const ended = once(child, "exit").then(async ([code]) => {
      throw new Error(`${role} ended with ${String(code)}: ${(await readFile(join(this.folder, `${role}.log`), "utf8")).slice(-4_000)}`);
    });
    ended.catch(() => undefined);
    await Promise.race([once(child, "message"), ended]);
  }

  async startAll(): Promise<void> {
    await this.start("control");
    await Promise.all([...this.store.nodes, ...this.store.vaults].map(({ name }) => this.start(name)));
  }

  /** Signals the process of a role; with SIGKILL or SIGTERM waits for its end. */
  async signal(role: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#processes.get(role);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const end = once(child, "exit");
    child.kill(signal);
    if (signal === "SIGKILL" || signal === "SIGTERM") await end;
  }

  /** Resolves when the process of a role is gone, however it ended. */
  async gone(role: string): Promise<void> {
    const child = this.#processes.get(role);
    if (child !== undefined && child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }

  /** The PostgreSQL processes of a node, the postmaster first. */
  async postgres(node: string): Promise<number[]> {
    const found = this.store.nodes.find((one) => one.name === node);
    const dataDir = found?.dataDir ?? "";
    const postmaster = Number((await readFile(join(dataDir, "postmaster.pid"), "utf8")).split("\n")[0]);
    const all = await postgresProcesses(dataDir, postmaster);
    return [postmaster, ...all.filter((pid) => pid !== postmaster)];
  }

  /** Signals all PostgreSQL processes of a node. */
  async signalPostgres(node: string, signal: NodeJS.Signals): Promise<void> {
    for (const pid of await this.postgres(node)) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
  }

  async ask(port: number, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const token = (await readFile(this.config.control.internalTokenFile, "utf8")).trim();
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  }

  async route(after = 0, waitMs = 0): Promise<PrimaryRoute | undefined> {
    const { status, body } = await this.ask(this.config.control.port, `/v1/stores/${STORE}/route?after=${after}&waitMs=${waitMs}`);
    return status === 200 ? (body as PrimaryRoute) : undefined;
  }

  async report(): Promise<StoreReport> {
    return (await this.ask(this.config.control.port, `/v1/stores/${STORE}`)).body as StoreReport;
  }

  async agent(node: string): Promise<AgentStatus> {
    return (await this.ask(this.agentPort(node), "/status")).body as AgentStatus;
  }

  agentPort(node: string): number {
    return this.store.nodes.find((one) => one.name === node)?.agent.port ?? 0;
  }

  /** Asks again until `isSo`; an error of the question counts as "not yet". */
  async until<T>(what: string, ask: () => Promise<T>, isSo: (answer: T) => boolean, limitMs = 60_000): Promise<T> {
    const endMs = Date.now() + limitMs;
    for (;;) {
      const answer = await ask().then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      if ("value" in answer && isSo(answer.value)) return answer.value;
      if (Date.now() > endMs)
        throw new Error(`waited ${limitMs} ms in vain until ${what}; last: ${JSON.stringify(answer)}\n${await this.logs()}`);
      await delay(20);
    }
  }

  /** Until a primary is open, other than the one of `before`. */
  openRoute(before?: PrimaryRoute, limitMs?: number): Promise<PrimaryRoute> {
    return this.until(
      "a route is open",
      async () => (await this.route()) as PrimaryRoute,
      (route) => route?.state === "open" && (before === undefined || route.epoch > before.epoch),
      limitMs,
    );
  }

  /** Until all commits wait for another copy. */
  synchronous(limitMs?: number): Promise<PrimaryRoute> {
    return this.until(
      "commits are synchronous",
      async () => (await this.route()) as PrimaryRoute,
      (route) => route?.state === "open" && route.guarantee === "synchronous" && route.demanded.length > 0,
      limitMs,
    );
  }

  /** A client as the store's user. The caller ends it. */
  async connect(node: string, max = 1): Promise<postgres.Sql> {
    const found = this.store.nodes.find((one) => one.name === node);
    const password = (await readFile(this.store.passwordFile, "utf8")).trim();
    return postgres({
      host: "127.0.0.1",
      port: found?.port ?? 0,
      user: this.store.user,
      password,
      database: this.store.database,
      max,
      fetch_types: false,
      connect_timeout: 2,
      onnotice: () => undefined,
    });
  }

  async logs(): Promise<string> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith(".log"));
    const texts = await Promise.all(
      names.map(async (name) => `--- ${name}\n${(await readFile(join(this.folder, name), "utf8")).split("\n").slice(-25).join("\n")}`),
    );
    return texts.join("\n");
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.#processes.keys()].map((role) => this.signal(role, "SIGKILL")));
    for (const node of this.store.nodes) {
      for (const pid of await postgresProcesses(node.dataDir, undefined)) {
        try {
          process.kill(pid, "SIGKILL");
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
        }
      }
    }
    if (process.env["TIDEMARK_KEEP"] === undefined) await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

/** Agents choose PostgreSQL themselves, unless this run of the tests is about another one. */
async function environment(): Promise<NodeJS.ProcessEnv> {
  if ((process.env["TIDEMARK_TEST_PG_MAJOR"] ?? "") === "") return process.env;
  return { ...process.env, TIDEMARK_PG_BIN: dirname((await testBinaries()).postgres) };
}
