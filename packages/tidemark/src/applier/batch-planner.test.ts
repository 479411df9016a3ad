import type { Partition, Sequence } from "@tidemark/kernel/brands";
import { describe, expect, it } from "vitest";
import type { CompiledCommand } from "../gateway/command-catalogue.ts";
import type { VerdictPayload } from "../gateway/write-payload.ts";
import { adaptBatchWrites, FEWEST_BATCH_WRITES, MOST_BATCH_WRITES, planBatch, type PlanContext } from "./batch-planner.ts";
import { DeadLetterBook } from "./dead-letter-book.ts";
import type { DecodedRecord } from "./decoded-record.ts";
import { VerdictIndex } from "./verdict-index.ts";

const command: CompiledCommand = { name: "put", store: "s", key: "/k", statements: [], onReject: "stop-key", volatile: false };
const sequence = (n: number): Sequence => BigInt(n) as Sequence;
const record = (n: number, key: string, kind: "write" | "verdict", bytes = 10): DecodedRecord["record"] => ({
  kind,
  key,
  partition: 0 as Partition,
  generation: 1,
  sequence: sequence(n),
  acceptedAtMs: 1,
  payload: new Uint8Array(bytes),
});
const write = (n: number, key = "k", more: { command?: string; replayOf?: number; bytes?: number } = {}): DecodedRecord => ({
  kind: "write",
  record: record(n, key, "write", more.bytes),
  write: {
    v: 1,
    id: `id${n}`,
    command: more.command ?? "put",
    args: {},
    idempotencyKey: `i${n}`,
    scope: "s",
    contentHash: "h",
    ...(more.replayOf === undefined ? {} : { replayOf: String(more.replayOf) }),
  },
});
const verdictOf = (of: number, verdict: VerdictPayload["verdict"]): VerdictPayload => ({
  v: 1,
  sequence: String(of),
  verdict,
  reason: "r",
  by: "t",
});
const context = (
  more: { verdicts?: VerdictPayload[]; letters?: DeadLetterBook; writes?: number; bytes?: number; upTo?: number } = {},
): PlanContext => {
  const index = new VerdictIndex();
  for (const verdict of more.verdicts ?? []) index.add(verdict);
  return {
    command: (name) => (name === "put" ? command : name === "foreign" ? "elsewhere" : undefined),
    verdict: (of) => index.of(of),
    letters: more.letters ?? new DeadLetterBook(),
    limits: { writes: more.writes ?? 100, bytes: more.bytes ?? 10_000, ...(more.upTo === undefined ? {} : { upTo: sequence(more.upTo) }) },
  };
};
const stopped = (key: string, at: number, origin = at): DeadLetterBook =>
  new DeadLetterBook([{ sequence: sequence(at), key, partition: 0 as Partition, origin: sequence(origin), stopsKey: true }]);

describe("a batch", () => {
  it("keeps the order and ends at its limits of writes, bytes and sequence", () => {
    const queue = [write(1), write(2), write(5), write(9)];
    expect(planBatch(queue, context())).toMatchObject({ kind: "apply", to: 9n, records: 4 });
    expect(planBatch(queue, context({ writes: 3 }))).toMatchObject({ to: 5n, records: 3 });
    expect(planBatch(queue, context({ bytes: 25 }))).toMatchObject({ to: 2n, records: 2 });
    expect(planBatch(queue, context({ upTo: 4 }))).toMatchObject({ to: 2n, records: 2 });
    expect(planBatch([write(1, "k", { bytes: 99_999 })], context())).toMatchObject({ records: 1 });
  });

  it("passes over writes of other stores and words about earlier ones", () => {
    const queue: DecodedRecord[] = [
      write(1, "k", { command: "foreign" }),
      { kind: "verdict", record: record(2, "", "verdict"), verdict: verdictOf(1, "replayed") },
      write(3),
    ];
    expect(planBatch(queue, context())).toMatchObject({ kind: "apply", to: 3n, records: 3, steps: [{ kind: "write", sequence: 3n }] });
  });

  it("stops before a command that the configuration does not have, and says so when it is the first", () => {
    expect(planBatch([write(1), write(2, "k", { command: "gone" })], context())).toMatchObject({ kind: "apply", to: 1n });
    expect(planBatch([write(2, "k", { command: "gone" })], context())).toEqual({ kind: "unknown-command", name: "gone", sequence: 2n });
  });

  it("buries what has a verdict, and plans nothing behind it that depends on the dead letters", () => {
    const plan = planBatch([write(1), write(2), write(3)], context({ verdicts: [verdictOf(2, "rejected")] }));
    expect(plan).toMatchObject({
      kind: "apply",
      to: 2n,
      records: 2,
      steps: [{ kind: "write" }, { kind: "bury", state: "rejected", letter: { stopsKey: true } }],
    });
  });

  it("parks the writes of a stopped key, and only those", () => {
    const letters = stopped("k", 1);
    expect(planBatch([write(3, "other"), write(4), write(5)], context({ letters }))).toMatchObject({ kind: "apply", to: 3n });
    expect(planBatch([write(4), write(5), write(6, "other")], context({ letters }))).toMatchObject({
      kind: "park",
      parks: [{ letter: { sequence: 4n } }, { letter: { sequence: 5n } }],
    });
  });

  it("lets a replay pass what it replays, and nothing of an earlier origin", () => {
    expect(planBatch([write(9, "k", { replayOf: 1 })], context({ letters: stopped("k", 1) }))).toMatchObject({
      kind: "apply",
      steps: [{ kind: "write" }, { kind: "settle", sequence: 1n, as: "replayed", replayedAs: 9n }],
    });
    // The stopper's first replay (8, of origin 1) was refused: the replay of 4 waits.
    const letters = stopped("k", 8, 1);
    letters.add({ sequence: sequence(4), key: "k", partition: 0 as Partition, origin: sequence(4), stopsKey: true });
    expect(planBatch([write(9, "k", { replayOf: 4 })], context({ letters }))).toMatchObject({
      kind: "park",
      parks: [{ letter: { origin: 4n } }],
    });
  });

  it("grows while full batches are quick and shrinks when one was long", () => {
    expect(adaptBatchWrites(128, { writes: 128, tookMs: 10 })).toBe(256);
    expect(adaptBatchWrites(128, { writes: 3, tookMs: 1 })).toBe(128);
    expect(adaptBatchWrites(800, { writes: 800, tookMs: 900 })).toBe(400);
    expect(adaptBatchWrites(MOST_BATCH_WRITES, { writes: MOST_BATCH_WRITES, tookMs: 1 })).toBe(MOST_BATCH_WRITES);
    expect(adaptBatchWrites(20, { writes: 20, tookMs: 900 })).toBe(FEWEST_BATCH_WRITES);
    expect(adaptBatchWrites(1_000, { writes: 1, tookMs: 9_000 })).toBe(1_000);
  });
});

describe("the index of verdicts", () => {
  it("keeps the word that says what a write was when its turn came, in whatever order the words are read", () => {
    const index = new VerdictIndex();
    for (const verdict of ["replayed", "parked", "discarded"] as const) index.add(verdictOf(7, verdict));
    expect(index.of(sequence(7))?.first).toBe("parked");
    index.add(verdictOf(8, "rejected"));
    index.add(verdictOf(8, "discarded"));
    expect(index.of(sequence(8))?.first).toBe("rejected");
    index.add(verdictOf(9, "discarded"));
    expect(index.of(sequence(9))?.first).toBe("discarded");
  });
});
