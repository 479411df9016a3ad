import type { Sequence } from "@tidemark/kernel/brands";
import { assert } from "@tidemark/kernel/errors";
import type { PartitionProgress } from "./apply-rules.ts";
import type { PositionMove } from "./database.ts";
import { DeadLetterBook } from "./dead-letter-book.ts";
import type { DecodedRecord } from "./decoded-record.ts";
import { beginsAtMs } from "./lane-pace.ts";
import { PartitionLane } from "./partition-lane.ts";
import type { LoadedPositions } from "./position-load.ts";
import { BASE_PARTITION } from "./schema.ts";

/** The most records in hand over all partitions, and their payload bytes; at either limit reading pauses until some are committed. */
export const MOST_RECORDS_IN_HAND = 20_000;
export const MOST_BYTES_IN_HAND = 33_554_432;

/** All partitions of a run, and what is in hand of them. */
export class LaneBoard {
  readonly lanes = new Map<number, PartitionLane>();
  /** Where partitions without a row stand. */
  base: Sequence = 0n as Sequence;
  generation = 1;
  letters = new DeadLetterBook();
  /** Every record up to here is in a lane, or committed. It moves when a record is placed, not when it is read. */
  placedUpTo = 0n;
  #inHand = 0;
  #bytesInHand = 0;

  /** @param known partitions that stood higher before a rewind: they stand at the base again. */
  load(positions: LoadedPositions, known: Iterable<number>): void {
    this.generation = positions.generation;
    this.base = positions.base;
    for (const row of positions.rows) {
      this.lanes.set(row.partition, new PartitionLane({ ...row, hasRow: true, position: row.sequence }));
    }
    for (const partition of known) if (!this.lanes.has(partition)) this.#add(partition);
    this.placedUpTo = this.lowest();
  }

  /** The smallest position: everything up to here is committed in every partition. */
  lowest(): bigint {
    let lowest: bigint = this.base;
    for (const lane of this.lanes.values()) if (lane.position < lowest) lowest = lane.position;
    return lowest;
  }

  get full(): boolean {
    return this.#inHand >= MOST_RECORDS_IN_HAND || this.#bytesInHand >= MOST_BYTES_IN_HAND;
  }

  /** Nothing in hand and nobody at work. */
  get quiet(): boolean {
    return this.#inHand === 0 && !this.#atWork();
  }

  /** Puts a record in its lane, unless the lane is past it. */
  place(item: DecodedRecord): void {
    const { partition, generation, sequence, payload } = item.record;
    if (generation >= this.generation) {
      assert(generation === this.generation, `record ${sequence} is of generation ${generation}, lanes of ${this.generation}`);
      const lane = this.lanes.get(partition) ?? this.#add(partition);
      if (sequence > lane.position) {
        lane.push(item);
        this.#inHand++;
        this.#bytesInHand += payload.length;
      }
    }
    this.placedUpTo = sequence;
  }

  /** Takes committed records out of the lane. */
  committed(lane: PartitionLane, done: { readonly to: Sequence; readonly records: number; readonly tookMs: number }): void {
    const bytes = lane.committed(done.to, done.records, { writes: done.records, tookMs: done.tookMs });
    this.#inHand -= done.records;
    this.#bytesInHand -= bytes;
  }

  /**
   * The lane that has waited longest of those that can go on; `mayJudge` says so of those that are held. Without one, when to look
   * again for those that gather a batch.
   */
  next(nowMs: number, mayJudge: (lane: PartitionLane) => boolean): { readonly lane?: PartitionLane; readonly againMs?: number } {
    const othersAtWork = this.#atWork();
    let againMs = Infinity;
    for (const lane of this.lanes.values()) {
      if (lane.busy || lane.length === 0 || lane.notBeforeMs > nowMs) continue;
      if (lane.isHeld && !mayJudge(lane)) continue;
      const beginsMs = beginsAtMs(lane, othersAtWork);
      if (beginsMs > nowMs) {
        againMs = Math.min(againMs, beginsMs);
        continue;
      }
      // The map is in the order of the last turns.
      this.lanes.delete(lane.partition);
      this.lanes.set(lane.partition, lane);
      lane.beganMs = nowMs;
      return { lane };
    }
    return againMs === Infinity ? {} : { againMs };
  }

  #atWork(): boolean {
    for (const lane of this.lanes.values()) if (lane.busy) return true;
    return false;
  }

  /** How all lanes but one stand. */
  others(than: PartitionLane): PartitionProgress[] {
    const progress: PartitionProgress[] = [];
    for (const lane of this.lanes.values()) {
      if (lane !== than) {
        progress.push({ partition: lane.partition, position: lane.position, head: lane.head?.record.sequence });
      }
    }
    return progress;
  }

  /** The moves that end this generation at its successor's record (R12). The board must be quiet. */
  movesTo(at: Sequence, generation: number): PositionMove[] {
    const moves = [...this.lanes.values()].map((lane) => lane.move(at));
    moves.push({ generation: this.generation, partition: BASE_PARTITION, from: this.base, to: at });
    moves.push({ generation, partition: BASE_PARTITION, from: undefined, to: at });
    return moves;
  }

  /** The moves have been committed. */
  begin(at: Sequence, generation: number): void {
    this.lanes.clear();
    this.base = at;
    this.generation = generation;
    this.placedUpTo = at;
  }

  #add(partition: number): PartitionLane {
    const lane = new PartitionLane({ partition, generation: this.generation, position: this.base, hasRow: false });
    this.lanes.set(partition, lane);
    return lane;
  }
}
