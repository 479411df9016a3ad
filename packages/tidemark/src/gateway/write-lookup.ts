import type { Journal } from "../journal/journal.ts";
import type { Outcomes } from "./outcomes.ts";
import type { ReceiptWriter } from "./receipt.ts";
import type { VerdictIndex } from "./verdict-index.ts";
import { appliedMembers, verdictFacts, type WriteService } from "./write-service.ts";

/**
 * What became of a write: `journalled`, `applied`, `rejected`, `parked`, `discarded` or `replayed`. A rejected or parked
 * one is a dead letter until it is replayed or discarded.
 */
export class WriteLookup {
  readonly #parts: { journal: Journal; outcomes: Outcomes; verdicts: VerdictIndex; receipts: ReceiptWriter; writes: WriteService };

  constructor(parts: { journal: Journal; outcomes: Outcomes; verdicts: VerdictIndex; receipts: ReceiptWriter; writes: WriteService }) {
    this.#parts = parts;
  }

  /**
   * JSON about the write, or undefined when no write has this id. One that is journalled is waited for, `waitMs` at most:
   * until it is applied or judged. Rejects with TM-JOURNAL-TRIMMED when it was forgotten meanwhile.
   */
  async find(id: string, waitMs = 0): Promise<string | undefined> {
    const { journal, verdicts, outcomes, receipts, writes } = this.#parts;
    const sequence = receipts.sequenceOf(id);
    const extent = journal.extent();
    if (sequence === undefined || sequence > extent.durable) return undefined;
    if (sequence < extent.oldest) return this.trimmed(id);
    const record = await writes.record(sequence);
    if (record === undefined) return undefined;
    const facts = writes.factsOf(record);
    const head = `{${receipts.members(facts)}`;
    const known = verdicts.find(sequence);
    if (known !== undefined) {
      const verdict = await writes.verdict(known.verdictSequence);
      const deadLetter = known.state === "rejected" || known.state === "parked";
      const replayed = verdict.replayedAs === undefined ? "" : `,"replayedAs":"${receipts.id(BigInt(verdict.replayedAs))}"`;
      return `${head},"status":"${known.state}","deadLetter":${deadLetter}${replayed},"verdict":${JSON.stringify(verdictFacts(verdict))}}`;
    }
    const place = { store: facts.store, partition: facts.partition, sequence };
    const outcome = waitMs > 0 ? await outcomes.wait(place, waitMs) : outcomes.find(place);
    if (outcome.kind === "verdict") return this.find(id);
    return outcome.kind === "applied" ? `${head},${appliedMembers(outcome)}}` : `${head},"status":"journalled"}`;
  }

  /** What is left of a write that the journal has forgotten: it was applied in every demanded copy, or it would still be here (TRIM-SAFE). */
  trimmed(id: string): string {
    return JSON.stringify({
      id,
      status: "applied",
      trimmed: true,
      applied: { lsn: null, note: "older than what the journal keeps: in every demanded copy of the database, or settled by an operator" },
    });
  }
}
