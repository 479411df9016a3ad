// One simulated run: nodes, a lease store, two coordinators, clients that commit, and faults until everything is healed.
// The seed decides everything; the options that it drew are part of the result.
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { seededRandom } from "@tidemark/kernel/random";
import type { ClusterRecord } from "../../../tidemark/src/cluster/cluster-record.ts";
import type { SynchronousPolicy } from "../../../tidemark/src/config/config.ts";
import { CLOSED_SET, kindOf } from "../../../tidemark/src/cluster/quorum.ts";
import type { Violation } from "./checkers.ts";
import { Checkers } from "./checkers.ts";
import type { Mutation } from "./mutation.ts";
import { Network } from "./network.ts";
import type { Process } from "./scheduler.ts";
import { Scheduler } from "./scheduler.ts";
import { SimulatedAgent } from "./simulated-agent.ts";
import { SimulatedCoordinator } from "./simulated-coordinator.ts";
import { SimulatedPostgres } from "./simulated-postgres.ts";
import { STORE_NAME, SimulatedStore } from "./simulated-store.ts";
import { SimulatedVault } from "./simulated-vault.ts";

export interface WorldOptions {
  readonly nodes: readonly string[];
  /** Members that receive and vote, and never reign. */
  readonly vaults: readonly string[];
  readonly required: number;
  readonly policy: SynchronousPolicy;
  readonly leaseMs: number;
  /** Agents may die without their PostgreSQL. Not where commits may be asynchronous: nobody enforces the lease then (a stated gap). */
  readonly agentsDie: boolean;
  readonly lossProbability: number;
  /** How late a process of PostgreSQL may read a changed setting, virtual milliseconds. */
  readonly mostReloadMs: number;
  /** See NetworkOptions. */
  readonly slow: ReadonlyMap<string, number>;
  /** How long faults go on, virtual milliseconds. */
  readonly faultsMs: number;
  /** Mean time between faults, virtual milliseconds. */
  readonly faultEveryMs: number;
}

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly acknowledged: number;
  readonly reigns: number;
  readonly statedLosses: number;
  readonly finalEpoch: number;
  /** Candidates that a vault completed. */
  readonly completions: number;
  /** The primary's machine burnt at the end, with its data, and the vault's when that must not matter. */
  readonly burnt: readonly string[];
}

/** A cluster's size, and how many copies a commit waits for. */
export interface Shape {
  readonly nodes: number;
  readonly vaults: number;
  readonly required: number;
}

/** How long a healed cluster may take until it serves, virtual milliseconds. */
const HEAL_MS = 30_000;
const LEASE_MS = 600;

/** What a cluster can be asked to be; a seed draws the rest. */
export function optionsFor(seed: number, { nodes, vaults, required }: Shape): WorldOptions {
  const random = seededRandom(seed ^ 0x5eed);
  const policies: readonly [SynchronousPolicy, SynchronousPolicy] = [{ kind: "never-lose" }, { kind: "available" }];
  const policy = required === 0 ? policies[1] : policies[Math.floor(random.fraction() * 2)];
  const names = ["a", "b", "c", "d", "e"].slice(0, nodes);
  const vaultNames = ["v", "w"].slice(0, vaults);
  const slow = new Map<string, number>();
  const all = [...names, ...vaultNames];
  for (const [index, one] of all.entries())
    for (const other of all.slice(index + 1)) if (random.fraction() < 0.3) slow.set(`${one}|${other}`, 5 + random.fraction() * 40);
  return {
    nodes: names,
    vaults: vaultNames,
    required,
    policy: policy ?? policies[0],
    leaseMs: LEASE_MS,
    agentsDie: policy?.kind === "never-lose" && random.fraction() < 0.5,
    lossProbability: [0, 0.01, 0.05][Math.floor(random.fraction() * 3)] ?? 0,
    faultsMs: 12_000,
    faultEveryMs: 150 + random.fraction() * random.fraction() * 2_000,
    mostReloadMs: random.fraction() < 0.5 ? 40 : 250,
    slow,
  };
}

export class World {
  readonly options: WorldOptions;
  readonly mutation: Mutation | undefined;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly store: SimulatedStore;
  readonly checkers = new Checkers();
  readonly agents: SimulatedAgent[];
  readonly vaults: SimulatedVault[];
  readonly coordinators: SimulatedCoordinator[];
  readonly #seed: number;
  #healed = false;
  #next = 1;
  #identities = 0;
  #acknowledged = 0;
  readonly #burnt: string[] = [];
  completions = 0;

  constructor(seed: number, options: WorldOptions, mutation?: Mutation) {
    this.#seed = seed;
    this.options = options;
    this.mutation = mutation;
    this.scheduler = new Scheduler(seededRandom(seed));
    this.network = new Network(this.scheduler, { lossProbability: options.lossProbability, mostDelayMs: 8, slow: options.slow });
    this.store = new SimulatedStore(this.network, firstRecord(options.nodes[0] ?? "a"));
    this.agents = options.nodes.map((name) => new SimulatedAgent(this, this.#newPostgres(name), this.newIdentity(name)));
    this.vaults = options.vaults.map((name) => new SimulatedVault(this, name));
    this.coordinators = [new SimulatedCoordinator(this, "coordinator1"), new SimulatedCoordinator(this, "coordinator2")];
  }

  newIdentity(node: string): string {
    return `${node}_${(++this.#identities).toString(16).padStart(32, "0")}`;
  }

  nodeOf(identity: string): string {
    return identity.slice(0, identity.lastIndexOf("_"));
  }

  agent(name: string): SimulatedAgent {
    const found = this.agents.find((agent) => agent.name === name);
    if (found === undefined) throw new Error(`no agent ${name}`);
    return found;
  }

  vault(name: string): SimulatedVault {
    const found = this.vaults.find((vault) => vault.name === name);
    if (found === undefined) throw new Error(`no vault ${name}`);
    return found;
  }

  /** Whoever can promise and vote. */
  voter(name: string): SimulatedAgent | SimulatedVault {
    return this.options.vaults.includes(name) ? this.vault(name) : this.agent(name);
  }

  postgresOf(name: string): SimulatedPostgres | undefined {
    return this.agents.find((agent) => agent.name === name)?.postgres;
  }

  run(): RunResult {
    for (const agent of this.agents) {
      agent.postgres.standbySignal = agent !== this.agents[0];
      agent.start();
    }
    for (const vault of this.vaults) vault.start();
    for (const coordinator of this.coordinators) coordinator.start();
    this.#clients();
    this.scheduler.spawn(this.#faults(), () => !this.#healed);
    this.scheduler.run(this.options.faultsMs);
    this.#heal();
    this.scheduler.run(this.options.faultsMs + HEAL_MS);
    this.#judge(true);
    this.#burn();
    if (this.#burnt.length > 0) {
      this.scheduler.run(this.scheduler.nowMs + HEAL_MS);
      // Alone, and never to lose anything, the survivor waits for another copy.
      const others = this.options.nodes.length + this.options.vaults.length - this.#burnt.length - 1;
      this.#judge(others > 0 || this.options.policy.kind === "available");
    }
    return {
      seed: this.#seed,
      violations: this.checkers.violations,
      acknowledged: this.#acknowledged,
      reigns: this.checkers.reigns,
      statedLosses: this.checkers.statedLosses,
      finalEpoch: this.store.now.record?.epoch ?? 0,
      completions: this.completions,
      burnt: this.#burnt,
    };
  }

  /** Whether there is a primary that has everything and, where it can be asked for, goes on acknowledging. */
  #judge(mustProgress: boolean): void {
    const before = this.#acknowledged;
    this.scheduler.run(this.scheduler.nowMs + 3_000);
    this.checkers.end(this.#primary(), !mustProgress || this.#acknowledged > before);
  }

  /**
   * The last test: the primary's machine is lost for good, in the middle of its work. Where copies are counted and somebody can be promoted,
   * the others must go on without it; where every commit waits for two copies, without a vault as well (R7).
   */
  #burn(): void {
    const { record } = this.store.now;
    const [set] = record?.sets ?? [];
    if (record === undefined || record.claim !== undefined || record.sets.length !== 1 || set === undefined) return;
    const rest = this.options.nodes.filter((name) => name !== record.primary);
    const isWhole = [...rest, ...this.options.vaults].every((name) => set.members.some((member) => member.node === name));
    if (kindOf(set) !== "counted" || !isWhole || rest.length === 0) return;
    this.#burnt.push(record.primary);
    this.agent(record.primary).stop();
    this.agent(record.primary).postgres.stop();
    const vault = this.vaults[0];
    if (vault === undefined || set.required < 2 || this.scheduler.chance(0.5)) return;
    this.#burnt.push(vault.name);
    vault.stop();
  }

  #newPostgres(name: string): SimulatedPostgres {
    return new SimulatedPostgres(name, {
      scheduler: this.scheduler,
      network: this.network,
      mostReloadMs: this.options.mostReloadMs,
      onAcknowledged: (id, by) => {
        this.#acknowledged++;
        this.checkers.acknowledge(id, by);
      },
    });
  }

  #primary(): SimulatedPostgres | undefined {
    const record = this.store.now.record;
    const agent = record === undefined ? undefined : this.agent(record.primary);
    return agent?.open === true ? agent.postgres : undefined;
  }

  /** Clients write wherever they find a primary, also an old one. */
  #clients(): void {
    const write = (): void => {
      for (const { postgres } of this.agents) if (postgres.up && !postgres.inRecovery) postgres.commit(this.#next++);
      this.scheduler.after(this.scheduler.between(2, 30), write);
    };
    write();
  }

  *#faults(): Process {
    yield 1_500;
    for (;;) {
      this.#fault();
      yield this.scheduler.between(0.2, 1.8) * this.options.faultEveryMs;
    }
  }

  #fault(): void {
    const { scheduler } = this;
    const agent = this.#likelyPrimary();
    const coordinator = scheduler.pick(this.coordinators);
    const backMs = scheduler.between(50, 3_000);
    const kinds: (() => void)[] = [
      () => this.#crashMachine(agent, backMs),
      () => this.#crashPostgres(agent),
      () => this.#crashCoordinator(coordinator, backMs),
      () => coordinator.suspectFalsely(),
      () => this.#cut(agent.name, scheduler.pick(this.#places()), backMs),
      () => this.#isolate(agent.name, backMs),
      () => (this.options.agentsDie ? this.#crashAgent(agent, backMs) : this.#crashPostgres(agent)),
    ];
    const vault = this.vaults.length === 0 ? undefined : scheduler.pick(this.vaults);
    if (vault !== undefined) {
      kinds.push(
        () => this.#crashVault(vault, backMs),
        () => this.#isolate(vault.name, backMs),
        () => (scheduler.chance(0.5) ? this.#wipeVault(vault, backMs) : this.#crashVault(vault, backMs)),
        // Where it matters: the vault alone has the newest, and the primary goes.
        () => this.#cut(agent.name, scheduler.pick(this.options.nodes), backMs),
      );
    }
    scheduler.pick(kinds)();
  }

  /** Half of the faults meet the primary: that is where they matter. */
  #likelyPrimary(): SimulatedAgent {
    const primary = this.store.now.record?.primary;
    return primary !== undefined && this.scheduler.chance(0.5) ? this.agent(primary) : this.scheduler.pick(this.agents);
  }

  #crashMachine(agent: SimulatedAgent, backMs: number): void {
    agent.stop();
    agent.postgres.stop();
    this.scheduler.after(backMs, () => {
      if (!agent.up) agent.start();
    });
  }

  #crashPostgres(agent: SimulatedAgent): void {
    if (!agent.postgres.up) return;
    agent.postgres.stop();
    agent.postgresEnded();
  }

  #crashAgent(agent: SimulatedAgent, backMs: number): void {
    agent.stop();
    this.scheduler.after(backMs, () => {
      if (!agent.up) agent.start();
    });
  }

  #crashCoordinator(coordinator: SimulatedCoordinator, backMs: number): void {
    coordinator.stop();
    this.scheduler.after(backMs, () => {
      if (!coordinator.up) coordinator.start();
    });
  }

  #crashVault(vault: SimulatedVault, backMs: number): void {
    vault.stop();
    this.scheduler.after(backMs, () => {
      if (!vault.up) vault.start();
    });
  }

  #wipeVault(vault: SimulatedVault, backMs: number): void {
    vault.wipe();
    this.#crashVault(vault, backMs);
  }

  #cut(a: string, b: string, backMs: number): void {
    this.network.cut(a, b);
    this.scheduler.after(backMs, () => this.network.join(a, b));
  }

  /** Alone with its clients: nobody else reaches it. */
  #isolate(name: string, backMs: number): void {
    for (const other of this.#places()) if (other !== name) this.#cut(name, other, backMs);
  }

  #places(): string[] {
    return [STORE_NAME, ...this.options.nodes, ...this.options.vaults, ...this.coordinators.map((one) => one.name)];
  }

  #heal(): void {
    this.#healed = true;
    this.network.heal();
    for (const agent of this.agents) if (!agent.up) agent.start();
    for (const vault of this.vaults) if (!vault.up) vault.start();
    for (const coordinator of this.coordinators) if (!coordinator.up) coordinator.start();
  }
}

function firstRecord(primary: string): ClusterRecord {
  return {
    formatVersion: 1,
    store: "simulated",
    systemIdentifier: "1" as SystemIdentifier,
    epoch: 1 as Epoch,
    primary,
    timeline: 1 as Timeline,
    forkLsn: "0/0",
    sets: [CLOSED_SET],
    nextTimeline: 2,
    reigns: [],
    beganAtMs: 0,
  };
}
