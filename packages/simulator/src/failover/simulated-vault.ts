// A vault in the simulation: receives WAL, acknowledges what is durable, promises and votes, gives its WAL to a candidate, and never reigns.
// It holds WAL from where it began; a wiped one begins anew, under another identity (R6).
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { mayFollow } from "../../../tidemark/src/cluster/agent/node-role.ts";
import type { Vote } from "../../../tidemark/src/cluster/failover-state.ts";
import { Refusal } from "./network.ts";
import type { Process } from "./scheduler.ts";
import type { SimulatedPostgres, WalRecord } from "./simulated-postgres.ts";
import type { Entry } from "./simulated-store.ts";
import type { World } from "./world.ts";

const TICK_MS = 25;
/** Records in one message. */
const MOST_RECORDS = 16;
/** How far behind the primary's end a slot begins that was just made, at most: at its last checkpoint. */
const SLOT_BEHIND = 12;

export class SimulatedVault {
  readonly name: string;
  readonly #world: World;

  // Durable.
  identity: string;
  promised: Epoch | undefined;
  /** Whole records that are durable here. Those before `from` are not: they stand for their positions alone. */
  wal: WalRecord[] = [];
  from = 0;
  #isEmpty = true;

  // Of this run.
  up = false;
  run = 0;
  known: Entry | undefined;
  #receiving: { readonly upstream: SimulatedPostgres; readonly upstreamRun: number } | undefined;
  /** Whose WAL came last. Where it has more than is here, a piece of the next record may be here as well. */
  #last: SimulatedPostgres | undefined;

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    this.identity = world.newIdentity(name);
  }

  start(): void {
    this.up = true;
    this.run++;
    this.known = undefined;
    this.#receiving = undefined;
    const { run } = this;
    this.#world.scheduler.spawn(this.#loop(), () => this.up && this.run === run);
  }

  stop(): void {
    this.up = false;
    this.run++;
    this.#receiving = undefined;
  }

  /** Everything is gone: the folder, and with it the promise and the identity. */
  wipe(): void {
    this.stop();
    this.wal = [];
    this.from = 0;
    this.#isEmpty = true;
    this.promised = undefined;
    if (this.#world.mutation !== "R6-wiped-vault-keeps-identity") this.identity = this.#world.newIdentity(this.name);
  }

  // ── Requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  *revoke(epoch: Epoch): Process<Vote> {
    const { mutation, scheduler } = this.#world;
    if (this.promised !== undefined && this.promised > epoch) throw new Refusal("stale epoch");
    this.promised = epoch;
    yield scheduler.between(0.5, 5);
    if (mutation !== "R3-vault-acknowledges-on") this.#receiving = undefined;
    if (this.#isEmpty && mutation !== "R6-wiped-vault-keeps-identity") throw new Refusal("no data");
    const end = this.wal.length + (mutation === "R4-vault-votes-received" && this.#isTorn() ? 1 : 0);
    const timeline = (this.wal.at(-1)?.timeline ?? 1) as Timeline;
    yield scheduler.between(0.5, 3);
    // A higher promise meanwhile: this vote belongs to a claim that is over.
    if (this.promised !== epoch) throw new Refusal("stale epoch");
    return { node: this.name, identity: this.identity, epoch, timeline, end: formatLsn(BigInt(end) as Lsn) };
  }

  /** The records from `from` up to `upTo`, whole or not at all. */
  *give(from: number, upTo: number): Process<WalRecord[]> {
    yield this.#world.scheduler.between(0.5, 10);
    if (from < this.from) throw new Refusal("its WAL begins later");
    return this.wal.slice(from, upTo);
  }

  // ── Receiving ─────────────────────────────────────────────────────────────────────────────────────────────────────

  *#loop(): Process {
    for (;;) {
      const entry = yield* this.#world.store.read(this.name);
      if (entry !== undefined && (this.known === undefined || entry.revision > this.known.revision)) this.known = entry;
      this.#follow();
      yield this.#world.scheduler.between(TICK_MS / 2, TICK_MS * 2);
    }
  }

  #follow(): void {
    const record = this.known?.record;
    if (record === undefined || !mayFollow(record, this.promised)) return;
    const upstream = this.#world.postgresOf(record.primary);
    if (upstream === undefined || !upstream.up || upstream.inRecovery || !this.#world.network.reaches(this.name, upstream.name)) return;
    if (this.#receiving?.upstream === upstream && this.#receiving.upstreamRun === upstream.run) return;
    // The record says which reign it is; a primary of another one is not followed.
    if (upstream.reign !== record.epoch) return;
    if (this.#isEmpty) this.#begin(upstream);
    else if (!this.#cutToFork(upstream)) return;
    this.#last = upstream;
    this.#receiving = { upstream, upstreamRun: upstream.run };
    const sender = { flushed: this.wal.length, set: upstream.configured, ended: false };
    upstream.walsenders.set(this.identity, sender);
    this.#receive(this.#receiving, sender);
  }

  #isTorn(): boolean {
    return this.#last !== undefined && this.#last.wal.length > this.wal.length;
  }

  #begin(upstream: SimulatedPostgres): void {
    this.from = Math.max(0, upstream.position - Math.floor(this.#world.scheduler.between(0, SLOT_BEHIND)));
    this.wal = upstream.wal.slice(0, this.from);
    this.#isEmpty = false;
  }

  /** What lies past the fork is evidence, and was acknowledged by nobody who counts. Answers whether it can go on there. */
  #cutToFork(upstream: SimulatedPostgres): boolean {
    const same = (index: number): boolean =>
      this.wal[index]?.id === upstream.wal[index]?.id && this.wal[index]?.timeline === upstream.wal[index]?.timeline;
    let fork = Math.min(this.wal.length, upstream.position);
    while (fork > 0 && !same(fork - 1)) fork--;
    // On the same timeline nothing is cut: the primary is behind what it acknowledged, and somebody has to look.
    if (fork < this.wal.length && this.wal[fork]?.timeline === upstream.timeline) return false;
    if (fork < this.from) return false;
    this.wal = this.wal.slice(0, fork);
    return true;
  }

  #receive(mine: { upstream: SimulatedPostgres; upstreamRun: number }, sender: { flushed: number }): void {
    const { upstream, upstreamRun } = mine;
    const { identity, run } = this;
    const { network, scheduler } = this.#world;
    const disconnect = (): void =>
      scheduler.after(scheduler.between(1, 30), () => {
        if (upstream.walsenders.get(identity) === sender) upstream.walsenders.delete(identity);
      });
    const alive = (): boolean => this.up && this.run === run && this.#receiving === mine;
    const connected = (): boolean =>
      upstream.up &&
      upstream.run === upstreamRun &&
      !upstream.inRecovery &&
      network.reaches(this.name, upstream.name) &&
      upstream.walsenders.get(identity) === sender;
    const round = (): void => {
      if (!alive()) return disconnect();
      if (!connected()) {
        this.#receiving = undefined;
        return disconnect();
      }
      const at = this.wal.length;
      const records = upstream.wal.slice(at, at + MOST_RECORDS);
      scheduler.after(network.delayMs(this.name, upstream.name), () => {
        if (!alive() || this.wal.length !== at) return disconnect();
        this.wal.push(...records);
        const flushed = this.wal.length;
        scheduler.after(network.delayMs(this.name, upstream.name), () => {
          if (!upstream.up || upstream.run !== upstreamRun || !network.reaches(this.name, upstream.name)) return;
          upstream.flushedBy(identity, flushed);
        });
        scheduler.after(1, round);
      });
    };
    round();
  }
}
