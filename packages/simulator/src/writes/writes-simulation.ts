// One run: clients write through two gateways into one database while everything fails that may; then it is quiet, an
// operator mends and replays, and the checkers count.
import type { JournalId } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { Applier } from "../../../tidemark/src/applier/applier.ts";
import { APPLY_RULES, type ApplyRules } from "../../../tidemark/src/applier/apply-rules.ts";
import type { DatabaseSession } from "../../../tidemark/src/applier/database.ts";
import type { PrimaryLocator } from "../../../tidemark/src/applier/primary-locator.ts";
import type { PrimaryRoute } from "../../../tidemark/src/cluster/cluster-record.ts";
import type { CompiledCommand } from "../../../tidemark/src/gateway/command-catalogue.ts";
import { checkWrites } from "./checkers.ts";
import { ModelCluster } from "./model-cluster.ts";
import { ModelGateway, partitionOf } from "./model-gateway.ts";
import type { Mutation } from "./mutation.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** Virtual time of the troubles, and the most that quiet may take afterwards, ms. */
const TROUBLE_MS = 4_000;
const QUIET_MS = 60_000;

export interface SimulationOptions {
  readonly seed: number;
  readonly mutation: Mutation;
}

export interface SimulationResult {
  readonly violations: readonly string[];
  /** What the seed drew, to be printed with a failure. */
  readonly drawn: string;
  readonly writes: number;
  readonly failovers: number;
  readonly crashes: number;
}

const command = (name: string, onReject: "skip" | "stop-key"): [string, CompiledCommand] => [
  name,
  { name, store: "s", key: "/id", statements: [], onReject, volatile: false },
];
const COMMANDS = new Map([command("add", "skip"), command("customer", "skip"), command("order", "skip"), command("strict", "stop-key")]);

/** A locator that hears of routes late. */
class LateLocator implements PrimaryLocator {
  current: PrimaryRoute | undefined;
  readonly #clock: VirtualClock;
  readonly #listeners = new Set<(route: PrimaryRoute) => void>();

  constructor(clock: VirtualClock, route: PrimaryRoute) {
    this.#clock = clock;
    this.current = route;
  }

  onChange(listener: (route: PrimaryRoute) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(route: PrimaryRoute): void {
    const lateMs = this.#clock.chance(0.3) ? this.#clock.between(100, 1_500) : this.#clock.between(1, 30);
    this.#clock.setTimer(lateMs, () => {
      if (this.current !== undefined && route.revision <= this.current.revision) return;
      this.current = route;
      for (const listener of this.#listeners) listener(route);
    });
  }

  run(): Promise<void> {
    return Promise.resolve();
  }
}

/** A rule's part of the mutation; the rest is in the models. */
function rulesFor(mutation: Mutation): ApplyRules {
  if (mutation === "verdict-ignored") return { ...APPLY_RULES, obeysVerdicts: () => false };
  if (mutation === "judge-at-once") return { ...APPLY_RULES, mayJudge: () => true };
  return APPLY_RULES;
}

class Simulation {
  readonly clock: VirtualClock;
  readonly cluster: ModelCluster;
  readonly gateways: ModelGateway[];
  readonly violations: string[] = [];
  readonly locators: LateLocator[] = [];
  failovers = 0;
  crashes = 0;
  readonly #mutation: Mutation;
  readonly #appliers: { close: () => void; stop: (killed: boolean) => void }[][] = [[], [], []];
  #written = 0;
  #customers: string[] = [];

  constructor(options: SimulationOptions) {
    this.#mutation = options.mutation;
    this.clock = new VirtualClock(seededRandom(options.seed));
    this.cluster = new ModelCluster(this.clock, options.mutation, this.clock.chance(0.5));
    this.gateways = ["a", "b"].map((name) => new ModelGateway(this.clock, name as JournalId, options.mutation));
  }

  get written(): number {
    return this.#written;
  }

  startApplier(index: number): void {
    const gateway = this.gateways[index] as ModelGateway;
    const locator = new LateLocator(this.clock, this.cluster.route());
    const { link, close } = gateway.connect();
    const over = new AbortController();
    const sessions: DatabaseSession[] = [];
    const applier = new Applier({
      store: "s",
      requiredCopies: 1,
      reader: gateway.reader(),
      database: {
        open: async (route) => {
          const session = await this.cluster.open(route);
          sessions.push(session);
          return session;
        },
      },
      locator,
      link,
      commands: COMMANDS,
      clock: this.clock,
      random: this.clock.random,
      logger: silentLogger,
      connections: 2,
      rules: rulesFor(this.#mutation),
    });
    this.locators.push(locator);
    void applier.run(over.signal).catch((error: unknown) => this.violations.push(`a bug: ${String(error)}`));
    this.#appliers[index]?.push({
      close,
      stop: (killed) => {
        if (killed) for (const session of sessions) session.abandon();
        over.abort(new Error("crash"));
      },
    });
  }

  /** The gateway starts another applier; the one before is not heard any more, and may still go on for a while. */
  crashApplier(index: number): void {
    this.crashes++;
    const before = this.#appliers[index]?.splice(0) ?? [];
    for (const applier of before) applier.close();
    const killed = this.clock.chance(0.5);
    const lateMs = this.clock.chance(0.4) ? this.clock.between(1, 500) : 0;
    this.clock.setTimer(lateMs, () => {
      for (const applier of before) applier.stop(killed);
    });
    this.startApplier(index);
  }

  crashGateway(index: number): void {
    this.gateways[index]?.crash();
    this.crashApplier(index);
  }

  failOver(): void {
    const { cluster } = this;
    // Only when the standby has come back from the last one.
    if (cluster.standby.upstream !== cluster.primary) return;
    this.failovers++;
    cluster.failOver(this.clock.chance(0.5));
    cluster.revision++;
    this.#checkProven();
    for (const locator of this.locators) locator.tell(cluster.route());
  }

  /** R14: what was said as applied for good is there after every failover. */
  #checkProven(): void {
    for (const gateway of this.gateways) {
      for (const [partition, upTo] of gateway.proven) {
        const position =
          this.cluster.primary.state.positions.get(`${gateway.id}/1/${partition}`) ??
          this.cluster.primary.state.positions.get(`1/${partition}`) ??
          0n;
        if (position < upTo)
          this.violations.push(`applied was said of ${gateway.id}/${partition} up to ${upTo}, the new primary has ${position}`);
      }
    }
  }

  write(): void {
    const { clock } = this;
    const n = this.#written++;
    const index = clock.chance(0.3) ? 1 : 0;
    const gateway = this.gateways[index] as ModelGateway;
    const kind = clock.random.fraction();
    const key = `k${Math.floor(clock.between(0, 6))}`;
    const idempotencyKey = `i${n}`;
    if (kind < 0.3) {
      const pool = this.#customers.slice(-2);
      if (pool.length > 0 && clock.chance(0.4)) {
        // The name is taken, perhaps by a write of another partition or journal that is on its way: one of them is refused.
        gateway.write({ command: "customer", key: `customer ${n}`, args: { name: clock.pick(pool) }, idempotencyKey });
        return;
      }
      gateway.write({ command: "customer", key: `customer ${n}`, args: { name: `c${n}` }, idempotencyKey });
      // The order of a customer who was accepted before, through the same journal, in any partition.
      if (clock.chance(0.5))
        gateway.write({
          command: "order",
          key: `order ${n}.${Math.floor(clock.between(0, 3))}`,
          args: { name: `c${n}` },
          idempotencyKey: `o${n}`,
        });
      else this.#customers.push(`c${n}`);
    } else if (kind < 0.34) gateway.write({ command: "order", key, args: { name: "nobody" }, idempotencyKey });
    else if (kind < 0.38) gateway.write({ command: "strict", key, args: { name: "missing" }, idempotencyKey });
    else {
      gateway.write({ command: "add", key, args: { n: String(n) }, idempotencyKey });
      // The client got no answer and sends it through the other gateway.
      if (clock.chance(0.1))
        this.gateways[1 - index]?.write({ command: "add", key: `again ${key}`, args: { n: String(n) }, idempotencyKey });
    }
  }

  /** Everything that may happen, at times that the seed draws. */
  plan(): void {
    const { clock } = this;
    const at = (times: number, what: () => void): void => {
      for (let i = 0; i < times; i++) clock.setTimer(clock.between(20, TROUBLE_MS), what);
    };
    at(120, () => this.write());
    at(Math.floor(clock.between(0, 5)), () => this.failOver());
    at(Math.floor(clock.between(0, 5)), () => this.crashApplier(clock.chance(0.5) ? 0 : 1));
    at(Math.floor(clock.between(0, 3)), () => this.crashGateway(clock.chance(0.5) ? 0 : 1));
    // A machine goes that held the gateway and the primary.
    at(Math.floor(clock.between(0, 3)), () => {
      this.crashGateway(clock.chance(0.5) ? 0 : 1);
      this.failOver();
    });
    at(Math.floor(clock.between(0, 4)), () => {
      for (const node of this.cluster.nodes) for (const session of node.sessions) session.cut();
    });
  }

  get settled(): boolean {
    const { state } = this.cluster.primary;
    return this.gateways.every((gateway) => {
      const last = new Map<number, bigint>();
      for (const { sequence, key } of gateway.acknowledged.values()) last.set(partitionOf(key), sequence);
      return [...last].every(
        ([partition, sequence]) =>
          (state.positions.get(`${gateway.id}/1/${partition}`) ?? state.positions.get(`1/${partition}`) ?? 0n) >= sequence,
      );
    });
  }

  /** Waits until all is applied; answers false when it never is. */
  async quiet(): Promise<boolean> {
    const untilMs = this.clock.monotonicMs() + QUIET_MS;
    await this.clock.run(untilMs, () => this.settled);
    return this.settled;
  }

  stopAll(): void {
    for (const appliers of this.#appliers) for (const applier of appliers.splice(0)) applier.stop(true);
  }
}

export async function simulateWrites(options: SimulationOptions): Promise<SimulationResult> {
  const simulation = new Simulation(options);
  const { clock, cluster, violations, gateways } = simulation;
  simulation.startApplier(0);
  simulation.startApplier(1);
  simulation.plan();
  await clock.run(TROUBLE_MS);
  cluster.troubled = false;
  for (const locator of simulation.locators) locator.tell(cluster.route());
  let quiet = await simulation.quiet();
  // The operator mends what was missing and replays, until no key is stopped.
  for (const gateway of gateways)
    gateway.write({ command: "customer", key: `mend ${gateway.id}`, args: { name: "missing" }, idempotencyKey: "mend" });
  for (let round = 0; quiet && round < 3; round++) {
    quiet = await simulation.quiet();
    if (gateways.reduce((sum, gateway) => sum + gateway.replayPending(), 0) === 0) break;
    quiet = await simulation.quiet();
  }
  // The journal's disk is replaced: another journal begins at 1.
  const fresh = new ModelGateway(clock, "c" as JournalId, options.mutation);
  gateways.push(fresh);
  for (let i = 0; i < 6; i++) fresh.write({ command: "add", key: `k${i}`, args: { n: `fresh ${i}` }, idempotencyKey: `fresh ${i}` });
  simulation.startApplier(2);
  quiet &&= await simulation.quiet();
  if (!quiet) violations.push(`not all is applied: ${gateways.map((gateway) => gateway.stopped ?? "goes on").join("; ")}`);
  checkWrites({ gateways, state: cluster.primary.state, violations });
  simulation.stopAll();
  await clock.run(clock.monotonicMs() + 1_000);
  const drawn = `seed ${options.seed}, ${cluster.synchronous ? "synchronous" : "asynchronous"}, ${simulation.failovers} failovers, ${simulation.crashes} crashes`;
  return { violations, drawn, writes: simulation.written, failovers: simulation.failovers, crashes: simulation.crashes };
}
