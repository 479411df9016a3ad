import type { Sequence } from "@tidemark/kernel/brands";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import type { JournalReader, JournalRecord } from "../journal/journal.ts";
import { decodeRecord, type DecodedRecord } from "./decoded-record.ts";
import { MOST_VERDICTS, type VerdictIndex } from "./verdict-index.ts";

/** Of one read. */
const READ_LIMITS = { records: 4_096, bytes: 4_194_304 };

/** The durable frontier that the gateway told, shared by everything that reads. */
export interface Frontier {
  readonly durable: Sequence;
}

/**
 * Reads the journal in order from a position to the durable frontier, learns the verdicts on the way, and hands the
 * records out. Faults of the journal are FAIL-STOP: the errors that it throws carry the range.
 */
export class JournalFeed {
  readonly #reader: JournalReader;
  readonly #frontier: Frontier;
  readonly #verdicts: VerdictIndex;
  #readUpTo: bigint;

  /** @param from everything up to here is committed in every partition. */
  constructor(world: { reader: JournalReader; frontier: Frontier; verdicts: VerdictIndex }, from: bigint) {
    this.#reader = world.reader;
    this.#frontier = world.frontier;
    this.#verdicts = world.verdicts;
    this.#readUpTo = from;
  }

  /** All records up to here have been handed out. */
  get readUpTo(): bigint {
    return this.#readUpTo;
  }

  get behind(): boolean {
    return this.#readUpTo < this.#frontier.durable;
  }

  /** The next records, at least one if the frontier is ahead. */
  async next(): Promise<DecodedRecord[]> {
    if (!this.behind) return [];
    const records = await this.#read(this.#readUpTo + 1n, this.#frontier.durable);
    const decoded = records.map(decodeRecord);
    for (const item of decoded) if (item.kind === "verdict") this.#verdicts.add(item.verdict);
    const last = records.at(-1);
    if (last !== undefined) {
      this.#readUpTo = last.sequence;
      this.#coverIfTouching(last.sequence);
    }
    return decoded;
  }

  /** Finds the verdicts from where this feed begins to the frontier, as far as they are not known (R13). Call it before anything is applied. */
  async learnVerdicts(): Promise<void> {
    const from = this.#readUpTo + 1n;
    const known = this.#verdicts.covered;
    if (known === undefined) await this.#scan(from, this.#frontier.durable);
    else {
      if (from < known.from) await this.#scan(from, known.from - 1n);
      if (known.upTo < this.#frontier.durable) await this.#scan(known.upTo + 1n, this.#frontier.durable);
    }
  }

  async #scan(from: bigint, upTo: bigint): Promise<void> {
    for (let next = from; next <= upTo;) {
      const records = await this.#read(next, upTo);
      for (const record of records) {
        if (record.kind !== "verdict") continue;
        const decoded = decodeRecord(record);
        if (decoded.kind === "verdict") this.#verdicts.add(decoded.verdict);
      }
      const last = records.at(-1);
      if (last === undefined)
        throw new TidemarkError("TM-APPLIER-JOURNAL-UNREADABLE", `the journal gave no record between ${next} and ${upTo}`);
      next = last.sequence + 1n;
    }
    if (from <= upTo) this.#verdicts.cover(from, upTo);
    if (this.#verdicts.size > MOST_VERDICTS)
      throw new TidemarkError("TM-APPLIER-JOURNAL-UNREADABLE", `more than ${MOST_VERDICTS} verdicts; settle dead letters first`);
  }

  #coverIfTouching(upTo: bigint): void {
    const known = this.#verdicts.covered;
    if (known !== undefined && upTo > known.upTo && this.#readUpTo >= known.upTo) this.#verdicts.cover(known.upTo + 1n, upTo);
  }

  async #read(from: bigint, upTo: bigint): Promise<JournalRecord[]> {
    try {
      return await this.#reader.read(from as Sequence, upTo as Sequence, READ_LIMITS);
    } catch (cause) {
      if (hasCode(cause, "TM-JOURNAL-TRIMMED")) {
        const end = cause.details["upTo"];
        throw new TidemarkError(
          "TM-APPLIER-NEEDED-TRIMMED",
          `records from ${from}${end === undefined ? "" : ` to ${end}`} are needed and no longer in journal ${this.#reader.id}`,
          {
            cause,
            details: { journal: this.#reader.id, from, ...(end === undefined ? {} : { upTo: end }) },
          },
        );
      }
      throw new TidemarkError("TM-APPLIER-JOURNAL-UNREADABLE", `reading journal ${this.#reader.id} from ${from} failed`, {
        cause,
        details: { journal: this.#reader.id, from },
      });
    }
  }
}
