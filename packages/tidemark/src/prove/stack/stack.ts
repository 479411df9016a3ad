import { chmodSync, cpSync, existsSync, lstatSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type postgres from "postgres";
import { freePorts } from "@tidemark/kernel/platform/free-ports";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { PrimaryRoute } from "../../cluster/cluster-record.ts";
import type { FaultScene, Positions, RoleKind, VaultFacts } from "../faults/fault.ts";
import { backendPid, onServer, readOrders, readPositions } from "./order-tables.ts";
import { OwnProcesses } from "./own-processes.ts";
import { readProcess } from "./process-facts.ts";
import { FILES, NODES, proveConfig, requiredCopies, SETUP_SQL, STORE, type StackPorts, type StackVariant } from "./prove-config.ts";
import { readRunFile } from "./run-file.ts";
import { StackApi } from "./stack-api.ts";
import { lastLines, startStack, type StackProcess } from "./stack-process.ts";

/** How long a stack may take to become ready, also on a slow machine. */
const READY_MS = 90_000;
const POLL_MS = 50;
/** How long an orderly stop may take before what is left is killed. */
const STOP_MS = 20_000;

/** A fresh stack in a folder of its own, with everything that it started known by pid. */
export class Stack implements FaultScene {
  readonly folder: string;
  readonly token: string;
  readonly processes: OwnProcesses;
  readonly api: StackApi;
  readonly #mark: string;
  readonly #variant: StackVariant;
  readonly #ports: StackPorts;
  #process: StackProcess | undefined;

  private constructor(parts: { folder: string; run: string; token: string; ports: StackPorts; variant: StackVariant }) {
    this.folder = parts.folder;
    this.token = parts.token;
    this.#mark = parts.run;
    this.#variant = parts.variant;
    this.#ports = parts.ports;
    this.processes = new OwnProcesses({ mark: parts.run, folders: () => [parts.folder, ...this.#dataElsewhere()] });
    this.api = new StackApi({ folder: parts.folder, ports: parts.ports, token: parts.token });
  }

  /** Writes the configuration of a new stack; starts nothing. */
  static async make(run: string, variant: StackVariant): Promise<Stack> {
    const folder = mkdtempSync(join(tmpdir(), "tidemark-prove-"));
    // PostgreSQL may run as another user than the prover, and has to get through.
    chmodSync(folder, 0o755);
    const [gateway = 0, control = 0, vault = 0, ...rest] = await freePorts(3 + 2 * NODES.length);
    const ports = {
      gateway,
      control,
      vault,
      nodes: NODES.map((_, index) => ({ postgres: rest[2 * index] ?? 0, agent: rest[2 * index + 1] ?? 0 })),
    };
    const token = randomBytes(24).toString("base64url");
    writeFileSync(join(folder, FILES.token), `${token}\n`, { mode: 0o600 });
    writeFileSync(join(folder, FILES.setup), SETUP_SQL);
    writeFileSync(join(folder, FILES.config), proveConfig(ports, variant));
    return new Stack({ folder, run, token, ports, variant });
  }

  get configFile(): string {
    return join(this.folder, FILES.config);
  }

  get stateDir(): string {
    return join(this.folder, FILES.stateDir);
  }

  get journalDirectory(): string {
    return join(this.stateDir, "journal");
  }

  /** Starts the stack and waits until it takes writes and replicates them as its configuration demands. */
  async up(): Promise<void> {
    this.#process = startStack(this.folder, this.#mark);
    const deadlineMs = Date.now() + READY_MS;
    let last: unknown = new Error("nothing was asked yet");
    while (Date.now() < deadlineMs) {
      const turn = await Promise.race([
        this.#process.ended,
        this.#lacks().then(
          (what) => (what === undefined ? undefined : new Error(what)),
          (error: unknown) => error,
        ),
      ]);
      this.processes.refresh();
      if (turn === undefined) return;
      last = turn;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new TidemarkError(
      "TM-PROVE-STACK",
      `the stack in ${this.folder} was not ready within ${READY_MS / 1_000} s\n${lastLines(join(this.folder, FILES.log))}`,
      { cause: last },
    );
  }

  /** What is not there yet; undefined when everything is. */
  async #lacks(): Promise<string | undefined> {
    const route = await this.route();
    // A reign begins closed: commits wait for nobody in particular, which is called synchronous too. A copy must be named.
    const required = requiredCopies(this.#variant);
    const copied = route.guarantee === "synchronous" && route.demanded.length >= required;
    if (route.state !== "open") return "the primary has not opened its reign";
    if (required > 0 && !copied) return "commits do not wait for every copy yet";
    if (!(await this.gatewayAnswers())) return "the gateway does not take requests yet";
    return this.withPrimary(async (sql) => {
      const [found] = await sql<
        { ready: boolean }[]
      >`SELECT to_regclass('orders') IS NOT NULL AND to_regclass('tidemark.position') IS NOT NULL AS ready`;
      if (found?.ready !== true) return "the tables are not made yet";
      if (required > 0) return undefined;
      // Without a demand nobody waits for the standby; a proof without one would prove nothing.
      const [copies] = await sql<{ count: number }[]>`SELECT count(*)::int AS count FROM pg_stat_replication WHERE state = 'streaming'`;
      return (copies?.count ?? 0) > 0 ? undefined : "no standby streams yet";
    });
  }

  /** Rejects when `tidemark up` ends by itself; never resolves. */
  get ended(): Promise<never> {
    return this.#process?.ended ?? new Promise<never>(() => undefined);
  }

  /** Runs `work` on a connection to the node that the route names. */
  async withPrimary<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
    const { host, port } = await this.route();
    return onServer({ host, port, ...this.#login() }, work);
  }

  #login(): { database: string; user: string; password: string } {
    const password = readFileSync(join(this.stateDir, "secrets", `${STORE}.password`), "utf8").trim();
    return { database: STORE, user: STORE, password };
  }

  supervisor(): number {
    return readRunFile(this.stateDir).supervisor;
  }

  rolePid(kind: RoleKind, node?: string): number {
    const role = readRunFile(this.stateDir).roles.find((one) => one.kind === kind && (node === undefined || one.node === node));
    if (role?.pid === undefined)
      throw new TidemarkError("TM-PROVE-PROCESS", `there is no process of the role ${kind}${node === undefined ? "" : ` of ${node}`}`);
    return role.pid;
  }

  applierPid(): Promise<number> {
    const [, ...children] = this.processes.tree(this.rolePid("gateway"));
    const [applier] = children;
    if (applier === undefined) return Promise.reject(new TidemarkError("TM-PROVE-PROCESS", "the gateway has no applier now"));
    return Promise.resolve(applier.pid);
  }

  async postmasterPid(): Promise<number> {
    const backend = await this.withPrimary(async (sql) => readProcess(await backendPid(sql)));
    if (backend === undefined)
      throw new TidemarkError("TM-PROVE-PROCESS", "the process behind the primary's connection is not on this machine");
    return backend.parentPid;
  }

  route(): Promise<PrimaryRoute> {
    return this.api.route();
  }

  vault(): Promise<VaultFacts> {
    return this.api.vault();
  }

  get hasVault(): boolean {
    return this.#variant.vault !== false;
  }

  /** How many copies besides the primary a commit has to wait for. */
  get required(): number {
    return requiredCopies(this.#variant);
  }

  holdBack(node: string, held: boolean): Promise<void> {
    return this.api.holdBack(node, held);
  }

  pauseApplying(paused: boolean): Promise<void> {
    return this.api.pauseApplying(paused);
  }

  gatewayAnswers(): Promise<boolean> {
    return this.api.gatewayAnswers();
  }

  orders(): Promise<ReadonlyMap<string, string>> {
    return this.withPrimary(readOrders);
  }

  ordersOn(node: string): Promise<ReadonlyMap<string, string>> {
    const port = this.#ports.nodes[NODES.findIndex((name) => name === node)]?.postgres ?? 0;
    return onServer({ host: "127.0.0.1", port, ...this.#login() }, readOrders);
  }

  async positions(): Promise<Positions> {
    const all = await this.withPrimary(readPositions);
    const [first] = all;
    if (first === undefined || all.length > 1)
      throw new TidemarkError("TM-PROVE-API", `the database knows ${all.length} journals, one was expected`);
    return first;
  }

  /** Stops the stack as Ctrl-C would, and kills what is left. Resolves when none of its processes lives. */
  async stop(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (running !== undefined) {
      const known = this.processes.refresh().find((facts) => facts.pid === running.pid);
      if (known !== undefined) {
        this.processes.signal([known], "SIGTERM");
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, STOP_MS)));
        await Promise.race([running.ended.catch(() => undefined), late]);
        clearTimeout(timer);
      }
    }
    await this.processes.end();
  }

  /** Copies what the supervisor and the roles said to `folder`: of a proof that could not be run it is all there is to look at. */
  saveLogs(folder: string): void {
    const logs = [
      { from: join(this.folder, FILES.log), to: join(folder, FILES.log) },
      { from: join(this.stateDir, "logs"), to: folder },
      ...NODES.map((node) => ({ from: join(this.stateDir, "data", `${node}.log`), to: join(folder, `${node}.log`) })),
    ];
    for (const { from, to } of logs) if (existsSync(from)) cpSync(from, to, { recursive: true });
  }

  /** Lets the stack go on when this process ends. */
  release(): void {
    this.#process?.release();
  }

  /** Kills everything at once, without an orderly stop. */
  async kill(): Promise<void> {
    this.#process = undefined;
    await this.processes.end();
  }

  /** Where the data really lies when PostgreSQL's user cannot get into our folder: the state folder then has a link. */
  #dataElsewhere(): string[] {
    const link = join(this.stateDir, "data");
    return lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === true && existsSync(link) ? [realpathSync(link)] : [];
  }

  /** Deletes the folders of a stack that was stopped. */
  remove(): void {
    for (const folder of this.#dataElsewhere()) rmSync(folder, { recursive: true, force: true });
    rmSync(this.folder, { recursive: true, force: true });
  }
}
