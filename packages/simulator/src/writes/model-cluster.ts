// PostgreSQL as far as the write protocol meets it: a log of transactions on a timeline, copies that follow it late, failovers
// that cut it, commits that are in doubt, waits that are cancelled.
import type { Epoch, JournalId, Sequence, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { PrimaryRoute } from "../../../tidemark/src/cluster/cluster-record.ts";
import {
  DatabaseError,
  type ApplyOutcome,
  type ApplyUnit,
  type Database,
  type DatabaseIdentity,
  type DatabaseSession,
  type PendingLetter,
  type PositionRow,
  type StreamingCopy,
} from "../../../tidemark/src/applier/database.ts";
import type { Trouble } from "../../../tidemark/src/applier/trouble-table.ts";
import { execute, ModelState, movePositions, runSteps, type Effects } from "./model-state.ts";
import type { Mutation } from "./mutation.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const SYSTEM = "7000000000000000001" as SystemIdentifier;
const LOST: Trouble = { reaction: "reconnect", code: "TM-APPLIER-CONNECTION", message: "the model cut the connection" };

type Change = (state: ModelState) => void;

/** A server: its log is its WAL, one change a transaction; an LSN is a count of them. */
export class ModelNode {
  readonly name: string;
  readonly log: Change[] = [];
  state = new ModelState();
  timeline = 1;
  /** Whom it streams from. */
  upstream: ModelNode | undefined;
  alive = true;
  readonly sessions = new Set<ModelSession>();

  constructor(name: string) {
    this.name = name;
  }

  get inRecovery(): boolean {
    return this.upstream !== undefined;
  }

  commit(change: Change): number {
    change(this.state);
    return this.log.push(change);
  }

  /** Takes up to `most` transactions from upstream. */
  follow(most: number): void {
    const { upstream } = this;
    if (upstream === undefined || !upstream.alive) return;
    for (const change of upstream.log.slice(this.log.length, this.log.length + most)) this.commit(change);
  }

  /** Becomes a copy of another from nothing, as a clone does. */
  cloneFrom(other: ModelNode): void {
    this.log.length = 0;
    this.state = new ModelState();
    for (const change of other.log) this.commit(change);
    this.timeline = other.timeline;
    this.upstream = other;
  }
}

export class ModelCluster implements Database {
  readonly clock: VirtualClock;
  readonly mutation: Mutation;
  readonly synchronous: boolean;
  readonly nodes: readonly ModelNode[];
  /** Set while faults may happen. */
  troubled = true;
  epoch = 1;
  primary: ModelNode;
  revision = 1;
  state: PrimaryRoute["state"] = "open";

  constructor(clock: VirtualClock, mutation: Mutation, synchronous: boolean) {
    this.clock = clock;
    this.mutation = mutation;
    this.synchronous = synchronous;
    const [first, second] = [new ModelNode("n1"), new ModelNode("n2")];
    this.nodes = [first, second];
    this.primary = first;
    first.commit((state) => (state.epoch = 1));
    second.cloneFrom(first);
    this.#replicate(second);
    this.#others();
  }

  get standby(): ModelNode {
    return this.nodes.find((node) => node !== this.primary) as ModelNode;
  }

  route(): PrimaryRoute {
    return {
      store: "s",
      revision: this.revision,
      epoch: this.epoch as Epoch,
      node: this.primary.name,
      host: this.primary.name,
      port: 1,
      timeline: this.primary.timeline as Timeline,
      systemIdentifier: SYSTEM,
      state: this.state,
      guarantee: this.synchronous ? "synchronous" : "asynchronous",
      demanded: [this.standby.name],
    };
  }

  /** The standby reigns from here on with what it has; the old primary lives on as a zombie for a while, then it is cloned anew. */
  failOver(oldDies: boolean): void {
    const old = this.primary;
    const next = this.standby;
    const epoch = ++this.epoch;
    next.upstream = undefined;
    next.timeline = epoch;
    next.commit((state) => (state.epoch = epoch));
    for (let i = Math.floor(this.clock.between(0, 40)); i > 0; i--) next.commit(() => undefined);
    this.primary = next;
    if (oldDies) this.kill(old);
    this.clock.setTimer(this.clock.between(50, 400), () => {
      this.kill(old);
      old.alive = true;
      old.cloneFrom(next);
    });
  }

  kill(node: ModelNode): void {
    node.alive = false;
    for (const session of node.sessions) session.cut();
  }

  async open(route: PrimaryRoute): Promise<DatabaseSession> {
    await this.clock.delay(1, 10);
    const node = this.nodes.find((candidate) => candidate.name === route.host) as ModelNode;
    if (!node.alive) throw new DatabaseError(LOST);
    return new ModelSession(this, node);
  }

  #replicate(node: ModelNode): void {
    const step = (): void => {
      node.follow(1 + Math.floor(this.clock.between(0, 6)));
      this.clock.setTimer(this.clock.chance(0.05) && this.troubled ? this.clock.between(50, 300) : this.clock.between(1, 6), step);
    };
    for (const each of this.nodes) if (each === node) this.clock.setTimer(5, step);
  }

  /** The other node follows too once it is a standby; other clients write, so that LSNs grow on every timeline. */
  #others(): void {
    this.#replicate(this.nodes[0] as ModelNode);
    const write = (): void => {
      if (this.primary.alive) this.primary.commit(() => undefined);
      this.clock.setTimer(this.clock.between(2, 30), write);
    };
    this.clock.setTimer(1, write);
  }
}

export class ModelSession implements DatabaseSession {
  readonly #cluster: ModelCluster;
  readonly #node: ModelNode;
  #listeners: ((trouble: Trouble) => void)[] = [];
  #cut = false;

  constructor(cluster: ModelCluster, node: ModelNode) {
    this.#cluster = cluster;
    this.#node = node;
    node.sessions.add(this);
  }

  /** The connection breaks. */
  cut(): void {
    if (this.#cut) return;
    this.#cut = true;
    this.#node.sessions.delete(this);
    for (const listener of this.#listeners) listener(LOST);
    this.#listeners = [];
  }

  async identify(): Promise<DatabaseIdentity> {
    await this.#hop();
    const { timeline, state } = this.#node;
    return {
      inRecovery: this.#node.inRecovery,
      systemIdentifier: SYSTEM,
      timeline: timeline as Timeline,
      newestEpoch: state.epoch as Epoch,
    };
  }

  ensureSchema(): Promise<void> {
    return this.#hop();
  }

  async positions(journal: JournalId): Promise<PositionRow[]> {
    await this.#hop();
    const named = this.#cluster.mutation !== "journal-unnamed";
    const rows: PositionRow[] = [];
    for (const [key, sequence] of this.#node.state.positions) {
      const parts = key.split("/");
      if (named && parts[0] !== journal) continue;
      const [generation, partition] = parts.slice(-2).map(Number);
      rows.push({ generation: generation ?? 0, partition: partition ?? 0, sequence: sequence as Sequence });
    }
    return rows;
  }

  async otherJournals(): Promise<JournalId[]> {
    await this.#hop();
    return [];
  }

  async pendingLetters(journal: JournalId): Promise<PendingLetter[]> {
    await this.#hop();
    return [...this.#node.state.letters]
      .filter(([name, { state }]) => name.startsWith(`${journal}/`) && (state === "rejected" || state === "parked"))
      .map(([, { letter }]) => letter);
  }

  apply(unit: ApplyUnit): Promise<ApplyOutcome> {
    return this.#transact(unit);
  }

  barrier(unit: Omit<ApplyUnit, "steps">): Promise<ApplyOutcome> {
    return this.#transact({ ...unit, steps: [] });
  }

  async streamingCopies(): Promise<StreamingCopy[]> {
    await this.#hop();
    const { nodes, mutation } = this.#cluster;
    const copies =
      mutation === "lsn-across-timelines"
        ? nodes.filter((node) => node !== this.#node)
        : nodes.filter((node) => node.upstream === this.#node);
    return copies.map((node) => ({ name: node.name, flushed: BigInt(node.log.length) as Lsn }));
  }

  forgetKeys(): Promise<number> {
    return Promise.resolve(0);
  }

  onLost(listener: (trouble: Trouble) => void): void {
    if (this.#cut) listener(LOST);
    else this.#listeners.push(listener);
  }

  abandon(): void {
    this.cut();
  }

  close(): Promise<void> {
    this.cut();
    return Promise.resolve();
  }

  /** The way to the server and back; breaks now and then. */
  async #hop(): Promise<void> {
    await this.#cluster.clock.delay(0.2, 3);
    if (!this.#node.alive || this.#cut) this.cut();
    if (this.#cut) throw new DatabaseError(LOST);
  }

  async #transact(unit: ApplyUnit): Promise<ApplyOutcome> {
    const { clock, troubled } = this.#cluster;
    try {
      await this.#hop();
      if (troubled && clock.chance(0.06)) await clock.delay(20, 150); // it waits for a lock, or for the disk
      if (troubled && clock.chance(0.01)) this.cut(); // right before COMMIT
      if (this.#cut) return { kind: "lost", trouble: LOST };
      const result = await this.#commit(unit);
      if (!result.ok) return { kind: "failed", trouble: result.trouble, step: result.step };
      const lsn = this.#node.log.length;
      if (troubled && clock.chance(0.02)) this.cut(); // right behind it
      const waited = await this.#awaitCopies(lsn);
      await this.#hop();
      const proof = !this.#cluster.synchronous
        ? "asynchronous"
        : waited || this.#cluster.mutation === "applied-early"
          ? "replicated"
          : "cancelled";
      return { kind: "committed", facts: { proof, lsn: BigInt(lsn) as Lsn }, rows: new Map(), duplicates: result.duplicates as Sequence[] };
    } catch (error) {
      if (error instanceof DatabaseError) return { kind: "lost", trouble: error.trouble };
      throw error;
    }
  }

  /** Tries on a copy, then commits what worked. The two mutations move the position in a transaction of its own. */
  async #commit(unit: ApplyUnit): Promise<Effects> {
    const { mutation } = this.#cluster;
    const apart = mutation === "position-apart" || mutation === "position-first-apart";
    if (!apart || unit.steps.length === 0) return this.#one((state) => execute(state, unit, mutation));
    const move = (): Effects => this.#one((state) => movePositions(state, unit, mutation) ?? { ok: true, duplicates: [] });
    const steps = (): Effects => this.#one((state) => runSteps(state, unit, mutation));
    const [first, second] = mutation === "position-first-apart" ? [move, steps] : [steps, move];
    const begun = first();
    if (!begun.ok) return begun;
    await this.#hop();
    if (this.#cluster.troubled && this.#cluster.clock.chance(0.05)) this.cut();
    await this.#hop();
    return second();
  }

  #one(change: (state: ModelState) => Effects): Effects {
    if (this.#node.inRecovery) return { ok: false, step: undefined, trouble: { ...LOST, sqlstate: "25006" } };
    const result = change(this.#node.state.copy());
    if (result.ok) this.#node.commit((state) => void change(state));
    return result;
  }

  /** Answers false when the wait was cancelled: the row stands, and no copy need have it. */
  async #awaitCopies(lsn: number): Promise<boolean> {
    const { clock, synchronous, nodes } = this.#cluster;
    if (!synchronous) return true;
    while (!nodes.some((node) => node.upstream === this.#node && node.log.length >= lsn)) {
      if (this.#cut || !this.#node.alive) throw new DatabaseError(LOST);
      if (this.#cluster.troubled && clock.chance(0.02)) return false;
      await clock.delay(1, 3);
    }
    return true;
  }
}
