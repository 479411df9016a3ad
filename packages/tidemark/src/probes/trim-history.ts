// Which copies a journal can still be put on. It forgets a write once the store has it (TRIM-SAFE), but "the store has it" may mean the primary
// alone: a copy that has fallen behind may lack what the journal has forgotten. When a write was accepted does not tell: it may have been
// applied hours later, and forgotten at once.
//
// Why it holds: everything that is forgotten was said to be safe before, on the primary's timeline, so that it was committed there before that
// was heard. A copy that has every commit of that timeline until then has it too; what it lacks otherwise, the journal still has.

/** The observer's wall clock moved by more than this beside its monotonic one: times from before cannot be compared with those after. */
const CLOCK_JUMP_MS = 250;

/** So many are kept; then every second one is let go, so that a time is found later than it was, never earlier. */
const MOST_KEPT = 4_096;

/** What a gateway said in one look. */
export interface TrimSight {
  /** The journal's id: another journal has other writes. */
  readonly journal: string;
  /** The oldest sequence that it has; 1 while nothing was forgotten. */
  readonly oldest: bigint;
  /** What the store has safely, and the timeline on which it was said to; undefined until the store was asked. */
  readonly safe?: { readonly upTo: bigint; readonly timeline: number };
  /** When the answer was there, by the observer's clocks, milliseconds. */
  readonly heardWallMs: number;
  readonly heardMonotonicMs: number;
}

interface Kept {
  readonly upTo: bigint;
  readonly heardMs: number;
}

export class TrimHistory {
  #kept: Kept[] = [];
  #journal: string | undefined;
  #timeline: number | undefined;
  #clocksMs = 0;

  /**
   * Takes a look, and says from when on the journal is unbroken: on a copy that has everything acknowledged until then it can be put.
   * Wall time of the observer, milliseconds; undefined while that is not known.
   */
  see({ journal, oldest, safe, heardWallMs, heardMonotonicMs }: TrimSight): number | undefined {
    const clocksMs = heardWallMs - heardMonotonicMs;
    // On another timeline what was applied may be applied again, later.
    const isOther = journal !== this.#journal || (safe !== undefined && safe.timeline !== this.#timeline);
    if (isOther || Math.abs(clocksMs - this.#clocksMs) > CLOCK_JUMP_MS) {
      this.#kept = [];
      this.#timeline = undefined;
      this.#clocksMs = clocksMs;
    }
    this.#journal = journal;
    if (safe !== undefined) {
      this.#timeline = safe.timeline;
      const last = this.#kept.at(-1);
      if (last === undefined || safe.upTo > last.upTo) this.#kept.push({ upTo: safe.upTo, heardMs: heardWallMs });
      if (this.#kept.length > MOST_KEPT) this.#kept = this.#kept.filter((_kept, index) => index % 2 === 0);
    }
    const at = this.#kept.findIndex(({ upTo }) => upTo >= oldest - 1n);
    if (at < 0) return undefined;
    this.#kept.splice(0, at);
    return this.#kept[0]?.heardMs;
  }
}
