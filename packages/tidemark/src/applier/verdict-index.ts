import type { Sequence } from "@tidemark/kernel/brands";
import type { VerdictPayload } from "../gateway/write-payload.ts";

/** The most verdicts kept in memory; about 200 bytes each. Beyond it the applier stops rather than forget one (R13). */
export const MOST_VERDICTS = 1_000_000;

/** The first word on a write, which says what it was when its turn came. */
export type FirstVerdict = Extract<VerdictPayload["verdict"], "rejected" | "parked" | "discarded">;

export interface KnownVerdict {
  readonly first: FirstVerdict;
  readonly payload: VerdictPayload;
  /** Only a word that settles (`replayed`, `discarded`) was read so far. */
  readonly settlesOnly: boolean;
}

/**
 * The verdicts of the journal between two sequences (R13). Later words (`replayed`, `discarded` after `rejected`) do not
 * change how the write is treated when its turn comes again: it takes no effect, and its key stops until the journal
 * reaches the record that settles it, so that a second application keeps the order of the first.
 */
export class VerdictIndex {
  readonly #bySequence = new Map<bigint, KnownVerdict>();
  #from: bigint | undefined;
  #upTo = 0n;

  /** All verdict records between these (inclusive) are known. Undefined when none were read yet. */
  get covered(): { readonly from: bigint; readonly upTo: bigint } | undefined {
    return this.#from === undefined ? undefined : { from: this.#from, upTo: this.#upTo };
  }

  get size(): number {
    return this.#bySequence.size;
  }

  /** Says that the verdicts from `from` to `upTo` were all handed to {@link add}. Ranges must touch what is covered. */
  cover(from: bigint, upTo: bigint): void {
    this.#from = this.#from === undefined || from < this.#from ? from : this.#from;
    if (upTo > this.#upTo) this.#upTo = upTo;
  }

  add(payload: VerdictPayload): void {
    const sequence = BigInt(payload.sequence);
    const known = this.#bySequence.get(sequence);
    // A range that is read later may hold an earlier word: the one that says what the write was when its turn came wins.
    const settlesOnly = payload.verdict === "replayed" || payload.verdict === "discarded";
    if (known !== undefined && (settlesOnly || !known.settlesOnly)) return;
    const first = payload.verdict === "replayed" ? "rejected" : payload.verdict;
    this.#bySequence.set(sequence, { first, payload, settlesOnly });
  }

  of(sequence: Sequence): KnownVerdict | undefined {
    return this.#bySequence.get(sequence);
  }
}
