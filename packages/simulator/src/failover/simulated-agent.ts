// An agent in the simulation. It decides by the product's own functions (decideRole, nextStep) and performs its actions on
// the simulated PostgreSQL, each step taking time, so that it can be interrupted between any two.
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import type { LocalNode, NodeAction } from "../../../tidemark/src/cluster/agent/node-role.ts";
import { decideRole, followsKey } from "../../../tidemark/src/cluster/agent/node-role.ts";
import type { ClusterRecord, Reign, SynchronousSet } from "../../../tidemark/src/cluster/cluster-record.ts";
import type { Vote } from "../../../tidemark/src/cluster/failover-state.ts";
import { CLOSED_SET, isAsynchronous } from "../../../tidemark/src/cluster/quorum.ts";
import { Refusal } from "./network.ts";
import type { Process } from "./scheduler.ts";
import { SimulatedSetKeeper } from "./simulated-set-keeper.ts";
import type { World } from "./world.ts";
import type { SimulatedPostgres } from "./simulated-postgres.ts";
import { isPrefix } from "./simulated-postgres.ts";
import type { Entry } from "./simulated-store.ts";

const SYSTEM = "1" as SystemIdentifier;
/** Where the lease is enforced: as in the product, before its end. */
const LEASE_PART_USED = 0.9;
const TICK_MS = 25;
/** Records that a completion fetches at once. */
const COMPLETED_AT_ONCE = 6;

export class SimulatedAgent {
  readonly name: string;
  readonly postgres: SimulatedPostgres;
  readonly #world: World;

  // Durable, in the data directory.
  identity: string;
  promised: Epoch | undefined;

  // Of this run.
  up = false;
  run = 0;
  known: Entry | undefined;
  #busy = false;
  #crashedMs: number | undefined;
  #renewedMs = -Infinity;
  #openEpoch: Epoch | undefined;
  #follows: string | undefined;
  #receivedSinceStart = false;
  readonly #keeper: SimulatedSetKeeper;

  constructor(world: World, postgres: SimulatedPostgres, identity: string) {
    this.#world = world;
    this.postgres = postgres;
    this.#keeper = new SimulatedSetKeeper(world, postgres, (known, record) => this.#record(known, record));
    this.name = postgres.name;
    this.identity = identity;
    postgres.identity = identity;
  }

  get open(): boolean {
    return (
      this.up &&
      this.postgres.up &&
      !this.postgres.inRecovery &&
      this.#openEpoch !== undefined &&
      this.#openEpoch === this.known?.record?.epoch
    );
  }

  start(): void {
    this.up = true;
    this.run++;
    this.known = undefined;
    this.#busy = false;
    this.#openEpoch = undefined;
    this.#crashedMs = undefined;
    this.#renewedMs = -Infinity;
    this.#follows = undefined;
    const { run } = this;
    const alive = (): boolean => this.up && this.run === run;
    this.#world.scheduler.spawn(this.#loop(), alive);
    this.#world.scheduler.spawn(this.#enforceLease(), alive);
  }

  stop(): void {
    this.up = false;
    this.run++;
  }

  /** To be called when PostgreSQL ended by itself. */
  postgresEnded(): void {
    this.#crashedMs = this.#world.scheduler.nowMs;
    this.#openEpoch = undefined;
    this.#receivedSinceStart = false;
  }

  // ── Requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  *revoke(epoch: Epoch): Process<Vote> {
    yield* this.#exclusive();
    try {
      if (this.promised !== undefined && this.promised > epoch) throw new Refusal("stale epoch");
      this.promised = epoch;
      yield this.#world.scheduler.between(0.5, 5);
      const { postgres } = this;
      const { mutation } = this.#world;
      if (!postgres.up) {
        if (!postgres.standbySignal) throw new Refusal("was a primary");
        postgres.conninfo = undefined;
        this.#startPostgres();
        yield 20;
      }
      if (!postgres.inRecovery) throw new Refusal("is a primary");
      if (mutation !== "R3-receiver-lives") {
        postgres.followNow(undefined);
        this.#follows = "nobody";
        yield this.#world.scheduler.between(1, 5);
        postgres.killReceiver();
        yield this.#world.scheduler.between(1, 5);
        postgres.replayAll();
      }
      const end = mutation === "R4-vote-received" && !this.#receivedSinceStart ? 0 : postgres.position;
      const timeline = (postgres.wal.at(-1)?.timeline ?? 1) as Timeline;
      yield this.#world.scheduler.between(0.5, 3);
      return { node: this.name, identity: this.identity, epoch, timeline, end: formatLsn(BigInt(end) as Lsn) };
    } finally {
      this.#busy = false;
    }
  }

  *fence(epoch: Epoch): Process {
    const record = this.known?.record;
    if (record !== undefined && record.epoch >= epoch && record.primary === this.name) throw new Refusal("stale epoch");
    if (this.postgres.up && !this.postgres.inRecovery) this.postgres.stop();
    yield* this.#exclusive();
    try {
      if (this.promised !== undefined && this.promised > epoch) return;
      if (this.postgres.up && !this.postgres.inRecovery) this.postgres.stop();
      this.promised = epoch;
      yield 1;
    } finally {
      this.#busy = false;
    }
  }

  /** As completion.ts: everything or nothing is answered, and what was replayed before it went wrong stays. */
  *complete(order: { epoch: Epoch; target: string; from: string }): Process {
    yield* this.#exclusive();
    try {
      const { postgres } = this;
      if (this.promised !== order.epoch) throw new Refusal("stale epoch");
      if (!postgres.up || !postgres.inRecovery || this.#follows !== "nobody") throw new Refusal("no revoked standby");
      const target = Number(parseLsn(order.target));
      const vault = this.#world.vault(order.from);
      const { run } = postgres;
      while (postgres.position < target) {
        const from = postgres.position;
        const upTo = Math.min(target, from + COMPLETED_AT_ONCE);
        const answer = yield* this.#world.network.ask({ from: this.name, to: vault.name, timeoutMs: 300, isUp: () => vault.up }, () =>
          vault.give(from, upTo),
        );
        if (!answer.ok) throw new Refusal(answer.why);
        if (answer.value.length < upTo - from) throw new Refusal("the target is not reached");
        if (!postgres.up || postgres.run !== run || !postgres.inRecovery) throw new Refusal("PostgreSQL ended");
        postgres.wal.push(...answer.value);
        yield this.#world.scheduler.between(0.5, 10);
        postgres.replayAll();
      }
      postgres.timeline = postgres.wal.at(-1)?.timeline ?? postgres.timeline;
      this.#world.completions++;
    } finally {
      this.#busy = false;
    }
  }

  *promote(order: { epoch: Epoch; target: string; incumbent: boolean }): Process {
    yield* this.#exclusive();
    try {
      if (this.#world.mutation === "R2-promote-first" && !order.incumbent) {
        yield* this.#promoteFirst(order.epoch);
        return;
      }
      if (this.promised !== undefined && this.promised > order.epoch) throw new Refusal("stale epoch");
      const entry = yield* this.#world.store.read(this.name);
      const record = entry?.record;
      if (entry === undefined || record === undefined) throw new Refusal("the store is away");
      const mine = record.epoch === order.epoch && record.primary === this.name && record.claim === undefined;
      if (!mine) {
        if (record.claim?.epoch !== order.epoch) throw new Refusal("stale epoch");
        const next = order.incumbent ? this.#reelected(record, order.epoch) : this.#successor(record, order);
        yield this.#world.scheduler.between(0.5, 5);
        const changed = yield* this.#world.store.compareAndSet(this.name, entry.revision, next);
        if (changed.kind !== "changed") throw new Refusal(changed.kind);
        this.#take(changed.entry);
      } else this.#take(entry);
      this.#crashedMs = undefined;
      if (!order.incumbent) yield* this.#finish();
    } finally {
      this.#busy = false;
    }
  }

  #reelected(record: ClusterRecord, epoch: Epoch): ClusterRecord {
    if (record.primary !== this.name) throw new Refusal("not the incumbent");
    const { claim: _ended, loss: _former, ...kept } = record;
    return { ...kept, epoch, reigns: [reignOf(record), ...record.reigns] };
  }

  #successor(record: ClusterRecord, order: { epoch: Epoch; target: string }): ClusterRecord {
    const { postgres } = this;
    if (this.promised !== order.epoch || !postgres.up || !postgres.inRecovery || this.#follows !== "nobody") {
      if (this.#world.mutation !== "R3-receiver-lives") throw new Refusal("not revoked");
    }
    const behind = BigInt(postgres.replayed) < parseLsn(order.target);
    if (behind && this.#world.mutation !== "NO-LOSS-not-completed") throw new Refusal("behind");
    const { claim, loss: _former, ...kept } = record;
    const rest = record.sets.at(-1)?.members.filter((member) => member.node !== this.name) ?? [];
    const begin: SynchronousSet =
      this.#world.mutation === "begin-with-members" && rest.length > 0 ? { members: rest, required: 1 } : CLOSED_SET;
    postgres.configured = begin;
    return {
      ...kept,
      epoch: order.epoch,
      primary: this.name,
      timeline: record.nextTimeline as Timeline,
      forkLsn: formatLsn(BigInt(postgres.replayed) as Lsn),
      forkedFrom: (postgres.wal.at(-1)?.timeline ?? 1) as Timeline,
      sets: [begin],
      nextTimeline: record.nextTimeline + 1,
      reigns: [reignOf(record), ...record.reigns],
      ...(claim?.loss === undefined ? {} : { loss: claim.loss }),
    };
  }

  /** The mutation of R2: open settings, promoted at once, on the next timeline that this node knows of; then the record, blindly. */
  *#promoteFirst(epoch: Epoch): Process {
    const { postgres } = this;
    if (!postgres.up || !postgres.inRecovery) throw new Refusal("no standby");
    const record = this.known?.record;
    if (record === undefined) throw new Refusal("no record");
    postgres.mustWait = false;
    postgres.configured = { members: [], required: 0 };
    postgres.reign = epoch;
    const next: ClusterRecord = {
      ...this.#successor({ ...record, sets: record.sets }, { epoch, target: "0/0" }),
      sets: [{ members: [], required: 0 }],
    };
    postgres.promote(postgres.timeline + 1);
    this.#world.checkers.begins(postgres, next);
    yield this.#world.scheduler.between(1, 50);
    this.#take(this.#world.store.force(next));
    this.#openEpoch = epoch;
  }

  *#finish(): Process {
    const record = this.known?.record;
    const { postgres } = this;
    if (record === undefined || record.primary !== this.name) return;
    yield this.#world.scheduler.between(5, 50);
    if (!postgres.up) return;
    if (postgres.inRecovery) {
      postgres.reign = record.epoch;
      postgres.promote(record.timeline);
      this.#world.checkers.begins(postgres, record);
    }
    yield* this.#openReign(record);
  }

  *#openReign(record: ClusterRecord): Process {
    this.postgres.reign = record.epoch;
    yield this.#world.scheduler.between(1, 10);
    this.#openEpoch = record.epoch;
  }

  // ── The loop ──────────────────────────────────────────────────────────────────────────────────────────────────────

  *#exclusive(): Process {
    while (this.#busy) yield 1;
    this.#busy = true;
  }

  *#loop(): Process {
    for (;;) {
      const sentMs = this.#world.scheduler.nowMs;
      const entry = yield* this.#world.store.read(this.name);
      if (entry !== undefined) {
        this.#take(entry);
        this.#renew(sentMs, entry.record);
      }
      yield* this.#exclusive();
      try {
        const action = this.#decide(entry !== undefined && entry.revision === this.known?.revision);
        yield* this.#act(action);
      } finally {
        this.#busy = false;
      }
      yield this.#world.scheduler.between(TICK_MS / 2, TICK_MS * 2);
    }
  }

  #decide(confirmed: boolean): NodeAction {
    const { postgres } = this;
    if (postgres.receiver !== undefined) this.#receivedSinceStart = true;
    const last = postgres.wal.at(-1);
    const local: LocalNode = {
      data: "present",
      systemIdentifier: SYSTEM,
      bootstrapping: false,
      heldBack: false,
      server: postgres.up ? "running" : "stopped",
      markedStandby: postgres.standbySignal,
      ...(this.promised === undefined ? {} : { promised: this.promised }),
      ...(postgres.up ? { inRecovery: postgres.inRecovery } : {}),
      ...(postgres.up && postgres.inRecovery && last !== undefined
        ? { timeline: last.timeline as Timeline, replayed: BigInt(postgres.replayed) as Lsn }
        : {}),
      ...(this.#crashedMs === undefined ? {} : { crashedForMs: this.#world.scheduler.nowMs - this.#crashedMs }),
      ...(this.#follows === undefined ? {} : { follows: this.#follows }),
    };
    return decideRole({ node: this.name, isFirst: false, record: this.known?.record, confirmed, local, restartAfterMs: 500 });
  }

  *#act(action: NodeAction): Process {
    const record = this.known?.record;
    const { postgres } = this;
    if (record === undefined) return;
    switch (action.kind) {
      case "start-primary":
        yield this.#world.scheduler.between(20, 200);
        postgres.standbySignal = false;
        postgres.configured = record.sets.at(-1) ?? CLOSED_SET;
        postgres.reign = record.epoch;
        this.#startPostgres();
        this.#crashedMs = undefined;
        return;
      case "finish-promotion":
        yield* this.#finish();
        return;
      case "be-primary":
        if (this.#openEpoch !== record.epoch) yield* this.#openReign(record);
        else if (this.known !== undefined) yield* this.#keeper.keep(this.known, record);
        return;
      case "demote":
        postgres.stop();
        this.#openEpoch = undefined;
        return;
      case "start-standby":
        postgres.standbySignal = true;
        postgres.configured = CLOSED_SET;
        postgres.conninfo = action.follow ? this.#world.postgresOf(record.primary) : undefined;
        this.#follows = action.follow ? followsKey(record) : "nobody";
        yield this.#world.scheduler.between(10, 100);
        this.#startPostgres();
        this.#crashedMs = undefined;
        return;
      case "follow":
        postgres.killReceiver();
        postgres.followNow(this.#world.postgresOf(record.primary));
        this.#follows = followsKey(record);
        yield 2;
        return;
      case "follow-nobody":
        postgres.followNow(undefined);
        this.#follows = "nobody";
        return;
      case "clone-again":
        yield* this.#cloneAgain(record);
        return;
      case "be-standby":
        // Off the line without showing it by position: the stream is refused, and the node is cloned again after a while.
        if (
          postgres.conninfo !== undefined &&
          postgres.conninfo.up &&
          !postgres.conninfo.inRecovery &&
          !isPrefix(postgres.wal, postgres.conninfo.wal)
        )
          yield* this.#cloneAgain(record);
        return;
      case "wait":
      case "refuse":
      case "bootstrap":
      case "discard-half-made":
      case "clone":
        return;
    }
  }

  *#cloneAgain(record: ClusterRecord): Process {
    const upstream = this.#world.postgresOf(record.primary);
    const { postgres } = this;
    yield this.#world.scheduler.between(50, 400);
    if (upstream === undefined || !upstream.up || upstream.inRecovery || !this.#world.network.reaches(this.name, upstream.name)) return;
    postgres.stop();
    postgres.wal = [...upstream.wal];
    postgres.timeline = upstream.timeline;
    // R6: data that begins a life of its own gets an identity of its own, and has promised nothing.
    this.identity = this.#world.newIdentity(this.name);
    postgres.identity = this.identity;
    this.promised = undefined;
    this.#follows = undefined;
    postgres.standbySignal = true;
  }

  #startPostgres(): void {
    this.#receivedSinceStart = false;
    this.postgres.start();
  }

  *#record(known: Entry, record: ClusterRecord): Process {
    const sentMs = this.#world.scheduler.nowMs;
    const outcome = yield* this.#world.store.compareAndSet(this.name, known.revision, record);
    if (outcome.kind !== "changed") return;
    this.#take(outcome.entry);
    this.#renew(sentMs, outcome.entry.record);
  }

  // ── The lease ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #take(entry: Entry): void {
    if (this.known === undefined || entry.revision > this.known.revision) this.known = entry;
  }

  #renew(sentMs: number, record: ClusterRecord | undefined): void {
    if (record?.primary === this.name && record.claim === undefined) this.#renewedMs = Math.max(this.#renewedMs, sentMs);
  }

  *#enforceLease(): Process {
    for (;;) {
      yield 10;
      const record = this.known?.record;
      const writing = this.postgres.up && !this.postgres.inRecovery;
      if (!writing || record === undefined || !isAsynchronous(record)) continue;
      if (this.#world.scheduler.nowMs - this.#renewedMs > this.#world.options.leaseMs * LEASE_PART_USED) {
        this.postgres.stop();
        this.#openEpoch = undefined;
      }
    }
  }
}

function reignOf(record: ClusterRecord): Reign {
  return {
    epoch: record.epoch,
    primary: record.primary,
    timeline: record.timeline,
    forkLsn: record.forkLsn,
    beganAtMs: 0,
    ...(record.forkedFrom === undefined ? {} : { forkedFrom: record.forkedFrom }),
    ...(record.loss === undefined ? {} : { loss: record.loss }),
  };
}
