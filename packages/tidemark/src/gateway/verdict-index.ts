import type { VerdictPayload } from "./write-payload.ts";

/** Verdicts kept in memory, open and closed. Beyond it the oldest closed ones are forgotten; when all are open, acceptance stops. */
const MOST_VERDICTS = 500_000;

/** A write that the database refused for good or that waits behind one, until an operator replays or discards it. */
export interface DeadLetter {
  readonly sequence: bigint;
  /** Where its verdict stands. */
  readonly verdictSequence: bigint;
  readonly state: "rejected" | "parked";
  readonly partition: number;
  readonly store: string;
  readonly key: string;
  /** The sequence that gives the write its place in the order of its key: its own, or that of the write it replays. */
  readonly origin: bigint;
  readonly stopsKey: boolean;
}

/** What is known of a write with a verdict. */
export interface KnownVerdict {
  readonly state: VerdictPayload["verdict"];
  /** Where the verdict stands; read the journal there for its reason. */
  readonly verdictSequence: bigint;
}

const STATES = ["rejected", "parked", "discarded", "replayed"] as const;

/**
 * The newest verdict of every write that has one, by sequence. Closed ones take one number each; open ones are dead
 * letters with what it takes to put their key back in order. Rebuilt from the journal at the start.
 */
export class VerdictIndex {
  readonly #most: number;
  readonly #open = new Map<bigint, DeadLetter>();
  readonly #byKey = new Map<string, Set<DeadLetter>>();
  /** Sequence → verdict's sequence × 4 + place of its state. Sequences stay below 2^51, which is 700 years at 100,000 a second. */
  readonly #closed = new Map<number, number>();

  constructor(most: number = MOST_VERDICTS) {
    this.#most = most;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Nothing more can be kept track of: accept no writes. */
  get full(): boolean {
    return this.#open.size >= this.#most;
  }

  open(letter: DeadLetter): void {
    this.#closed.delete(Number(letter.sequence));
    this.#forget(letter.sequence);
    this.#open.set(letter.sequence, letter);
    const name = keyName(letter.store, letter.key);
    const letters = this.#byKey.get(name);
    if (letters === undefined) this.#byKey.set(name, new Set([letter]));
    else letters.add(letter);
  }

  close(sequence: bigint, known: KnownVerdict): void {
    this.#forget(sequence);
    this.#closed.set(Number(sequence), Number(known.verdictSequence) * STATES.length + STATES.indexOf(known.state));
    if (this.#closed.size + this.#open.size <= this.#most) return;
    const oldest = this.#closed.keys().next();
    if (oldest.done !== true) this.#closed.delete(oldest.value);
  }

  find(sequence: bigint): KnownVerdict | undefined {
    const letter = this.#open.get(sequence);
    if (letter !== undefined) return { state: letter.state, verdictSequence: letter.verdictSequence };
    const closed = this.#closed.get(Number(sequence));
    if (closed === undefined) return undefined;
    const state = STATES[closed % STATES.length];
    return state === undefined ? undefined : { state, verdictSequence: BigInt(Math.floor(closed / STATES.length)) };
  }

  letter(sequence: bigint): DeadLetter | undefined {
    return this.#open.get(sequence);
  }

  /** The open dead letters after `after`, in order of sequence, `most` at most. */
  page(after: bigint, most: number): DeadLetter[] {
    const later = [...this.#open.values()].filter((letter) => letter.sequence > after);
    return later.sort((a, b) => (a.sequence < b.sequence ? -1 : 1)).slice(0, most);
  }

  /** The open dead letters of a key, in the order that the key's writes have. */
  ofKey(store: string, key: string): DeadLetter[] {
    return [...(this.#byKey.get(keyName(store, key)) ?? [])].sort((a, b) => (a.origin < b.origin ? -1 : 1));
  }

  #forget(sequence: bigint): void {
    const letter = this.#open.get(sequence);
    if (letter === undefined) return;
    this.#open.delete(sequence);
    const name = keyName(letter.store, letter.key);
    const letters = this.#byKey.get(name);
    letters?.delete(letter);
    if (letters?.size === 0) this.#byKey.delete(name);
  }
}

function keyName(store: string, key: string): string {
  return `${store}\0${key}`;
}
