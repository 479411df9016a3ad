// Copies that were seen to stream and do so no more. A primary says nothing of who is away; a copy that vanished without a word would be one
// that nobody misses.
import type { CopyFacts } from "../probe-result.ts";
import { unknown } from "../probe-result.ts";
import { NAMELESS } from "./primary-facts.ts";

/** Copies that are remembered; the one that is away for longest is forgotten first. */
const MOST_REMEMBERED = 64;
/** A copy that is away for longer was taken away for good, milliseconds. */
const REMEMBER_FOR_MS = 86_400_000;

export class CopyMemory {
  readonly #seen = new Map<string, { readonly copy: CopyFacts; readonly atMs: number }>();

  /** The copies that are there, and those that were. */
  withGone(copies: readonly CopyFacts[], atMs: number): CopyFacts[] {
    const present = new Set(copies.map(({ name }) => name));
    for (const copy of copies) {
      if (copy.kind !== "standby" && copy.kind !== "vault") continue;
      // Nobody could say that it is back: its name is that of a process.
      if (copy.name.startsWith(`${NAMELESS} `)) continue;
      // The newest last: the order of a map is that of insertion.
      this.#seen.delete(copy.name);
      this.#seen.set(copy.name, { copy, atMs });
    }
    const gone: CopyFacts[] = [];
    for (const [name, { copy, atMs: seenMs }] of this.#seen) {
      if (present.has(name)) continue;
      if (atMs - seenMs > REMEMBER_FOR_MS || this.#seen.size > MOST_REMEMBERED) this.#seen.delete(name);
      else gone.push(away(copy, seenMs));
    }
    return [...copies, ...gone];
  }

  forget(): void {
    this.#seen.clear();
  }
}

function away(copy: CopyFacts, sinceMs: number): CopyFacts {
  const figure = unknown<never>("it does not stream from the primary any more", sinceMs);
  return {
    ...copy,
    recoveryPoint: figure,
    missingBytes: figure,
    missingTransactions: figure,
    synchronous: figure,
    remarks: ["it is not connected to the primary"],
  };
}
