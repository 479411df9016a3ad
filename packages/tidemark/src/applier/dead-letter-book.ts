import type { Sequence } from "@tidemark/kernel/brands";
import type { PendingLetter } from "./database.ts";

/** The pending dead letters of a database, as of the last commit. Read again at each connect. */
export class DeadLetterBook {
  readonly #letters = new Map<bigint, PendingLetter>();
  /** Letters that stop their key, by key. */
  readonly #stoppers = new Map<string, Set<bigint>>();

  constructor(letters: readonly PendingLetter[] = []) {
    for (const letter of letters) this.add(letter);
  }

  add(letter: PendingLetter): void {
    this.#letters.set(letter.sequence, letter);
    if (!letter.stopsKey) return;
    const stoppers = this.#stoppers.get(letter.key) ?? new Set();
    stoppers.add(letter.sequence);
    this.#stoppers.set(letter.key, stoppers);
  }

  settle(sequence: Sequence): void {
    const letter = this.#letters.get(sequence);
    if (letter === undefined) return;
    this.#letters.delete(sequence);
    const stoppers = this.#stoppers.get(letter.key);
    stoppers?.delete(sequence);
    if (stoppers?.size === 0) this.#stoppers.delete(letter.key);
  }

  get(sequence: Sequence): PendingLetter | undefined {
    return this.#letters.get(sequence);
  }

  /** Whether a write of `key` with this origin has to wait behind another, `except` the one that it replays. */
  stops(key: string, origin: Sequence, except: Sequence | undefined): boolean {
    for (const sequence of this.#stoppers.get(key) ?? []) {
      if (sequence === except) continue;
      const letter = this.#letters.get(sequence);
      if (letter !== undefined && letter.origin < origin) return true;
    }
    return false;
  }

  /** The smallest pending sequence: it pins trimming (R13). */
  oldest(): Sequence | undefined {
    let oldest: Sequence | undefined;
    for (const letter of this.#letters.values()) if (oldest === undefined || letter.sequence < oldest) oldest = letter.sequence;
    return oldest;
  }
}
