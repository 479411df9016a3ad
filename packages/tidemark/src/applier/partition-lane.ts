import type { Sequence } from "@tidemark/kernel/brands";
import type { WriteAnswer } from "./applier-link.ts";
import { adaptBatchWrites, MOST_BATCH_BYTES, MOST_BATCH_WRITES, type PlanContext } from "./batch-planner.ts";
import type { PositionMove, Step } from "./database.ts";
import type { DecodedRecord } from "./decoded-record.ts";
import type { Trouble } from "./trouble-table.ts";

/** A first wait after a trouble that passes, and the longest, ms. */
export const FIRST_DELAY_MS = 10;
export const MOST_DELAY_MS = 2_000;

/** Steps whose verdicts are durable: they go in one transaction that moves the position to `to`. */
export interface Decided {
  readonly to: Sequence;
  readonly records: number;
  readonly steps: readonly Step[];
}

/** One partition of a run: what is in hand of it and how it stands (docs/write-protocol.md, section 4). */
export class PartitionLane {
  readonly partition: number;
  readonly generation: number;
  position: Sequence;
  /** Whether the partition has a row of its own already. */
  hasRow: boolean;
  /** A worker, the barrier or a verdict request has it. */
  busy = false;
  /** The write that failed with an error of its own: everything before it goes first, then it goes alone. */
  suspect: Sequence | undefined;
  /** The suspect failed alone: it is tried again when every other partition has passed it (R13). */
  held: Trouble | undefined;
  /** Verdicts were journalled; to be committed. */
  decided: Decided | undefined;
  /** Not before this moment of the monotonic clock. */
  notBeforeMs = 0;
  /** When its last transaction began, on the monotonic clock. */
  beganMs = -Infinity;
  /** Committed and not yet announced: a commit without proof came (R14). */
  unannounced = false;
  answers: WriteAnswer[] = [];
  /** The position when the barrier looked last: a lane that has not moved since is idle. */
  positionAtBarrier: Sequence;
  #queue: DecodedRecord[] = [];
  #head = 0;
  #awaited = 0;
  #batchWrites = 128;
  /** COMMIT failed: batches are halved until the write is found, up to this record. */
  #halving: { writes: number; upTo: Sequence } | undefined;
  #delayMs = FIRST_DELAY_MS;

  constructor(at: { partition: number; generation: number; position: Sequence; hasRow: boolean }) {
    this.partition = at.partition;
    this.generation = at.generation;
    this.position = at.position;
    this.positionAtBarrier = at.position;
    this.hasRow = at.hasRow;
  }

  get length(): number {
    return this.#queue.length - this.#head;
  }

  /** Records in hand whose writer waits until they are applied. */
  get awaited(): number {
    return this.#awaited;
  }

  /** It has a write to find, to judge or to bury. */
  get troubled(): boolean {
    return this.suspect !== undefined || this.decided !== undefined || this.#halving !== undefined;
  }

  get head(): DecodedRecord | undefined {
    return this.#queue[this.#head];
  }

  /** Waits for other partitions: its suspect is at the head, failed alone, and no verdict is there. */
  get isHeld(): boolean {
    return this.held !== undefined && this.decided === undefined && this.head?.record.sequence === this.suspect;
  }

  /** The move of the position to `to`. */
  move(to: Sequence): PositionMove {
    const from = this.hasRow ? this.position : undefined;
    return { generation: this.generation, partition: this.partition, from, to };
  }

  push(record: DecodedRecord): void {
    this.#queue.push(record);
    if (isAwaited(record)) this.#awaited++;
  }

  *records(): Generator<DecodedRecord> {
    for (let i = this.#head; i < this.#queue.length; i++) yield this.#queue[i] as DecodedRecord;
  }

  /** How much the next batch may take. */
  limits(): PlanContext["limits"] {
    const bytes = MOST_BATCH_BYTES;
    const head = this.head?.record.sequence;
    if (this.suspect !== undefined && head !== undefined) {
      if (head >= this.suspect) return { writes: 1, bytes };
      return { writes: MOST_BATCH_WRITES, bytes, upTo: (this.suspect - 1n) as Sequence };
    }
    if (this.#halving !== undefined) return { writes: this.#halving.writes, bytes, upTo: this.#halving.upTo };
    return { writes: this.#batchWrites, bytes };
  }

  /** After a commit: the records leave the queue. Answers how many payload bytes they held. */
  committed(to: Sequence, records: number, took: { writes: number; tookMs: number }): number {
    this.position = to;
    this.hasRow = true;
    this.decided = undefined;
    this.#delayMs = FIRST_DELAY_MS;
    if (this.suspect !== undefined && to >= this.suspect) {
      this.suspect = undefined;
      this.held = undefined;
    }
    if (this.#halving !== undefined && to >= this.#halving.upTo) this.#halving = undefined;
    this.#batchWrites = adaptBatchWrites(this.#batchWrites, took);
    return this.#drop(records);
  }

  /** A write of the lane was found at fault. */
  suspectWrite(sequence: Sequence): void {
    this.suspect = sequence;
    this.#halving = undefined;
  }

  /** COMMIT refused `writes` writes up to `upTo` as a whole. */
  halve(writes: number, upTo: Sequence): void {
    const until = this.#halving === undefined || this.#halving.upTo < upTo ? upTo : this.#halving.upTo;
    this.#halving = { writes: Math.max(1, Math.floor(writes / 2)), upTo: until };
  }

  /** The next delay, ms: doubling up to {@link MOST_DELAY_MS}, back to the first with a commit. */
  delay(nowMs: number): number {
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(MOST_DELAY_MS, delayMs * 2);
    this.notBeforeMs = nowMs + delayMs;
    return delayMs;
  }

  #drop(records: number): number {
    let bytes = 0;
    for (let i = 0; i < records; i++) {
      const gone = this.#queue[this.#head + i];
      bytes += gone?.record.payload.length ?? 0;
      if (gone !== undefined && isAwaited(gone)) this.#awaited--;
    }
    this.#head += records;
    if (this.#head > 4_096 || this.#head >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return bytes;
  }
}

function isAwaited(item: DecodedRecord): boolean {
  return item.kind === "write" && item.write.rows === true;
}
