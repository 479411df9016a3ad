import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { AuditRecord } from "../audit/audit-entry.ts";
import type { Journal, JournalEntry } from "../journal/journal.ts";
import { readOne, type UnfinishedReplay } from "./journal-scan.ts";
import type { PartitionHeads } from "./partition-heads.ts";
import { problem, ProblemError } from "./problem.ts";
import type { ReceiptWriter } from "./receipt.ts";
import type { DeadLetter, VerdictIndex } from "./verdict-index.ts";
import type { VerdictJournal } from "./verdict-journal.ts";
import { verdictFacts } from "./write-service.ts";
import { encodePayload, readVerdictPayload, readWritePayload } from "./write-record.ts";

/** Where decisions of people are kept; resolves when the entry is durable. */
export interface AuditPort {
  append(record: AuditRecord): Promise<unknown>;
}

/** Dead letters of one page at most. */
export const MOST_PER_PAGE = 500;

/** Who decided, and why. */
export interface Decree {
  readonly by: string;
  readonly reason: string;
}

interface DeadLetterParts {
  readonly journal: Journal;
  readonly verdicts: VerdictIndex;
  readonly heads: PartitionHeads;
  readonly verdictJournal: VerdictJournal;
  readonly receipts: ReceiptWriter;
  readonly audit: AuditPort;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * What people do with writes that the database refused for good. A replay is a new record (R13), and so is each write
 * that had waited behind it: they go into the journal in the order of their key, in one append. The applier takes a
 * write of a key only when no dead letter before it is open, so a write that was journalled meanwhile is parked too, and
 * follows as soon as its verdict comes ({@link DeadLetters.released}).
 */
export class DeadLetters {
  readonly #parts: DeadLetterParts;
  /** Letters that are being replayed or discarded; a second attempt meanwhile is refused. */
  readonly #closing = new Set<bigint>();

  constructor(parts: DeadLetterParts) {
    this.#parts = parts;
  }

  /** A page of the open ones after the write `after`, with their content and reason. */
  async page(after: string | undefined, limit: number): Promise<{ items: object[]; next: string | null }> {
    const { verdicts, receipts } = this.#parts;
    const from = after === undefined ? 0n : receipts.sequenceOf(after);
    if (from === undefined)
      throw new ProblemError(problem("TM-GATEWAY-INVALID", "after: is not an id of this journal", { field: "/after" }));
    const letters = verdicts.page(from, limit + 1);
    const items: object[] = [];
    for (const letter of letters.slice(0, limit)) items.push(await this.#describe(letter));
    const last = letters[limit - 1];
    return { items, next: letters.length > limit && last !== undefined ? receipts.id(last.sequence) : null };
  }

  /** Gives a rejected write another chance, and lets what waited behind it follow. Returns the ids of the new records. */
  async replay(id: string, decree: Decree): Promise<{ replayedAs: string; released: string[] }> {
    const letter = this.#rejectedOnly(id);
    const [first, ...rest] = await this.#closingAll([letter, ...this.#waitingBehind(letter)], async (letters) => {
      await this.#parts.audit.append({
        who: decree.by,
        action: "replay-write",
        subject: id,
        reason: decree.reason,
        facts: { released: letters.length - 1 },
      });
      return this.#replayInOrder(letters, decree);
    });
    return { replayedAs: this.#parts.receipts.id(first ?? 0n), released: rest.map((sequence) => this.#parts.receipts.id(sequence)) };
  }

  /** Gives a write up for good, and lets what waited behind it follow. Returns the ids of the new records. */
  async discard(id: string, decree: Decree): Promise<{ released: string[] }> {
    const letter = this.#openOnly(id);
    const released = await this.#closingAll([letter, ...this.#waitingBehind(letter)], async ([, ...waiting]) => {
      await this.#parts.audit.append({
        who: decree.by,
        action: "discard-write",
        subject: id,
        reason: decree.reason,
        facts: { released: waiting.length },
      });
      await this.#parts.verdictJournal.record(letter.partition, {
        v: 1,
        sequence: String(letter.sequence),
        verdict: "discarded",
        reason: decree.reason,
        by: decree.by,
      });
      return this.#replayInOrder(waiting, decree);
    });
    return { released: released.map((sequence) => this.#parts.receipts.id(sequence)) };
  }

  /** A write was just parked: when what it waited for is no longer a dead letter, it follows at once. */
  async released(sequence: bigint): Promise<void> {
    const letter = this.#parts.verdicts.letter(sequence);
    if (letter?.state === "parked") await this.#sweep(letter);
  }

  /** Replays the parked writes of a key that nothing open stops any more. Those that are being closed still stop it; whoever closes them sweeps again. */
  async #sweep({ store, key }: Pick<DeadLetter, "store" | "key">): Promise<void> {
    const letters = this.#parts.verdicts.ofKey(store, key);
    const stop = letters.findIndex((letter) => this.#closing.has(letter.sequence) || (letter.state === "rejected" && letter.stopsKey));
    const free = (stop < 0 ? letters : letters.slice(0, stop)).filter((letter) => letter.state === "parked");
    if (free.length === 0) return;
    await this.#closingAll(free, (all) =>
      this.#replayInOrder(all, { by: "gateway", reason: "the write that it waited for was replayed or discarded" }),
    );
  }

  /** After a start: journals the verdicts of replays that stand without one, and lets parked writes follow that nothing stops any more. */
  async resume(unfinished: readonly UnfinishedReplay[]): Promise<void> {
    for (const { sequence, replayedAs } of unfinished) {
      const letter = this.#parts.verdicts.letter(sequence);
      if (letter !== undefined)
        await this.#markReplayed(letter, replayedAs, { by: "gateway", reason: "replayed before the gateway was started again" });
    }
    for (const letter of this.#parts.verdicts.page(0n, Number.MAX_SAFE_INTEGER))
      if (letter.state === "parked") await this.released(letter.sequence);
  }

  async #describe(letter: DeadLetter): Promise<object> {
    const { journal, receipts } = this.#parts;
    const record = await readOne(journal, letter.sequence);
    const payload = readWritePayload(record.payload);
    const verdict = readVerdictPayload(await readOne(journal, letter.verdictSequence));
    return {
      id: receipts.id(letter.sequence),
      status: letter.state,
      command: payload.command,
      store: letter.store,
      key: record.key,
      args: payload.args,
      frozenId: payload.id,
      idempotencyKey: payload.idempotencyKey,
      acceptedAt: new Date(record.acceptedAtMs).toISOString(),
      ...(payload.replayOf === undefined ? {} : { replayOf: receipts.id(BigInt(payload.replayOf)) }),
      ...(letter.stopsKey ? { stopsKey: true } : {}),
      verdict: verdictFacts(verdict),
    };
  }

  #openOnly(id: string): DeadLetter {
    const sequence = this.#parts.receipts.sequenceOf(id);
    const letter = sequence === undefined ? undefined : this.#parts.verdicts.letter(sequence);
    if (letter === undefined)
      throw new ProblemError(problem("TM-GATEWAY-NOT-A-DEAD-LETTER", `${id.slice(0, 64)} is not among the open dead letters`));
    if (this.#closing.has(letter.sequence))
      throw new ProblemError(problem("TM-GATEWAY-NOT-A-DEAD-LETTER", `${id} is being replayed or discarded already`));
    return letter;
  }

  #rejectedOnly(id: string): DeadLetter {
    const letter = this.#openOnly(id);
    if (letter.state === "rejected") return letter;
    const stopper = this.#parts.verdicts.ofKey(letter.store, letter.key).find((other) => other.state === "rejected");
    const behind = stopper === undefined ? "another write of its key" : this.#parts.receipts.id(stopper.sequence);
    throw new ProblemError(problem("TM-GATEWAY-NOT-A-DEAD-LETTER", `${id} waits behind ${behind}; replay or discard that one`));
  }

  /** The parked writes that follow once `letter` is out of the way: those after it, up to the next rejected one of the key. */
  #waitingBehind(letter: DeadLetter): DeadLetter[] {
    if (!letter.stopsKey || letter.state !== "rejected") return [];
    const letters = this.#parts.verdicts
      .ofKey(letter.store, letter.key)
      .filter((other) => other.sequence !== letter.sequence && !this.#closing.has(other.sequence));
    const nextStop = letters.findIndex((other) => other.state === "rejected" && other.stopsKey);
    return nextStop < 0 ? letters : letters.slice(0, nextStop);
  }

  /** Runs `work` while nobody else may touch the letters. */
  async #closingAll<T>(letters: readonly DeadLetter[], work: (letters: readonly DeadLetter[]) => Promise<T>): Promise<T> {
    for (const letter of letters) this.#closing.add(letter.sequence);
    let result;
    try {
      result = await work(letters);
    } finally {
      for (const letter of letters) this.#closing.delete(letter.sequence);
    }
    const [first] = letters;
    if (first !== undefined) await this.#sweep(first);
    return result;
  }

  /** One append for all new records, then their verdicts. A stop in between is mended by {@link resume}. */
  async #replayInOrder(letters: readonly DeadLetter[], decree: Decree): Promise<bigint[]> {
    if (letters.length === 0) return [];
    const entries: JournalEntry[] = [];
    for (const letter of letters) entries.push(await this.#replayEntry(letter));
    const appended = await this.#parts.journal.append(entries);
    for (const record of appended) this.#parts.heads.saw(record);
    for (const [index, letter] of letters.entries()) await this.#markReplayed(letter, appended[index]?.sequence ?? 0n, decree);
    this.#parts.logger.info({ by: decree.by, writes: letters.map((letter) => String(letter.sequence)) }, "dead letters were replayed");
    return appended.map((record) => record.sequence);
  }

  /** The same write once more: same frozen id, same idempotency key (the refused one never took it), new place and time. */
  async #replayEntry(letter: DeadLetter): Promise<JournalEntry> {
    const record = await readOne(this.#parts.journal, letter.sequence);
    const payload = { ...readWritePayload(record.payload), replayOf: String(letter.sequence) };
    return { kind: "write", key: record.key, acceptedAtMs: Math.floor(this.#parts.clock.wallMs()), payload: encodePayload(payload) };
  }

  async #markReplayed(letter: DeadLetter, replayedAs: bigint, decree: Decree): Promise<void> {
    await this.#parts.verdictJournal.record(letter.partition, {
      v: 1,
      sequence: String(letter.sequence),
      verdict: "replayed",
      reason: decree.reason,
      by: decree.by,
      replayedAs: String(replayedAs),
    });
  }
}
