import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { JournalId, Partition, Sequence } from "@tidemark/kernel/brands";
import { decodeRecord } from "./decoded-record.ts";
import { LaneBoard } from "./lane-board.ts";
import { beginsAtMs, GOOD_BATCH_WRITES, PACE_MS, type PacedLane } from "./lane-pace.ts";
import type { PartitionLane } from "./partition-lane.ts";

const idle: PacedLane = { beganMs: 100, length: 1, awaited: 0, troubled: false };

describe("the pace of a partition", () => {
  it("is held while others are at work, and by nobody who is alone, awaited, in trouble, or has a good batch", () => {
    expect(beginsAtMs(idle, true)).toBe(100 + PACE_MS);
    expect(beginsAtMs(idle, false)).toBe(0);
    expect(beginsAtMs({ ...idle, awaited: 1 }, true)).toBe(0);
    expect(beginsAtMs({ ...idle, troubled: true }, true)).toBe(0);
    expect(beginsAtMs({ ...idle, length: GOOD_BATCH_WRITES }, true)).toBe(0);
  });
});

describe("the board", () => {
  const judge = (): boolean => false;

  /** Records in turn over the partitions, from sequence 1. */
  function board(count: number, options: { partitions: number; rows?: boolean }): LaneBoard {
    const made = new LaneBoard();
    const journal = randomUUID() as JournalId;
    for (let i = 1; i <= count; i++) {
      const payload = { v: 1, id: randomUUID(), command: "c", args: {}, idempotencyKey: String(i), scope: "s", contentHash: "" };
      made.place(
        decodeRecord({
          journal,
          kind: "write",
          sequence: BigInt(i) as Sequence,
          generation: 1,
          partition: (i % options.partitions) as Partition,
          key: "k",
          acceptedAtMs: 0,
          payload: Buffer.from(JSON.stringify(options.rows === true ? { ...payload, rows: true } : payload)),
        } as Parameters<typeof decodeRecord>[0]),
      );
    }
    return made;
  }

  function begin(made: LaneBoard, nowMs: number): PartitionLane {
    const { lane } = made.next(nowMs, judge);
    if (lane === undefined) throw new Error("no lane could begin");
    lane.busy = true;
    return lane;
  }

  it("lets each idle partition begin at once, whoever is at work", () => {
    const made = board(6, { partitions: 3 });
    expect(new Set([begin(made, 5), begin(made, 5), begin(made, 5)]).size).toBe(3);
    expect(made.next(5, judge)).toEqual({});
  });

  it("says when one that gathers may begin, and lets it begin then", () => {
    const made = board(6, { partitions: 2 });
    const first = begin(made, 5);
    made.committed(first, { to: first.head?.record.sequence as Sequence, records: 1, tookMs: 1 });
    first.busy = false;
    const second = begin(made, 6);
    expect(second).not.toBe(first);
    expect(made.next(7, judge)).toEqual({ againMs: 5 + PACE_MS });
    expect(made.next(5 + PACE_MS, judge).lane).toBe(first);
  });

  it("holds nobody back once the others are done", () => {
    const made = board(6, { partitions: 2 });
    const first = begin(made, 5);
    first.busy = false;
    const second = begin(made, 6);
    second.busy = false;
    expect(made.next(7, judge).lane).toBe(first);
  });

  it("holds nobody back for whom somebody waits, and knows when nobody does any more", () => {
    const made = board(4, { partitions: 2, rows: true });
    const first = begin(made, 5);
    expect(first.awaited).toBe(2);
    made.committed(first, { to: first.head?.record.sequence as Sequence, records: 1, tookMs: 1 });
    expect(first.awaited).toBe(1);
    first.busy = false;
    begin(made, 6);
    expect(made.next(7, judge).lane).toBe(first);
  });
});
