import type { Clock } from "@tidemark/kernel/clock";
import type { Partition } from "@tidemark/kernel/brands";
import type { Journal } from "../journal/journal.ts";
import type { CompiledCommand } from "./command-catalogue.ts";
import { readDeadLetter } from "./journal-scan.ts";
import type { Outcomes } from "./outcomes.ts";
import type { PartitionHeads } from "./partition-heads.ts";
import type { VerdictIndex } from "./verdict-index.ts";
import type { VerdictPayload } from "./write-payload.ts";
import { encodePayload } from "./write-record.ts";

/** Where verdicts go: journalled first, then indexed and shown (R13). */
export class VerdictJournal {
  readonly #parts: {
    journal: Journal;
    verdicts: VerdictIndex;
    heads: PartitionHeads;
    outcomes: Outcomes;
    commands: ReadonlyMap<string, CompiledCommand>;
    clock: Clock;
  };
  /** Verdicts being appended, by what they say: an applier that was started again may ask twice. */
  readonly #inFlight = new Map<string, Promise<bigint>>();

  constructor(parts: {
    journal: Journal;
    verdicts: VerdictIndex;
    heads: PartitionHeads;
    outcomes: Outcomes;
    commands: ReadonlyMap<string, CompiledCommand>;
    clock: Clock;
  }) {
    this.#parts = parts;
  }

  /** Makes a verdict durable and resolves with its sequence; idempotent by write and verdict. Rejects as `Journal.append`. */
  record(partition: number, payload: VerdictPayload): Promise<bigint> {
    const known = this.#parts.verdicts.find(BigInt(payload.sequence));
    if (known?.state === payload.verdict) return Promise.resolve(known.verdictSequence);
    const name = `${payload.sequence} ${payload.verdict}`;
    const inFlight = this.#inFlight.get(name);
    if (inFlight !== undefined) return inFlight;
    const recorded = this.#append(partition, payload).finally(() => this.#inFlight.delete(name));
    this.#inFlight.set(name, recorded);
    return recorded;
  }

  async #append(partition: number, payload: VerdictPayload): Promise<bigint> {
    const { journal, clock, verdicts, outcomes } = this.#parts;
    const [appended] = await journal.append([
      {
        kind: "verdict",
        key: `verdict:${payload.sequence}`,
        partition: partition as Partition,
        acceptedAtMs: Math.floor(clock.wallMs()),
        payload: encodePayload(payload),
      },
    ]);
    if (appended === undefined) throw new Error("the journal answered for fewer records than it was given");
    this.#parts.heads.saw(appended);
    const sequence = BigInt(payload.sequence);
    const verdictSequence: bigint = appended.sequence;
    if (payload.verdict === "rejected" || payload.verdict === "parked") {
      const letter = await readDeadLetter(this.#parts, { sequence, state: payload.verdict, verdictSequence });
      verdicts.open(letter);
      outcomes.judged({ store: letter.store, partition, sequence }, payload);
    } else {
      verdicts.close(sequence, { state: payload.verdict, verdictSequence });
    }
    return verdictSequence;
  }
}
