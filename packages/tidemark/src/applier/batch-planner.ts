import type { Sequence } from "@tidemark/kernel/brands";
import type { CompiledCommand } from "../gateway/command-catalogue.ts";
import type { VerdictPayload } from "../gateway/write-payload.ts";
import type { BuryStep, PendingLetter, Step } from "./database.ts";
import type { DeadLetterBook } from "./dead-letter-book.ts";
import type { DecodedRecord } from "./decoded-record.ts";
import type { KnownVerdict } from "./verdict-index.ts";

/** The most writes of one transaction. More gain nothing per write and make a failed batch, and a rewind, dearer. */
export const MOST_BATCH_WRITES = 1_000;
/** The most payload bytes of one transaction, in bytes; a single larger write goes alone. */
export const MOST_BATCH_BYTES = 2_097_152;
/** A transaction that took longer than this makes the next ones smaller, ms. */
export const LONG_BATCH_MS = 250;
/** Never fewer than this many writes by adaptation alone. */
export const FEWEST_BATCH_WRITES = 16;

type DecodedWrite = Extract<DecodedRecord, { kind: "write" }>;

/** What the planner looks things up in; nothing of it is changed. */
export interface PlanContext {
  /** The command, `elsewhere` when it belongs to another store, undefined when the configuration has none of that name. */
  readonly command: (name: string) => CompiledCommand | "elsewhere" | undefined;
  readonly verdict: (sequence: Sequence) => KnownVerdict | undefined;
  readonly letters: Pick<DeadLetterBook, "get" | "stops">;
  readonly limits: {
    readonly writes: number;
    readonly bytes: number;
    /** The batch ends before or at this record. */ readonly upTo?: Sequence;
  };
}

/** What to do next with a partition. */
export type Plan =
  /** One transaction: the position goes to `to`, `records` leave the queue. */
  | { readonly kind: "apply"; readonly to: Sequence; readonly records: number; readonly steps: readonly Step[] }
  /** These writes wait behind a stopped key; each needs a verdict first, then they are buried together. */
  | { readonly kind: "park"; readonly parks: readonly BuryStep[] }
  | { readonly kind: "unknown-command"; readonly name: string; readonly sequence: Sequence }
  | { readonly kind: "nothing" };

/**
 * Takes a batch off the front of a partition's queue: in order, ending early where what follows depends on the
 * dead letters that this batch changes.
 */
export function planBatch(queue: Iterable<DecodedRecord>, context: PlanContext): Plan {
  const { limits } = context;
  const steps: Step[] = [];
  const parks: BuryStep[] = [];
  let to: Sequence | undefined;
  let records = 0;
  let bytes = 0;
  let lettersChange = false;
  for (const item of queue) {
    const { record } = item;
    if (limits.upTo !== undefined && record.sequence > limits.upTo) break;
    if (records >= limits.writes || (records > 0 && bytes + record.payload.length > limits.bytes)) break;
    const placed = place(item, context);
    if (placed.kind === "unknown") {
      if (records === 0) return { kind: "unknown-command", name: placed.name, sequence: record.sequence };
      break;
    }
    if (placed.kind === "park") {
      if (records > 0) break;
      parks.push(placed.bury);
      if (parks.length >= limits.writes) break;
      continue;
    }
    if (parks.length > 0) break;
    if (lettersChange && placed.dependsOnLetters) break;
    steps.push(...placed.steps);
    lettersChange ||= placed.changesLetters;
    to = record.sequence;
    records++;
    bytes += record.payload.length;
  }
  if (parks.length > 0) return { kind: "park", parks };
  return to === undefined ? { kind: "nothing" } : { kind: "apply", to, records, steps };
}

type Placed =
  | { readonly kind: "steps"; readonly steps: readonly Step[]; readonly dependsOnLetters: boolean; readonly changesLetters: boolean }
  | { readonly kind: "park"; readonly bury: BuryStep }
  | { readonly kind: "unknown"; readonly name: string };

const PASS: Placed = { kind: "steps", steps: [], dependsOnLetters: false, changesLetters: false };

function place(item: DecodedRecord, context: PlanContext): Placed {
  if (item.kind === "generation") return PASS;
  if (item.kind === "verdict") {
    const sequence = BigInt(item.verdict.sequence) as Sequence;
    if (item.verdict.verdict !== "discarded") return PASS;
    return {
      kind: "steps",
      steps: [{ kind: "settle", sequence, as: "discarded", replayedAs: undefined }],
      dependsOnLetters: false,
      changesLetters: true,
    };
  }
  const command = context.command(item.write.command);
  if (command === "elsewhere") return PASS;
  const known = context.verdict(item.record.sequence);
  const replayed = item.write.replayOf === undefined ? undefined : (BigInt(item.write.replayOf) as Sequence);
  const settle: Step[] =
    replayed === undefined ? [] : [{ kind: "settle", sequence: replayed, as: "replayed", replayedAs: item.record.sequence }];
  if (known !== undefined) {
    const bury = buryStep(item, known.payload, context, known.first);
    return { kind: "steps", steps: [bury, ...settle], dependsOnLetters: false, changesLetters: true };
  }
  if (command === undefined) return { kind: "unknown", name: item.write.command };
  if (context.letters.stops(item.record.key, originOf(item, context), replayed)) {
    const payload = { sequence: String(item.record.sequence), reason: "an earlier write of its key was rejected", by: "applier" };
    return { kind: "park", bury: buryStep(item, payload, context, "parked") };
  }
  const step: Step = {
    kind: "write",
    sequence: item.record.sequence,
    key: item.record.key,
    acceptedAtMs: item.record.acceptedAtMs,
    write: item.write,
    command,
  };
  return { kind: "steps", steps: [step, ...settle], dependsOnLetters: true, changesLetters: settle.length > 0 };
}

/** The place of a write in the order of its key: its own sequence, or the origin of what it replays. */
export function originOf(item: DecodedWrite, context: Pick<PlanContext, "letters">): Sequence {
  if (item.write.replayOf === undefined) return item.record.sequence;
  const replayed = BigInt(item.write.replayOf) as Sequence;
  return context.letters.get(replayed)?.origin ?? replayed;
}

/** The dead letter of a write, for its verdict. */
export function buryStep(
  item: DecodedWrite,
  payload: Pick<VerdictPayload, "reason" | "by" | "sqlstate" | "constraint">,
  context: Pick<PlanContext, "letters" | "command">,
  state: BuryStep["state"],
): BuryStep {
  const { record, write } = item;
  const command = context.command(write.command);
  const stopsKey = state === "parked" || (state === "rejected" && typeof command === "object" && command.onReject === "stop-key");
  const letter: PendingLetter = {
    sequence: record.sequence,
    key: record.key,
    partition: record.partition,
    origin: originOf(item, context),
    stopsKey,
  };
  return {
    kind: "bury",
    letter,
    state,
    acceptedAtMs: record.acceptedAtMs,
    write,
    generation: record.generation,
    sqlstate: payload.sqlstate,
    constraint: payload.constraint,
    reason: payload.reason,
    by: payload.by,
  };
}

/** The size of the next batches, from how long the last one took. Grows and shrinks by halves; full batches only grow it. */
export function adaptBatchWrites(current: number, last: { readonly writes: number; readonly tookMs: number }): number {
  if (last.tookMs > LONG_BATCH_MS && last.writes > FEWEST_BATCH_WRITES)
    return Math.max(FEWEST_BATCH_WRITES, Math.floor(Math.min(current, last.writes) / 2));
  if (last.tookMs < LONG_BATCH_MS / 2 && last.writes >= current) return Math.min(MOST_BATCH_WRITES, current * 2);
  return current;
}
