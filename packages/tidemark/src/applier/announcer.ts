import type { Epoch, Sequence, Timeline } from "@tidemark/kernel/brands";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { ApplierState } from "./applier-link.ts";
import type { CommitFacts, StreamingCopy } from "./database.ts";
import type { GatewayLink } from "./gateway-link.ts";
import type { PartitionLane } from "./partition-lane.ts";

/**
 * Says to the gateway what took effect (R14) and how the applier is. It remembers the highest position announced of each
 * partition, over all connections: below it a partition heals, and a write that is refused there is an incident (R13).
 */
export class Announcer {
  readonly #store: string;
  readonly #link: GatewayLink;
  readonly #highest = new Map<number, Sequence>();
  #state = "";

  constructor(world: { store: string; link: GatewayLink }) {
    this.#store = world.store;
    this.#link = world.link;
  }

  /** The highest position that was ever announced for the partition. */
  highest(partition: number): Sequence {
    return this.#highest.get(partition) ?? (0n as Sequence);
  }

  partitions(): Iterable<number> {
    return this.#highest.keys();
  }

  /** A proven commit covers the lane's position. */
  applied(
    lane: PartitionLane,
    proof: { facts: CommitFacts; epoch: Epoch; timeline: Timeline; committedAtMs: number; provisional: boolean },
  ): void {
    const answers = lane.answers;
    lane.answers = [];
    lane.unannounced = false;
    if (lane.position > this.highest(lane.partition)) this.#highest.set(lane.partition, lane.position);
    this.#link.send({
      type: "applied",
      store: this.#store,
      partition: lane.partition,
      upTo: String(lane.position),
      lsn: formatLsn(proof.facts.lsn),
      timeline: proof.timeline,
      epoch: proof.epoch,
      committedAtMs: proof.committedAtMs,
      provisional: proof.provisional,
      answers,
    });
  }

  state(state: ApplierState): void {
    const { sinceMs: _, ...said } = { sinceMs: 0, ...state };
    const text = JSON.stringify(said);
    if (text === this.#state) return;
    this.#state = text;
    this.#link.send({ type: "state", store: this.#store, state });
  }

  incident(sequence: string, code: string, message: string): void {
    this.#link.send({ type: "incident", store: this.#store, sequence, code, message });
  }

  copies(timeline: Timeline, copies: readonly StreamingCopy[]): void {
    const flushed = copies.map((copy) => ({ name: copy.name, flushed: formatLsn(copy.flushed) }));
    this.#link.send({ type: "copies", store: this.#store, timeline, copies: flushed });
  }

  trimSafe(upTo: Sequence, timeline: Timeline): void {
    this.#link.send({ type: "trim-safe", store: this.#store, upTo: String(upTo), timeline });
  }
}
