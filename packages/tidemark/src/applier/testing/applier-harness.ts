// An applier in this process, between a journal in memory and a real PostgreSQL, with a gateway's side that a test can hold.
import { createHash, randomUUID } from "node:crypto";
import type { Epoch, JournalId, Partition, Sequence, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { ConnectionDetails } from "@tidemark/postgres/testing/cluster-fixture";
import postgres from "postgres";
import type { PrimaryRoute } from "../../cluster/cluster-record.ts";
import type { CommandConfig } from "../../config/config.ts";
import { compileCommands } from "../../gateway/command-catalogue.ts";
import type { VerdictPayload, WritePayload } from "../../gateway/write-payload.ts";
import { SimulatedJournal } from "../../journal/simulated/simulated-journal.ts";
import { Applier } from "../applier.ts";
import type { ApplierState, FromApplier, ToApplier } from "../applier-link.ts";
import type { Database } from "../database.ts";
import type { GatewayLink } from "../gateway-link.ts";
import { PostgresDatabase } from "../platform/postgres-database.ts";
import type { PrimaryLocator } from "../primary-locator.ts";
import { RECORD_REIGN_SQL, TIDEMARK_SCHEMA_SQL } from "../schema.ts";

export const STORE = "orders";

/** A route that a test moves by hand. */
export class ManualLocator implements PrimaryLocator {
  current: PrimaryRoute | undefined;
  readonly #listeners = new Set<(route: PrimaryRoute) => void>();

  onChange(listener: (route: PrimaryRoute) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  move(change: Partial<PrimaryRoute>): void {
    if (this.current === undefined) throw new Error("there is no route to move");
    this.current = { ...this.current, revision: this.current.revision + 1, ...change };
    for (const listener of this.#listeners) listener(this.current);
  }

  run(): Promise<void> {
    return Promise.resolve();
  }
}

/** The gateway's side: journals verdicts, tells the frontier, keeps what the applier says. */
export class HarnessGateway implements GatewayLink {
  readonly journal: SimulatedJournal;
  readonly said: FromApplier[] = [];
  /** Verdict requests wait while true. */
  holdVerdicts = false;
  readonly #held: (() => void)[] = [];
  readonly #listeners = new Set<(message: ToApplier) => void>();
  #watchers: { check: () => boolean; done: () => void }[] = [];

  constructor(journal: SimulatedJournal) {
    this.journal = journal;
    journal.onDurable((durable) => this.tell({ type: "durable", upTo: String(durable) }));
  }

  onMessage(listener: (message: ToApplier) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(message: ToApplier): void {
    for (const listener of this.#listeners) listener(message);
  }

  send(message: FromApplier): void {
    this.said.push(message);
    if (message.type === "verdict") {
      const record = (): void => void this.#record(message.request, message.partition, message.payload);
      if (this.holdVerdicts) this.#held.push(record);
      else record();
    }
    this.#watchers = this.#watchers.filter((watcher) => {
      if (!watcher.check()) return true;
      watcher.done();
      return false;
    });
  }

  releaseVerdicts(): void {
    this.holdVerdicts = false;
    for (const record of this.#held.splice(0)) record();
  }

  async #record(request: number, partition: number, payload: VerdictPayload): Promise<void> {
    const [appended] = await this.appendVerdict(partition, payload);
    this.tell({ type: "verdict-recorded", request, sequence: String(appended?.sequence) });
  }

  appendVerdict(partition: number, payload: VerdictPayload): ReturnType<SimulatedJournal["append"]> {
    return this.journal.append([
      {
        kind: "verdict",
        key: "",
        partition: partition as Partition,
        acceptedAtMs: Date.now(),
        payload: Buffer.from(JSON.stringify(payload)),
      },
    ]);
  }

  /** Resolves as soon as `check` holds after some message. */
  until(check: () => boolean): Promise<void> {
    if (check()) return Promise.resolve();
    return new Promise((done) => this.#watchers.push({ check, done }));
  }

  /** How far a partition is announced. */
  applied(partition: number): bigint {
    const last = this.said.findLast((message) => message.type === "applied" && message.partition === partition);
    return last?.type === "applied" ? BigInt(last.upTo) : -1n;
  }

  get state(): ApplierState | undefined {
    const last = this.said.findLast((message) => message.type === "state");
    return last?.type === "state" ? last.state : undefined;
  }

  of<Type extends FromApplier["type"]>(type: Type): Extract<FromApplier, { type: Type }>[] {
    return this.said.filter((message): message is Extract<FromApplier, { type: Type }> => message.type === type);
  }
}

export interface HarnessWrite {
  readonly command: string;
  readonly key: string;
  readonly args: Record<string, unknown>;
  readonly idempotencyKey?: string;
  readonly rows?: true;
  readonly replayOf?: bigint;
  readonly partition?: number;
}

export interface HarnessOptions {
  readonly connection: ConnectionDetails;
  readonly commands: Readonly<Record<string, Pick<CommandConfig, "statements"> & Partial<CommandConfig>>>;
  readonly journal?: SimulatedJournal;
  readonly guarantee?: PrimaryRoute["guarantee"];
  readonly demanded?: readonly string[];
  readonly epoch?: number;
  readonly connections?: number;
  /** Default: as many as `demanded` names. */
  readonly requiredCopies?: number;
  /** What connects the applier; default: straight to the server. */
  readonly at?: { readonly host: string; readonly port: number };
  /** The test's own connection does not wait for copies. */
  readonly local?: boolean;
  /** Wraps the port, to see or to spoil what goes through it. */
  readonly wrap?: (database: Database) => Database;
}

/** Everything that one test needs. */
export class ApplierHarness implements AsyncDisposable {
  readonly gateway: HarnessGateway;
  readonly locator = new ManualLocator();
  readonly admin: postgres.Sql;
  readonly journal: SimulatedJournal;
  readonly #options: HarnessOptions;
  #stop = new AbortController();
  #running: Promise<void> | undefined;

  private constructor(options: HarnessOptions) {
    this.#options = options;
    this.journal = options.journal ?? new SimulatedJournal({ id: randomUUID() as JournalId, partitions: 4 });
    this.gateway = new HarnessGateway(this.journal);
    const { connection } = options;
    this.admin = postgres({
      ...connection,
      username: connection.user,
      max: 4,
      fetch_types: false,
      onnotice: () => undefined,
      connection: { application_name: "test", ...(options.local === true ? { synchronous_commit: "local" } : {}) },
    });
  }

  /** Makes the schema and the reign, and a route; does not start the applier. */
  static async prepare(options: HarnessOptions): Promise<ApplierHarness> {
    const harness = new ApplierHarness(options);
    await harness.admin.unsafe(TIDEMARK_SCHEMA_SQL).simple();
    await harness.recordReign(options.epoch ?? 1);
    await harness.routeHere();
    return harness;
  }

  async recordReign(epoch: number): Promise<void> {
    await this.admin.unsafe(RECORD_REIGN_SQL, [epoch, `node${epoch}`, 1, "0/0"]);
  }

  /** Points the route at the server as it is now. */
  async routeHere(change: Partial<PrimaryRoute> = {}): Promise<void> {
    const { connection, at, guarantee, demanded, epoch } = this.#options;
    const [row] = await this.admin<{ system: string; timeline: number }[]>`
      SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline`;
    this.locator.current ??= {
      store: STORE,
      revision: 1,
      epoch: (epoch ?? 1) as Epoch,
      node: "node1",
      host: at?.host ?? connection.host,
      port: at?.port ?? connection.port,
      timeline: row?.timeline as Timeline,
      systemIdentifier: row?.system as SystemIdentifier,
      state: "open",
      guarantee: guarantee ?? "asynchronous",
      demanded: demanded ?? [],
    };
    this.locator.move(change);
  }

  /** @param recovered where the journal ended when the gateway opened it. */
  start(recovered?: bigint): void {
    const { connection, commands, wrap, connections, demanded, requiredCopies } = this.#options;
    const database = new PostgresDatabase({
      database: connection.database,
      user: connection.user,
      password: new Redacted(connection.password),
    });
    const complete = Object.fromEntries(
      Object.entries(commands).map(([name, command]) => [
        name,
        { store: STORE, key: "/id", schema: {}, onReject: "skip" as const, volatile: false, ...command },
      ]),
    );
    this.#stop = new AbortController();
    const applier = new Applier({
      store: STORE,
      requiredCopies: requiredCopies ?? demanded?.length ?? 0,
      reader: this.journal,
      database: wrap?.(database) ?? database,
      locator: this.locator,
      link: this.gateway,
      commands: compileCommands(complete),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      ...(connections === undefined ? {} : { connections }),
      ...(recovered === undefined ? {} : { recovered: recovered as Sequence }),
    });
    this.#running = applier.run(this.#stop.signal);
    this.gateway.tell({ type: "durable", upTo: String(this.journal.extent().durable) });
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the test stops the applier"));
    await this.#running;
  }

  /** Journals writes; answers their sequences and partitions. */
  async write(...writes: HarnessWrite[]): Promise<{ sequence: bigint; partition: number; id: string }[]> {
    const ids = writes.map(() => randomUUID());
    const entries = writes.map((write, index) => ({
      kind: "write" as const,
      key: write.key,
      ...(write.partition === undefined ? {} : { partition: write.partition as Partition }),
      acceptedAtMs: Date.now(),
      payload: Buffer.from(JSON.stringify(payloadOf(write, ids[index] as string))),
    }));
    const appended = await this.journal.append(entries);
    return appended.map(({ sequence, partition }, index) => ({ sequence, partition, id: ids[index] as string }));
  }

  /** Resolves when all that is journalled now is announced as applied. */
  async applied(): Promise<void> {
    const { oldest, durable } = this.journal.extent();
    const last = new Map<number, bigint>();
    if (durable >= oldest) {
      for (let next = oldest as bigint; next <= durable;) {
        const records = await this.journal.read(next as Sequence, durable, { records: 10_000, bytes: 100_000_000 });
        for (const record of records) last.set(record.partition, record.sequence);
        next = (records.at(-1)?.sequence ?? durable) + 1n;
      }
    }
    await this.gateway.until(() => [...last].every(([partition, sequence]) => this.gateway.applied(partition) >= sequence));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.admin.end({ timeout: 1 });
  }
}

function payloadOf(write: HarnessWrite, id: string): WritePayload {
  const contentHash = createHash("sha256")
    .update(JSON.stringify([write.command, write.key, write.args]))
    .digest("hex")
    .slice(0, 32);
  return {
    v: 1,
    id,
    command: write.command,
    args: write.args,
    idempotencyKey: write.idempotencyKey ?? id,
    scope: "test",
    contentHash,
    ...(write.rows === undefined ? {} : { rows: write.rows }),
    ...(write.replayOf === undefined ? {} : { replayOf: String(write.replayOf) }),
  };
}
