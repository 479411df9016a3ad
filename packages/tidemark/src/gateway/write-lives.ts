// The lives of some writes, from the gateway's side: it sees their requests, journals them, and hears of their commits. What copies
// have of them comes from copy-frontiers.ts.
import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { FromApplier, ToApplier } from "../applier/applier-link.ts";
import type { Config, StoreConfig } from "../config/config.ts";
import type { AppendedRecord } from "../journal/journal.ts";
import { WriteLifeSampler } from "../metrics/write-life-sampler.ts";
import type { WriteLives as KeptLives, WriteStage } from "../metrics/write-life.ts";
import type { AcceptedWrite } from "./acceptance.ts";
import { CopyFrontiers, type ControlQuestion } from "./copy-frontiers.ts";
import { LifeChoice } from "./life-choice.ts";
import type { ReceiptWriter } from "./receipt.ts";

const TICK_MS = 1_000;

type Applied = Extract<FromApplier, { type: "applied" }>;
type Copies = Extract<FromApplier, { type: "copies" }>;

/** Followed writes of one store and partition, by sequence. */
interface Lane {
  readonly open: Map<bigint, string>;
  readonly committed: Map<bigint, string>;
  upTo: bigint;
  timeline: number;
}

/** When a request came and when its writes were validated, monotonic. */
interface RequestTimes {
  readonly startedMs: number;
  readonly acceptedMs: number;
}

interface LivesWorld {
  readonly config: Config;
  readonly receipts: ReceiptWriter;
  readonly tell: (store: string, message: ToApplier) => void;
  readonly control: ControlQuestion | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class WriteLives {
  readonly #world: LivesWorld;
  readonly #choice: LifeChoice;
  readonly #sampler: WriteLifeSampler;
  readonly #frontiers: ReadonlyMap<string, CopyFrontiers>;
  readonly #lanes = new Map<string, Lane>();
  #timer: Timer | undefined;

  constructor(world: LivesWorld) {
    const { config, random, clock, logger, control, tell } = world;
    this.#world = world;
    this.#choice = new LifeChoice(random);
    const expected = new Map(Object.entries(config.stores).map(([name, store]) => [name, stagesOf(store)]));
    const sampler = new WriteLifeSampler(random, { expected: (store) => expected.get(store) ?? [] });
    this.#sampler = sampler;
    this.#frontiers = new Map(
      Object.keys(config.stores).map((store) => [
        store,
        new CopyFrontiers({ store, sampler, control, clock, logger, look: () => tell(store, { type: "look-at-copies" }) }),
      ]),
    );
    this.#tick();
  }

  /** A request's writes are durable in the journal. Called for every request: what is not chosen costs next to nothing. */
  journalled(writes: readonly AcceptedWrite[], appended: readonly AppendedRecord[], times: RequestTimes): void {
    const journalledMs = this.#world.clock.monotonicMs();
    const chosen = this.#choice.choose(journalledMs - times.startedMs);
    if (chosen === undefined) return;
    const write = writes[Math.floor(this.#world.random.fraction() * writes.length)];
    const record = write === undefined ? undefined : appended[write.index];
    if (write === undefined || record === undefined) return;
    const id = this.#world.receipts.id(record.sequence);
    const { store } = write.command;
    const startMs = this.#world.clock.wallMs() - (journalledMs - times.startedMs);
    this.#sampler.begin({ id, store, startMs, atMs: times.startedMs, chosen });
    this.#sampler.pass(id, "accepted", times.acceptedMs);
    this.#sampler.pass(id, "journalled", journalledMs);
    if (this.#sampler.follows(id)) this.#laneOf(store, record.partition).open.set(record.sequence, id);
  }

  applied(message: Applied): void {
    const lane = this.#lanes.get(laneName(message));
    if (lane === undefined) return;
    const upTo = BigInt(message.upTo);
    // After a failover or restore: what stood in a commit may stand in another one now, or in none.
    if (message.timeline !== lane.timeline || upTo < lane.upTo) {
      for (const [sequence, id] of lane.committed) {
        if (sequence > upTo) this.#sampler.takeBack(id);
        lane.open.set(sequence, id);
      }
      lane.committed.clear();
    }
    lane.timeline = message.timeline;
    lane.upTo = upTo;
    if (lane.open.size === 0) return;
    const at = { atMs: this.#world.clock.monotonicMs(), lsn: message.lsn, timeline: message.timeline };
    let committed = false;
    for (const [sequence, id] of lane.open) {
      if (sequence > upTo) continue;
      lane.open.delete(sequence);
      this.#sampler.commit(id, at);
      if (!this.#sampler.follows(id)) continue;
      lane.committed.set(sequence, id);
      committed = true;
    }
    if (committed) this.#frontiers.get(message.store)?.committed();
  }

  copies(message: Copies): void {
    this.#frontiers.get(message.store)?.heard(message);
  }

  /** The write was rejected or parked: its life is another one from here on. */
  judged(sequence: bigint): void {
    this.#sampler.forget(this.#world.receipts.id(sequence));
  }

  lives(): KeptLives {
    return this.#sampler.lives();
  }

  close(): void {
    this.#timer?.clear();
    for (const frontiers of this.#frontiers.values()) frontiers.close();
  }

  #tick(): void {
    const nowMs = this.#world.clock.monotonicMs();
    this.#choice.tick(nowMs);
    this.#sampler.giveUp(nowMs);
    for (const { open, committed } of this.#lanes.values())
      for (const writes of [open, committed]) for (const [sequence, id] of writes) if (!this.#sampler.follows(id)) writes.delete(sequence);
    this.#timer = this.#world.clock.setTimer(TICK_MS, () => this.#tick(), { keepAlive: false });
  }

  #laneOf(store: string, partition: number): Lane {
    const name = laneName({ store, partition });
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { open: new Map(), committed: new Map(), upTo: -1n, timeline: 0 };
      this.#lanes.set(name, lane);
    }
    return lane;
  }
}

/** The stages that a write of the store passes. */
function stagesOf(store: StoreConfig): WriteStage[] {
  return [
    "accepted",
    "journalled",
    "committed",
    ...(store.vaults.length > 0 ? (["wal-received"] as const) : []),
    ...(store.nodes.length > 1 ? (["standby-flushed"] as const) : []),
    ...(store.vaults.some(({ archive }) => archive.stores.length > 0) ? (["archived"] as const) : []),
  ];
}

function laneName({ store, partition }: { readonly store: string; readonly partition: number }): string {
  return `${store}/${partition}`;
}
