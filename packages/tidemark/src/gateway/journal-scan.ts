import type { Sequence } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Journal, JournalRecord } from "../journal/journal.ts";
import type { CompiledCommand } from "./command-catalogue.ts";
import type { IdempotencyWindow } from "./idempotency-window.ts";
import type { DeadLetter, VerdictIndex } from "./verdict-index.ts";
import type { PartitionHeads } from "./partition-heads.ts";
import { keyDigest } from "./write-digest.ts";
import { readVerdictPayload, readWritePayload } from "./write-record.ts";

/** What is read at one time. */
const CHUNK = { records: 8_192, bytes: 8 * 1_048_576 };
const PROGRESS_MS = 2_000;
const REPLAY_MARK = Buffer.from('"replayOf":"');

/** A replay whose verdict is missing: the gateway ended between the two records. */
export interface UnfinishedReplay {
  readonly sequence: bigint;
  readonly replayedAs: bigint;
}

interface ScanParts {
  readonly journal: Journal;
  readonly window: IdempotencyWindow;
  readonly verdicts: VerdictIndex;
  readonly heads: PartitionHeads;
  readonly commands: ReadonlyMap<string, CompiledCommand>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Reads the journal once, from its oldest record to its durable end, and rebuilds what the gateway keeps in memory: the
 * idempotency keys within the window, the verdicts and the partitions' newest records. Nothing is accepted before it is
 * done, because a repeat of a key that is not known yet would become a second write.
 */
export async function scanJournal(parts: ScanParts): Promise<UnfinishedReplay[]> {
  const scan = new JournalScan(parts);
  await scan.run();
  return scan.finish();
}

class JournalScan {
  readonly #parts: ScanParts;
  readonly #windowStartMs: number;
  readonly #open = new Map<bigint, { state: DeadLetter["state"]; verdictSequence: bigint }>();
  readonly #replays = new Map<bigint, bigint>();

  constructor(parts: ScanParts) {
    this.#parts = parts;
    this.#windowStartMs = parts.clock.wallMs() - parts.window.limits.windowMs;
  }

  async run(): Promise<void> {
    const { journal, clock, logger } = this.#parts;
    const { oldest, durable } = journal.extent();
    const startedMs = clock.monotonicMs();
    let saidMs = startedMs;
    for (let next: bigint = oldest; next <= durable;) {
      const records = await journal.read(next as Sequence, durable, CHUNK);
      for (const record of records) this.#take(record);
      const last = records.at(-1);
      if (last === undefined) break;
      next = last.sequence + 1n;
      if (clock.monotonicMs() - saidMs >= PROGRESS_MS) {
        saidMs = clock.monotonicMs();
        logger.info({ at: String(next), durable: String(durable) }, "reading the journal for idempotency keys and verdicts");
      }
    }
    const elapsedMs = Math.round(clock.monotonicMs() - startedMs);
    logger.info(
      { durable: String(durable), keys: this.#parts.window.size, deadLetters: this.#open.size, elapsedMs },
      "the journal is read",
    );
  }

  #take(record: JournalRecord): void {
    this.#parts.heads.saw(record);
    if (record.kind === "verdict") return this.#takeVerdict(record);
    if (record.kind !== "write") return;
    const recent = record.acceptedAtMs > this.#windowStartMs;
    if (!recent && Buffer.from(record.payload.buffer, record.payload.byteOffset, record.payload.byteLength).indexOf(REPLAY_MARK) < 0)
      return;
    const payload = readWritePayload(record.payload);
    if (payload.replayOf !== undefined) return void this.#replays.set(BigInt(payload.replayOf), record.sequence);
    if (!recent) return;
    this.#parts.window.remember(keyDigest(payload.scope, payload.idempotencyKey), {
      contentHash: payload.contentHash,
      sequence: record.sequence,
      acceptedAtMs: record.acceptedAtMs,
    });
  }

  #takeVerdict(record: JournalRecord): void {
    const payload = readVerdictPayload(record);
    const sequence = BigInt(payload.sequence);
    if (payload.verdict === "rejected" || payload.verdict === "parked") {
      this.#open.set(sequence, { state: payload.verdict, verdictSequence: record.sequence });
    } else {
      this.#open.delete(sequence);
      this.#replays.delete(sequence);
      this.#parts.verdicts.close(sequence, { state: payload.verdict, verdictSequence: record.sequence });
    }
  }

  /** Reads the writes of what is still open, for the order of their keys. */
  async finish(): Promise<UnfinishedReplay[]> {
    for (const [sequence, { state, verdictSequence }] of this.#open) {
      this.#parts.verdicts.open(await readDeadLetter(this.#parts, { sequence, state, verdictSequence }));
    }
    return [...this.#replays].map(([sequence, replayedAs]) => ({ sequence, replayedAs }));
  }
}

/** The dead letter of a write, from its record. An open one pins trimming, so its record is there (R13). */
export async function readDeadLetter(
  parts: { journal: Journal; commands: ReadonlyMap<string, CompiledCommand> },
  verdict: Pick<DeadLetter, "sequence" | "state" | "verdictSequence">,
): Promise<DeadLetter> {
  const record = await readOne(parts.journal, verdict.sequence);
  const payload = readWritePayload(record.payload);
  const command = parts.commands.get(payload.command);
  return {
    ...verdict,
    partition: record.partition,
    store: command?.store ?? "",
    key: record.key,
    origin: await originOf(parts.journal, verdict.sequence, payload.replayOf),
    stopsKey: command?.onReject === "stop-key",
  };
}

async function originOf(journal: Journal, sequence: bigint, replayOf: string | undefined): Promise<bigint> {
  let origin = sequence;
  for (let next = replayOf; next !== undefined;) {
    origin = BigInt(next);
    if (origin < journal.extent().oldest) break;
    next = readWritePayload((await readOne(journal, origin)).payload).replayOf;
  }
  return origin;
}

/** The record at `sequence`, which must be there. */
export async function readOne(journal: Journal, sequence: bigint): Promise<JournalRecord> {
  const [record] = await journal.read(sequence as Sequence, sequence as Sequence, { records: 1, bytes: 1 });
  if (record === undefined) throw new Error(`the journal has no record ${sequence}`);
  return record;
}
