import { describe, expect, it } from "vitest";
import type { LedgerEntry } from "../ledger/ledger-entry.ts";
import type { TableRow } from "../verdict/table-row.ts";
import { firstCommitAfter, latencyByPhase, longestPause, percentile, timelineOf, type Marks } from "./figures.ts";

const marks: Marks = { startMs: 0, faultBeganMs: 1_000, faultEndedMs: 1_005, healedMs: 2_000, endMs: 3_000 };
const entry = (scheduledAtMs: number, latencyMs?: number): LedgerEntry => ({
  intent: {
    n: scheduledAtMs,
    purpose: "order",
    order: `o-${scheduledAtMs}`,
    customer: "c",
    amountCents: 1,
    idempotencyKey: "k",
    scheduledAtMs,
  },
  answer:
    latencyMs === undefined
      ? { n: scheduledAtMs, kind: "refused", status: 503, code: "X", atMs: scheduledAtMs, latencyMs: 1, attempts: 1 }
      : {
          n: scheduledAtMs,
          kind: "acknowledged",
          receipt: { id: "i", frozenId: "f", journal: "j", partition: 0, sequence: "1" },
          atMs: scheduledAtMs + latencyMs,
          latencyMs,
          attempts: 1,
        },
});
const row = (committedAtMs: number): TableRow => ({
  order: "o",
  customer: "c",
  amountCents: 1,
  frozenId: "f",
  rowId: 1,
  transaction: "1",
  committedAtMs,
});

describe("the figures of a run", () => {
  it("take the nearest rank as a percentile", () => {
    expect([percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 0.99), percentile([7], 0.5), percentile([], 0.5)]).toEqual([
      2,
      4,
      7,
      undefined,
    ]);
  });

  it("count a late answer in the phase in which the write was due", () => {
    const figures = latencyByPhase([entry(500, 1), entry(999, 1_500), entry(1_500, 400), entry(1_600), entry(2_500, 2)], marks);
    expect(figures.before).toEqual({ acknowledged: 2, p50Ms: 1, p99Ms: 1_500, maxMs: 1_500, refused: 0, unanswered: 0 });
    expect(figures.during).toMatchObject({ acknowledged: 1, maxMs: 400, refused: 1 });
    expect(figures.after).toMatchObject({ acknowledged: 1, maxMs: 2 });
  });

  it("measure recovery from the fault to the first commit after its last signal", () => {
    expect(firstCommitAfter([row(900), row(1_003), row(1_450), row(1_460)], marks)).toEqual({ ms: 450, fromMs: 1_003, toMs: 1_450 });
    expect(firstCommitAfter([row(900)], marks)).toBeUndefined();
  });

  it("find the longest pause after the fault, and none before it", () => {
    expect(longestPause([0, 700, 990, 1_200, 1_210, 2_100], marks)).toEqual({ ms: 890, fromMs: 1_210, toMs: 2_100 });
    expect(longestPause([0, 100, 990], marks)).toBeUndefined();
    expect(longestPause([0, 900, 1_100], marks)).toEqual({ ms: 100, fromMs: 900, toMs: 1_100 });
  });

  it("put every acknowledgement and commit into its slice", () => {
    const timeline = timelineOf([entry(50, 10), entry(60, 100), entry(2_990, 5)], [row(10), row(1_450)], marks);
    expect(timeline.sliceMs).toBe(100);
    expect(timeline.acknowledged.slice(0, 2)).toEqual([1, 1]);
    expect(timeline.maxMs[0]).toBe(100);
    expect(timeline.maxMs[5]).toBeNull();
    expect([timeline.committed[0], timeline.committed[14], timeline.acknowledged.length]).toEqual([1, 1, 30]);
  });
});
