import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { seededRandom } from "@tidemark/kernel/random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { FromApplier, ToApplier } from "../../applier/applier-link.ts";
import type { AuditRecord } from "../../audit/audit-entry.ts";
import type { CommandConfig, Config, StoreConfig } from "../../config/config.ts";
import { completeHistory } from "../../config/alert-defaults.ts";
import type { Journal } from "../../journal/journal.ts";
import { SimulatedJournal } from "../../journal/simulated/simulated-journal.ts";
import { openGateway, type Gateway, type GatewayWorld } from "../gateway.ts";

export const TEST_TOKEN = "test-token";
export const READ_TOKEN = "read-token";
const OTHER_TOKEN = "other-token";

/** Where nothing can be made, also by root: a test that needs files names a folder of its own. */
const NOWHERE = "/dev/null/nowhere";

const store: StoreConfig = {
  kind: "postgresql",
  database: "shop",
  user: "shop",
  passwordFile: `${NOWHERE}/password`,
  setup: [],
  nodes: [
    {
      name: "pg1",
      host: "127.0.0.1",
      port: 1,
      agent: { host: "127.0.0.1", port: 2 },
      dataDir: `${NOWHERE}/pg1`,
      domain: { machine: "m1" },
    },
  ],
  vaults: [],
  required: 0,
  policy: { kind: "available" },
  failover: { suspectAfterMs: 2_000, leaseMs: 5_000, probeMs: 250 },
  acknowledge: "journal",
  writes: "anywhere",
  settings: {},
};

const place: CommandConfig = {
  store: "orders",
  key: "/customer",
  schema: {
    type: "object",
    required: ["customer", "total"],
    additionalProperties: false,
    properties: { customer: { type: "string", minLength: 1 }, total: { type: "integer" }, note: { type: "string" } },
  },
  statements: ["INSERT INTO orders (id, customer, total, note, placed_at) VALUES (:id, :customer, :total, :note, :accepted_at)"],
  onReject: "skip",
  volatile: false,
};

/** A configuration for tests: the commands orders.place (skip), orders.pay (stop-key), orders.book (of a store that acknowledges once applied). */
export function testConfig(
  changes: {
    gateway?: Partial<Config["gateway"]>;
    services?: Config["services"];
    stateDir?: string;
    journal?: Partial<Config["journal"]>;
  } = {},
): Config {
  const stateDir = changes.stateDir ?? NOWHERE;
  const ownStore = { ...store, passwordFile: `${stateDir}/orders.password` };
  return {
    version: 1,
    name: "test",
    file: `${NOWHERE}/tidemark.yaml`,
    stateDir,
    services: changes.services ?? {},
    stores: { orders: ownStore, ledger: { ...ownStore, acknowledge: "applied" } },
    observed: {},
    alerts: { receivers: [], rules: {}, runbooks: "docs/runbooks" },
    history: completeHistory({}),
    journal: {
      kind: "embedded",
      directory: `${stateDir}/journal`,
      domain: { machine: "m1" },
      partitions: 4,
      segmentBytes: 4 * 1_048_576,
      quotaBytes: 64 * 1_048_576,
      minimumFreeBytes: 0,
      healing: { windowMs: 86_400_000, atQuota: "shorten" },
      ...changes.journal,
    },
    gateway: {
      host: "127.0.0.1",
      port: 0,
      tokens: [{ name: "test", file: `${stateDir}/test.token`, scopes: ["write", "read", "operate"] }],
      limits: { bodyBytes: 1_048_576, batchWrites: 1_000, pendingWrites: 5_000, writesPerSecond: 0 },
      idempotency: { windowMs: 3_600_000, count: 10_000 },
      ...changes.gateway,
    },
    control: { host: "127.0.0.1", port: 0, internalTokenFile: `${stateDir}/internal.token` },
    commands: { "orders.place": place, "orders.pay": { ...place, onReject: "stop-key" }, "orders.book": { ...place, store: "ledger" } },
  };
}

/** An applier that does what a test says. One channel per store; the newest is the one that runs. */
class FakeApplier {
  readonly sent: ToApplier[] = [];
  store = "";
  pid: number;
  #say: (message: FromApplier) => void;
  #exit: (how: { code: number | null; signal: string | null }) => void;
  #next = 1;

  constructor(
    pid: number,
    handlers: { onMessage: (message: FromApplier) => void; onExit: (how: { code: number | null; signal: string | null }) => void },
  ) {
    this.pid = pid;
    this.#say = handlers.onMessage;
    this.#exit = handlers.onExit;
  }

  take(message: ToApplier): void {
    this.sent.push(message);
    if (message.type === "begin") this.store = message.store;
    if (message.type === "stop") this.#exit({ code: 0, signal: null });
  }

  die(): void {
    this.#exit({ code: null, signal: "SIGKILL" });
  }

  say(message: FromApplier): void {
    this.#say(message);
  }

  applied(partition: number, upTo: bigint | string, answers: { sequence: string; rows: Record<string, unknown>[][] }[] = []): void {
    const facts = { lsn: "0/5000", timeline: 1, epoch: 1, committedAtMs: 1_700_000_000_000, provisional: false };
    this.#say({ type: "applied", store: this.store, partition, upTo: String(upTo), ...facts, answers });
  }

  verdict(partition: number, sequence: string, verdict: "rejected" | "parked", more: { sqlstate?: string; reason?: string } = {}): number {
    const request = this.#next++;
    this.#say({
      type: "verdict",
      request,
      store: this.store,
      partition,
      payload: {
        v: 1,
        sequence,
        verdict,
        reason: more.reason ?? "duplicate key",
        by: "applier",
        ...(more.sqlstate === undefined ? {} : { sqlstate: more.sqlstate }),
      },
    });
    return request;
  }
}

export interface TestGateway {
  readonly gateway: Gateway;
  readonly journal: SimulatedJournal;
  readonly appliers: FakeApplier[];
  readonly audit: AuditRecord[];
  /** The applier of a store that runs now. */
  applier(store: string): FakeApplier;
  post(body: unknown, options?: PostOptions): Promise<Answer>;
  request(method: "GET" | "POST", url: string, options?: PostOptions & { body?: unknown }): Promise<Answer>;
}

export interface PostOptions {
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
  readonly type?: string;
}

/** A body by its members; what they are is the test's to say. */
export type JsonBody = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | number | undefined>;
  readonly text: string;
  /** The body as JSON; of NDJSON use {@link lines}. */
  readonly json: JsonBody;
}

/** The results of an NDJSON answer. */
export function lines(answer: Answer): JsonBody[] {
  return answer.text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonBody);
}

/** A gateway on a simulated journal with fake appliers, asked through Fastify's injection. Close it with `gateway.close()`. */
export async function openTestGateway(
  options: { config?: Config; journal?: Journal; world?: Partial<GatewayWorld> } = {},
): Promise<TestGateway> {
  const journal = (options.journal ?? new SimulatedJournal({ domains: [{ machine: "m1" }] })) as SimulatedJournal;
  const appliers: FakeApplier[] = [];
  const audit: AuditRecord[] = [];
  const secret = (name: string, text: string, scopes: readonly ("write" | "read" | "operate")[]) => ({
    name,
    scopes,
    secret: new Redacted(text),
  });
  const gateway = await openGateway({
    config: options.config ?? testConfig(),
    journal,
    clock: systemClock,
    random: seededRandom(1),
    logger: silentLogger,
    audit: { append: async (record) => void audit.push(record) },
    tokens: [
      secret("test", TEST_TOKEN, ["write", "read", "operate"]),
      secret("reader", READ_TOKEN, ["read"]),
      secret("other", OTHER_TOKEN, ["write"]),
    ],
    forkApplier: (handlers) => {
      const applier = new FakeApplier(1_000 + appliers.length, handlers);
      appliers.push(applier);
      return { pid: applier.pid, send: (message) => applier.take(message), kill: () => applier.die() };
    },
    process: { pid: 1, memoryBytes: () => 1 },
    ...options.world,
  });
  const request: TestGateway["request"] = async (
    method,
    url,
    { token = TEST_TOKEN, headers = {}, type = "application/json", body } = {},
  ) => {
    const payload = body === undefined ? undefined : typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const response = await gateway.app.inject({
      method,
      url,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(payload === undefined ? {} : { "content-type": type }),
        ...headers,
      },
      ...(payload === undefined ? {} : { payload }),
    });
    return { status: response.statusCode, headers: response.headers, text: response.body, json: parse(response.body) };
  };
  return {
    gateway,
    journal,
    appliers,
    audit,
    applier: (name) => appliers.findLast((applier) => applier.store === name) as FakeApplier,
    request,
    post: (body, post) => request("POST", "/v1/writes", { ...post, body }),
  };
}

function parse(text: string): JsonBody {
  try {
    return JSON.parse(text) as JsonBody;
  } catch {
    return {}; // NDJSON or text: the test looks at the text.
  }
}

let keys = 0;
/** A write of orders.place with a key of its own. */
export function order(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { command: "orders.place", args: { customer: "c1", total: 1 }, idempotencyKey: `key-${keys++}`, ...changes };
}
