// The shell of the failover decision for one store: performs its effects, feeds back what came of them, and tells it of
// suspicions. Everything that must survive stands in the record.
import type { Epoch } from "@tidemark/kernel/brands";
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError, hasCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { Redacted } from "@tidemark/kernel/redacted";
import { askDirectly } from "./direct-question.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { FailoverEvent, FailoverHistory } from "./failover-history.ts";
import type { RouteBoard } from "./route-board.ts";
import { routeOf } from "./route-board.ts";
import type { MemberFrontiers } from "./member-frontiers.ts";
import { couldVote, suspect } from "./suspicion.ts";
import type { ClusterRecord } from "../cluster/cluster-record.ts";
import { decide } from "../cluster/failover-decision.ts";
import type { DecisionSettings, Effect, FailoverState, Input, Vote } from "../cluster/failover-state.ts";
import { INITIAL_STATE } from "../cluster/failover-state.ts";
import type { InternalClient } from "../cluster/internal-client.ts";
import type { LeaseStore } from "../cluster/lease-store.ts";
import { RecordWatch } from "../cluster/record-watch.ts";
import type { NodeConfig, StoreConfig } from "../config/config.ts";

/** Longer than an agent takes for a revocation. */
const REVOKE_TIMEOUT_MS = 12_000;
const FENCE_TIMEOUT_MS = 15_000;
/** Longer than an agent takes for a completion at most. */
const COMPLETE_TIMEOUT_MS = 125_000;
const PROMOTE_TIMEOUT_MS = 60_000;
/** Time between two judgements of the primary while nothing is heard, milliseconds. */
const JUDGE_MS = 100;
const DIRECT_TIMEOUT_MS = 1_000;
/** What a re-elected incumbent gets beyond `suspectAfterMs` before it is suspected again, milliseconds. */
const START_GRACE_MS = 3_000;

export interface CoordinatorParts {
  readonly storeName: string;
  readonly store: StoreConfig;
  readonly settings: DecisionSettings;
  readonly leaseStore: LeaseStore;
  readonly registry: AgentRegistry;
  readonly routes: RouteBoard;
  readonly history: FailoverHistory;
  readonly frontiers: MemberFrontiers;
  readonly agents: ReadonlyMap<string, InternalClient>;
  /** Of the store's user, to ask PostgreSQL directly. */
  readonly password: Redacted<string>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each event that changed who reigns or what was lost. */
  readonly onEvent: (event: FailoverEvent, record: ClusterRecord | undefined) => void;
}

export class Coordinator {
  readonly #parts: CoordinatorParts;
  readonly #watch: RecordWatch;
  readonly #timers = new Set<Timer>();
  readonly #startedMs: number;
  #state: FailoverState = INITIAL_STATE;
  #stopped = false;
  /** When the incumbent was last re-elected; undefined once another node was promoted. */
  #reelectedMs: number | undefined;
  #asking = false;
  #direct: { answeredMs?: number; failedSinceMs?: number; epoch?: number; inRecovery?: boolean } = {};

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
    this.#startedMs = parts.clock.monotonicMs();
    const { leaseStore: store, storeName, clock, logger } = parts;
    this.#watch = new RecordWatch({ store, storeName, clock, logger, onChange: (seen) => this.#input({ type: "observed", ...seen }) });
  }

  get state(): FailoverState {
    return this.#state;
  }

  /** An operator accepts the stated loss; takes effect while the decision is blocked or revoking. */
  accept(acceptance: { by: string; reason: string; primaryIsDown: boolean }): FailoverState {
    this.#input({ type: "accepted", ...acceptance });
    return this.#state;
  }

  async run(signal: AbortSignal): Promise<void> {
    const stopListening = this.#parts.registry.onHeartbeat((status) => {
      if (status.store !== this.#parts.storeName) return;
      this.#parts.frontiers.heard(status);
      this.#judge();
    });
    try {
      await Promise.all([this.#watch.run(signal), this.#judgeOn(signal), this.#parts.frontiers.run(signal)]);
    } finally {
      this.#stopped = true;
      stopListening();
      for (const timer of this.#timers) timer.clear();
    }
  }

  // ── Judging the primary ───────────────────────────────────────────────────────────────────────────────────────────

  async #judgeOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#judge();
      await sleep(this.#parts.clock, JUDGE_MS, signal).catch(() => undefined);
    }
  }

  #judge(): void {
    const { record } = this.#state;
    if (record === undefined || this.#stopped) return;
    const { registry, store, clock, settings } = this.#parts;
    const primary = registry.heard(record.primary);
    const { leaseMs, suspectAfterMs } = store.failover;
    const { answeredMs, failedSinceMs } = this.#direct;
    const nowMs = clock.monotonicMs();
    const suspicion = suspect({
      record,
      primary,
      listeningMs: nowMs - this.#startedMs,
      unansweredMs: failedSinceMs === undefined ? (answeredMs === undefined ? undefined : 0) : nowMs - failedSinceMs,
      leaseMs,
      suspectAfterMs,
    });
    if (suspicion.kind === "ask") void this.#ask(record);
    if (suspicion.kind === "none") this.#direct = {};
    // A re-elected incumbent gets the time to start: claims in a row would keep it from ever doing so.
    const reelectedMs = this.#reelectedMs === undefined ? Infinity : nowMs - this.#reelectedMs;
    if (suspicion.kind === "suspected" && reelectedMs > suspectAfterMs + START_GRACE_MS) {
      // A vault could vote, and would leave the claim without anybody to promote (R8).
      const standbys = settings.promotable.filter((node) => node !== record.primary && couldVote(registry.heard(node), leaseMs));
      this.#input({ type: "suspected", node: record.primary, reason: suspicion.reason, standbys });
    }
    if (this.#isOpen(record)) this.#input({ type: "opened", epoch: record.epoch, node: record.primary });
    this.#publish();
  }

  /** Its agent says so; or, while the agent is silent, PostgreSQL itself shows the reign's row. */
  #isOpen(record: ClusterRecord): boolean {
    const heard = this.#parts.registry.heard(record.primary);
    if (heard !== undefined && heard.ageMs < this.#parts.store.failover.leaseMs) {
      const { status } = heard;
      return status.open && status.epoch === record.epoch && (status.state === "primary" || status.state === "unresponsive");
    }
    return this.#direct.inRecovery === false && this.#direct.epoch === record.epoch && this.#direct.failedSinceMs === undefined;
  }

  #publish(): void {
    const { record } = this.#state;
    const node = record === undefined ? undefined : this.#node(record.primary);
    if (record === undefined || node === undefined) return;
    if (this.#parts.routes.publish(routeOf(record, node, this.#isOpen(record)))) {
      this.#parts.logger.info({ route: this.#parts.routes.current(record.store) }, "the route changed");
    }
  }

  async #ask(record: ClusterRecord): Promise<void> {
    const node = this.#node(record.primary);
    if (this.#asking || node === undefined) return;
    this.#asking = true;
    try {
      const { store, password, clock } = this.#parts;
      const answer = await askDirectly({ store, node, password }, clock, DIRECT_TIMEOUT_MS);
      const nowMs = clock.monotonicMs();
      this.#direct =
        answer === undefined || answer.inRecovery
          ? { failedSinceMs: this.#direct.failedSinceMs ?? nowMs }
          : { answeredMs: nowMs, inRecovery: answer.inRecovery, ...(answer.epoch === undefined ? {} : { epoch: answer.epoch }) };
    } finally {
      this.#asking = false;
    }
  }

  // ── The decision and its effects ──────────────────────────────────────────────────────────────────────────────────

  #input(input: Input): void {
    if (this.#stopped) return;
    const before = this.#state;
    const { state, effects } = decide(before, input, this.#parts.settings);
    this.#state = state;
    const event = this.#parts.history.follow(state);
    if (event !== undefined) this.#parts.onEvent(event, state.record);
    if (state.phase === "blocked" && before.obstacle !== state.obstacle) {
      this.#parts.logger.error(
        { code: "TM-CLUSTER-BLOCKED", obstacle: state.obstacle, estimate: state.estimate },
        "the failover is blocked",
      );
    }
    if (before.phase === "promoting" && state.phase === "opening")
      this.#reelectedMs = before.candidate?.incumbent === true ? this.#parts.clock.monotonicMs() : undefined;
    if (state.record !== before.record || state.phase !== before.phase) this.#publish();
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case "read":
        this.#reread();
        return;
      case "compare-and-set":
        this.#change(effect.expected, effect.record);
        return;
      case "revoke":
        this.#revoke(effect.node, effect.epoch);
        return;
      case "fence":
        this.#tell(effect.node, { path: "/fence", body: { epoch: effect.epoch }, timeoutMs: FENCE_TIMEOUT_MS }).then(
          () => this.#input({ type: "fenced", epoch: effect.epoch, node: effect.node }),
          (error: unknown) =>
            this.#parts.logger.info(
              { err: error, node: effect.node },
              "the incumbent could not be fenced; its own agent does it, or its lease ends",
            ),
        );
        return;
      case "estimate": {
        const { record } = this.#state;
        if (record === undefined) return;
        const estimate = this.#parts.registry.estimate(record.primary, record.timeline, parseLsn(effect.end));
        this.#input({ type: "estimated", epoch: effect.epoch, atMs: this.#parts.clock.wallMs(), ...estimate });
        return;
      }
      case "complete": {
        const { epoch, node, from, target, timeline } = effect;
        this.#tell(node, { path: "/complete", body: { epoch, target, timeline, from }, timeoutMs: COMPLETE_TIMEOUT_MS }).then(
          () => this.#input({ type: "completed", epoch, node, from }),
          (error: unknown) => this.#input({ type: "not-completed", epoch, node, from, why: messageOf(error) }),
        );
        return;
      }
      case "promote": {
        const { node, target, incumbent } = effect.candidate;
        this.#tell(node, { path: "/promote", body: { epoch: effect.epoch, target, incumbent }, timeoutMs: PROMOTE_TIMEOUT_MS }).catch(
          (error: unknown) => {
            this.#input({ type: "promote-failed", epoch: effect.epoch, node, why: messageOf(error) });
          },
        );
        return;
      }
      case "timer": {
        const timer = this.#parts.clock.setTimer(effect.delayMs, () => {
          this.#timers.delete(timer);
          this.#input({ type: "timer", name: effect.name, token: effect.token });
        });
        this.#timers.add(timer);
      }
    }
  }

  #reread(): void {
    this.#watch.confirm().then(
      (seen) => this.#input({ type: "observed", record: seen.record, revision: seen.revision }),
      () => this.#input({ type: "away" }),
    );
  }

  #change(expected: number, record: ClusterRecord): void {
    const { claim } = record;
    const stamped =
      claim === undefined
        ? record
        : { ...record, claim: { ...claim, claimedAtMs: claim.claimedAtMs === 0 ? this.#parts.clock.wallMs() : claim.claimedAtMs } };
    this.#watch.change({ record: this.#state.record, revision: expected }, stamped).catch((error: unknown) => {
      this.#input({ type: hasCode(error, "TM-CLUSTER-CONFLICT") ? "conflict" : "away" });
    });
  }

  #revoke(node: string, epoch: Epoch): void {
    this.#tell(node, { path: "/revoke", body: { epoch }, timeoutMs: REVOKE_TIMEOUT_MS }).then(
      (answer) => {
        const vote = answer as Vote;
        const { record } = this.#state;
        const objection = record === undefined ? undefined : this.#parts.frontiers.objection(record, vote);
        if (objection === undefined) return this.#input({ type: "vote", vote });
        this.#parts.logger.error({ node, identity: vote.identity, objection }, "a vote is not taken (R6)");
        this.#input({ type: "refused", epoch, node, why: objection });
      },
      (error: unknown) => this.#input({ type: "refused", epoch, node, why: messageOf(error) }),
    );
  }

  async #tell(node: string, request: { path: string; body: unknown; timeoutMs: number }): Promise<unknown> {
    const agent = this.#parts.agents.get(node);
    if (agent === undefined) throw new TidemarkError("TM-CLUSTER-UNKNOWN-STORE", `there is no agent of ${node}`);
    return (await agent.request(request)).body;
  }

  #node(name: string): NodeConfig | undefined {
    return this.#parts.store.nodes.find((node) => node.name === name);
  }
}

function messageOf(error: unknown): string {
  return error instanceof TidemarkError ? `${error.code}: ${error.message}` : error instanceof Error ? error.message : String(error);
}
