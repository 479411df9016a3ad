// A PostgreSQL, as far as replication and the waiting for it go. WAL is a list of records; a position is its length. What
// makes it a faithful trap: a reload reaches the backends (through shared memory) and each walsender at its own time, and a
// receiver lives on until it is killed.
import type { SynchronousSet } from "../../../tidemark/src/cluster/cluster-record.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Network } from "./network.ts";

export interface WalRecord {
  readonly timeline: number;
  readonly id: number;
}

interface Walsender {
  flushed: number;
  /** Its own reading of synchronous_standby_names. */
  set: SynchronousSet;
  ended: boolean;
}

interface Waiter {
  readonly id: number;
  readonly position: number;
}

const SEGMENT_MOST = 16;

export class SimulatedPostgres {
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #network: Network;
  readonly #onAcknowledged: (id: number, by: SimulatedPostgres) => void;
  readonly #mostReloadMs: number;

  // Durable.
  wal: WalRecord[] = [];
  timeline = 1;
  standbySignal = false;
  configured: SynchronousSet = { members: [], required: 1 };
  conninfo: SimulatedPostgres | undefined;

  // Of this run.
  up = false;
  run = 0;
  inRecovery = false;
  replayed = 0;
  identity = "";
  /** Whether a commit waits at all: what shared memory says. */
  mustWait = true;
  /** Epoch of the reign that it was last told; for the checkers. */
  reign = 0;
  receiver: { upstream: SimulatedPostgres; run: number; upstreamRun: number } | undefined;
  readonly walsenders = new Map<string, Walsender>();
  #waiting: Waiter[] = [];
  #receivers = 0;
  #reloads = 0;

  constructor(
    name: string,
    world: { scheduler: Scheduler; network: Network; onAcknowledged: (id: number, by: SimulatedPostgres) => void; mostReloadMs: number },
  ) {
    this.name = name;
    this.#scheduler = world.scheduler;
    this.#network = world.network;
    this.#onAcknowledged = world.onAcknowledged;
    this.#mostReloadMs = world.mostReloadMs;
  }

  get position(): number {
    return this.wal.length;
  }

  start(): void {
    this.up = true;
    this.run++;
    this.inRecovery = this.standbySignal;
    this.replayed = this.inRecovery ? Math.max(0, this.wal.length - Math.floor(this.#scheduler.between(0, 4))) : this.wal.length;
    this.mustWait = this.configured.required > 0;
    this.walsenders.clear();
    this.#waiting = [];
    this.receiver = undefined;
    if (this.inRecovery) this.#follow();
  }

  /** Everything of this run is gone; what waited was never acknowledged. */
  stop(): void {
    this.up = false;
    this.run++;
    this.receiver = undefined;
    this.walsenders.clear();
    this.#waiting = [];
  }

  promote(timeline: number): void {
    this.timeline = timeline;
    this.inRecovery = false;
    this.standbySignal = false;
    this.receiver = undefined;
    this.replayed = this.wal.length;
  }

  /** The setting as written and reloaded: it counts later, at different times for different processes. */
  configure(set: SynchronousSet): void {
    this.configured = set;
    if (!this.up) return;
    const { run } = this;
    const reload = ++this.#reloads;
    const later = (apply: () => void): void =>
      this.#scheduler.after(
        this.#scheduler.between(1, this.#mostReloadMs),
        () => this.up && this.run === run && reload === this.#reloads && apply(),
      );
    later(() => {
      this.mustWait = set.required > 0;
      if (!this.mustWait) this.#release(Infinity);
    });
    for (const sender of this.walsenders.values()) {
      later(() => {
        if (sender.ended) return;
        sender.set = set;
        this.#releaseBy(sender.set);
      });
    }
  }

  /** Whether every walsender shows the priority that the set gives it; of a changed count it says nothing. */
  walsendersTold(set: SynchronousSet): boolean {
    const members = new Set(set.members.map((member) => member.identity));
    return [...this.walsenders].every(
      ([identity, sender]) => sender.set.members.some((member) => member.identity === identity) === members.has(identity),
    );
  }

  /** As pg_terminate_backend: each obeys in its own time, and releases commits by its old setting until then. Answers whether one of them lives. */
  endWalsenders(): () => boolean {
    const ended = [...this.walsenders];
    for (const [identity, sender] of ended) {
      this.#scheduler.after(this.#scheduler.between(1, this.#mostReloadMs), () => {
        if (this.walsenders.get(identity) === sender) this.walsenders.delete(identity);
      });
      // It does not read its settings any more.
      sender.ended = true;
    }
    return () => ended.some(([identity, sender]) => this.walsenders.get(identity) === sender);
  }

  commit(id: number): void {
    this.wal.push({ timeline: this.timeline, id });
    this.replayed = this.wal.length;
    if (this.mustWait) this.#waiting.push({ id, position: this.wal.length });
    else this.#onAcknowledged(id, this);
  }

  // ── Standby ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The settings of whom to follow. The receiver that runs goes on for a while; it ends when it is killed or the stream breaks. */
  followNow(upstream: SimulatedPostgres | undefined): void {
    this.conninfo = upstream;
    if (this.up && this.inRecovery) this.#follow();
  }

  killReceiver(): void {
    this.receiver = undefined;
  }

  #follow(): void {
    const { run } = this;
    const mine = ++this.#receivers;
    const attempt = (): void => {
      if (!this.up || this.run !== run || !this.inRecovery || mine !== this.#receivers) return;
      const upstream = this.conninfo;
      if (
        this.receiver === undefined &&
        upstream !== undefined &&
        upstream.up &&
        !upstream.inRecovery &&
        this.#network.reaches(this.name, upstream.name) &&
        isPrefix(this.wal, upstream.wal)
      ) {
        this.timeline = upstream.timeline;
        this.receiver = { upstream, run, upstreamRun: upstream.run };
        const sender: Walsender = { flushed: this.wal.length, set: upstream.configured, ended: false };
        upstream.walsenders.set(this.identity, sender);
        this.#receive(this.receiver, sender);
      }
      this.#scheduler.after(100, attempt);
    };
    // The receiver of before lives on: clearing the setting does not end it (R3).
    this.#scheduler.after(this.#scheduler.between(1, 20), attempt);
  }

  #receive(receiver: { upstream: SimulatedPostgres; run: number; upstreamRun: number }, sender: Walsender): void {
    const { upstream } = receiver;
    const { identity } = this;
    /** The upstream notices a closed connection a little later. */
    const disconnect = (): void =>
      this.#scheduler.after(this.#scheduler.between(1, 30), () => {
        if (upstream.walsenders.get(identity) === sender) upstream.walsenders.delete(identity);
      });
    const alive = (): boolean => this.receiver === receiver && this.up && this.run === receiver.run;
    const connected = (): boolean =>
      upstream.up &&
      upstream.run === receiver.upstreamRun &&
      this.#network.reaches(this.name, upstream.name) &&
      upstream.walsenders.get(identity) === sender;
    const round = (): void => {
      if (!alive()) return disconnect();
      if (!connected()) {
        this.receiver = undefined;
        return disconnect();
      }
      const from = this.wal.length;
      const records = upstream.wal.slice(from, from + SEGMENT_MOST);
      this.#scheduler.after(this.#network.delayMs(this.name, upstream.name), () => {
        if (!alive() || this.wal.length !== from) return disconnect();
        this.wal.push(...records);
        const flushed = this.wal.length;
        this.#scheduler.after(this.#scheduler.between(0.1, 10), () => alive() && (this.replayed = Math.max(this.replayed, flushed)));
        this.#scheduler.after(this.#network.delayMs(this.name, upstream.name), () => {
          if (!upstream.up || upstream.run !== receiver.upstreamRun || !this.#network.reaches(this.name, upstream.name)) return;
          upstream.flushedBy(identity, flushed);
        });
        this.#scheduler.after(1, round);
      });
    };
    round();
  }

  /** Replay goes on with what is there, whoever sent it. */
  replayAll(): void {
    this.replayed = this.wal.length;
  }

  // ── Primary ───────────────────────────────────────────────────────────────────────────────────────────────────────

  flushedBy(identity: string, position: number): void {
    const sender = this.walsenders.get(identity);
    if (sender === undefined) return;
    sender.flushed = Math.max(sender.flushed, position);
    this.#releaseBy(sender.set);
  }

  /** As SyncRepReleaseWaiters: the walsender judges by its own setting, over those who believe to be members. */
  #releaseBy(set: SynchronousSet): void {
    if (set.required === 0 || set.members.length < set.required) return;
    const members = new Set(set.members.map((member) => member.identity));
    const flushed = [...this.walsenders]
      .filter(([identity]) => members.has(identity))
      .map(([, sender]) => sender.flushed)
      .sort((a, b) => b - a);
    const reached = flushed[set.required - 1];
    if (reached !== undefined) this.#release(reached);
  }

  #release(upTo: number): void {
    const released = this.#waiting.filter((waiter) => waiter.position <= upTo);
    this.#waiting = this.#waiting.filter((waiter) => waiter.position > upTo);
    for (const waiter of released) this.#onAcknowledged(waiter.id, this);
  }
}

/** Whether `part` is a beginning of `whole`: what the timeline history of a server is asked for. */
export function isPrefix(part: readonly WalRecord[], whole: readonly WalRecord[]): boolean {
  const last = part.at(-1);
  if (last === undefined) return true;
  const there = whole[part.length - 1];
  return there !== undefined && there.timeline === last.timeline && there.id === last.id;
}
