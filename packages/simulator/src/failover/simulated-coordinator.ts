// A coordinator in the simulation: the product's decision, with effects that travel over the simulated network.
import type { Epoch } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { decide } from "../../../tidemark/src/cluster/failover-decision.ts";
import type { DecisionSettings, Effect, FailoverState, Input } from "../../../tidemark/src/cluster/failover-state.ts";
import { INITIAL_STATE } from "../../../tidemark/src/cluster/failover-state.ts";
import type { Process } from "./scheduler.ts";
import type { World } from "./world.ts";

const POLL_MS = 40;
const SUSPECT_AFTER_MS = 250;

export class SimulatedCoordinator {
  readonly name: string;
  readonly #world: World;
  state: FailoverState = INITIAL_STATE;
  up = false;
  #run = 0;
  #settings: DecisionSettings;
  readonly #silentSince = new Map<string, number>();

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    this.#settings = this.#settingsOf(name);
  }

  start(): void {
    this.up = true;
    this.#run++;
    this.state = INITIAL_STATE;
    this.#settings = this.#settingsOf(`${this.name}.${this.#run}`);
    this.#silentSince.clear();
    this.#spawn(this.#watch());
    this.#spawn(this.#judge());
  }

  stop(): void {
    this.up = false;
    this.#run++;
  }

  /** A suspicion without a reason. */
  suspectFalsely(): void {
    const { record } = this.state;
    if (record !== undefined)
      this.#input({ type: "suspected", node: record.primary, reason: "false", standbys: this.#others(record.primary) });
  }

  #settingsOf(coordinator: string): DecisionSettings {
    const { nodes, vaults, leaseMs, policy } = this.#world.options;
    const voters = [...nodes, ...vaults];
    return { coordinator, nodes: voters, promotable: nodes, policy, leaseMs, voteWaitMs: 800, retryMs: 300, takeOverAfterMs: 1_000 };
  }

  #others(primary: string): string[] {
    return this.#world.options.nodes.filter((node) => node !== primary);
  }

  #spawn(process: Process<unknown>): void {
    const run = this.#run;
    this.#world.scheduler.spawn(process, () => this.up && this.#run === run);
  }

  *#watch(): Process {
    for (;;) {
      const entry = yield* this.#world.store.read(this.name);
      if (entry !== undefined) this.#input({ type: "observed", ...entry });
      yield POLL_MS;
    }
  }

  /** Asks the agents how they are; who says nothing, or has no PostgreSQL, is suspected after a while. */
  *#judge(): Process {
    for (;;) {
      yield POLL_MS;
      const { record } = this.state;
      if (record === undefined) continue;
      const agent = this.#world.agent(record.primary);
      const answer = yield* this.#world.network.ask(
        { from: this.name, to: agent.name, timeoutMs: 150, isUp: () => agent.up },
        function* () {
          yield 0;
          return { serves: agent.postgres.up, open: agent.open, epoch: agent.known?.record?.epoch };
        },
      );
      const nowMs = this.#world.scheduler.nowMs;
      if (answer.ok && answer.value.serves) this.#silentSince.delete(agent.name);
      else if (!this.#silentSince.has(agent.name)) this.#silentSince.set(agent.name, nowMs);
      const since = this.#silentSince.get(agent.name);
      if (since !== undefined && nowMs - since >= SUSPECT_AFTER_MS) {
        this.#input({ type: "suspected", node: agent.name, reason: "silent", standbys: this.#others(agent.name) });
      }
      if (answer.ok && answer.value.open && answer.value.epoch !== undefined)
        this.#input({ type: "opened", epoch: answer.value.epoch, node: agent.name });
    }
  }

  #input(input: Input): void {
    if (!this.up) return;
    const { state, effects } = decide(this.state, input, this.#settings);
    this.state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: Effect): void {
    const { mutation } = this.#world;
    switch (effect.type) {
      case "read":
        this.#spawn(this.#read());
        return;
      case "compare-and-set":
        this.#spawn(this.#change(effect));
        return;
      case "revoke":
        this.#spawn(this.#revoke(effect.node, effect.epoch));
        return;
      case "fence":
        if (mutation === "R5-no-wait")
          this.#world.scheduler.after(1, () => this.#input({ type: "fenced", epoch: effect.epoch, node: effect.node }));
        else this.#spawn(this.#fence(effect.node, effect.epoch));
        return;
      case "estimate": {
        const primary = this.#world.postgresOf(this.state.record?.primary ?? "");
        const bytes = Math.max(0, (primary?.position ?? 0) - Number(parseLsn(effect.end)));
        this.#world.scheduler.after(1, () =>
          this.#input({ type: "estimated", epoch: effect.epoch, atMs: 0, bytes, exposureMs: 0, reportAgeMs: 0 }),
        );
        return;
      }
      case "complete":
        if (mutation === "NO-LOSS-not-completed")
          this.#world.scheduler.after(1, () =>
            this.#input({ type: "completed", epoch: effect.epoch, node: effect.node, from: effect.from }),
          );
        else this.#spawn(this.#complete(effect));
        return;
      case "promote":
        if (mutation === "R8-no-incumbent" && effect.candidate.incumbent) return;
        this.#spawn(this.#promote(effect));
        return;
      case "timer":
        this.#spawn(this.#timer(effect));
    }
  }

  *#read(): Process {
    const entry = yield* this.#world.store.read(this.name);
    this.#input(entry === undefined ? { type: "away" } : { type: "observed", ...entry });
  }

  *#change(effect: Extract<Effect, { type: "compare-and-set" }>): Process {
    const outcome = yield* this.#world.store.compareAndSet(this.name, effect.expected, effect.record);
    if (outcome.kind === "changed") this.#input({ type: "observed", ...outcome.entry });
    else this.#input({ type: outcome.kind });
  }

  *#revoke(node: string, epoch: Epoch): Process {
    const voter = this.#world.voter(node);
    const answer = yield* this.#world.network.ask({ from: this.name, to: node, timeoutMs: 700, isUp: () => voter.up }, () =>
      voter.revoke(epoch),
    );
    this.#input(answer.ok ? { type: "vote", vote: answer.value } : { type: "refused", epoch, node, why: answer.why });
  }

  *#fence(node: string, epoch: Epoch): Process {
    const agent = this.#world.agent(node);
    const answer = yield* this.#world.network.ask({ from: this.name, to: node, timeoutMs: 700, isUp: () => agent.up }, () =>
      agent.fence(epoch),
    );
    if (answer.ok) this.#input({ type: "fenced", epoch, node });
  }

  *#complete(effect: Extract<Effect, { type: "complete" }>): Process {
    const { epoch, node, from } = effect;
    const agent = this.#world.agent(node);
    const answer = yield* this.#world.network.ask({ from: this.name, to: node, timeoutMs: 2_000, isUp: () => agent.up }, () =>
      agent.complete(effect),
    );
    this.#input(answer.ok ? { type: "completed", epoch, node, from } : { type: "not-completed", epoch, node, from, why: answer.why });
  }

  *#promote(effect: Extract<Effect, { type: "promote" }>): Process {
    const { candidate, epoch } = effect;
    const agent = this.#world.agent(candidate.node);
    const order = { epoch, target: candidate.target, incumbent: candidate.incumbent };
    const answer = yield* this.#world.network.ask({ from: this.name, to: agent.name, timeoutMs: 2_000, isUp: () => agent.up }, () =>
      agent.promote(order),
    );
    if (!answer.ok) this.#input({ type: "promote-failed", epoch, node: candidate.node, why: answer.why });
  }

  *#timer(effect: Extract<Effect, { type: "timer" }>): Process {
    yield effect.delayMs;
    this.#input({ type: "timer", name: effect.name, token: effect.token });
  }
}
