import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { FromApplier } from "../applier/applier-link.ts";
import type { VerdictPayload } from "./write-payload.ts";

/** Batches remembered per store and partition; the facts of older ones are forgotten, not that they were applied. */
const MOST_BATCHES = 1_024;
/** Requests that wait for an outcome at one time; more do not wait and are answered with the receipt. */
const MOST_WAITING = 20_000;

/** The commit that a write took effect in. */
export interface AppliedFacts {
  readonly lsn: string;
  readonly timeline: number;
  readonly epoch: number;
  readonly committedAtMs: number;
  /** The copies are asynchronous: a failover may take it back, healing then puts it again (R14). */
  readonly provisional: boolean;
}

/** The rows that the statements of a write returned, one array per statement. */
export type WriteRows = readonly (readonly Record<string, unknown>[])[];

/** What came out of a write. `facts` are absent when they are forgotten or were never told (HONEST-NUMBER). */
export type Outcome =
  | { readonly kind: "applied"; readonly facts?: AppliedFacts; readonly rows?: WriteRows }
  | { readonly kind: "verdict"; readonly verdict: VerdictPayload }
  /** Nothing within the time. */
  | { readonly kind: "none" };

/** Which write: sequences are the journal's, positions are a store's. */
export interface WritePlace {
  readonly store: string;
  readonly partition: number;
  readonly sequence: bigint;
}

type AppliedMessage = Extract<FromApplier, { type: "applied" }>;

interface Batch extends AppliedFacts {
  readonly from: bigint;
  readonly upTo: bigint;
}

interface Waiter {
  readonly sequence: bigint;
  readonly timer: Timer;
  readonly resolve: (outcome: Outcome) => void;
}

interface Lane {
  upTo: bigint;
  /** In order of arrival: after a failover a later one covers again what an earlier one did, and it counts. */
  readonly batches: Batch[];
  readonly waiters: Set<Waiter>;
}

/**
 * What the appliers have said, per store and partition: how far it is applied, the commits of the last batches, and who
 * waits. A position may go back after a failover; the writes beyond it are then journalled again, not applied.
 */
export class Outcomes {
  readonly #clock: Clock;
  readonly #recovered: bigint;
  readonly #lanes = new Map<string, Lane>();
  #waiting = 0;

  /** @param recovered the durable sequence when the gateway started: what lies beyond took effect since then. */
  constructor(clock: Clock, recovered: bigint) {
    this.#clock = clock;
    this.#recovered = recovered;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Takes a word of an applier in. */
  applied(message: AppliedMessage): void {
    const lane = this.#lane(message.store, message.partition);
    const upTo = BigInt(message.upTo);
    const { lsn, timeline, epoch, committedAtMs, provisional } = message;
    // The first word after a start covers also what an earlier process applied, in commits that nobody knows any more.
    const before = lane.upTo === -1n ? this.#recovered : lane.upTo;
    const from = before < upTo ? before : upTo;
    lane.upTo = upTo;
    if (from < upTo) lane.batches.push({ from, upTo, lsn, timeline, epoch, committedAtMs, provisional });
    if (lane.batches.length > MOST_BATCHES) lane.batches.shift();
    if (lane.waiters.size > 0) this.#wake(lane, message);
  }

  /** A verdict stands durably: tells whoever waits for its write. */
  judged(place: WritePlace, verdict: VerdictPayload): void {
    const lane = this.#lane(place.store, place.partition);
    for (const waiter of lane.waiters) if (waiter.sequence === place.sequence) this.#end(lane, waiter, { kind: "verdict", verdict });
  }

  /** Whether the store's position has passed the write, and in which commit as far as it is known. The caller asks for verdicts first. */
  find(place: WritePlace): Outcome {
    const lane = this.#lane(place.store, place.partition);
    if (place.sequence > lane.upTo) return { kind: "none" };
    const batch = lane.batches.findLast((one) => one.from < place.sequence && place.sequence <= one.upTo);
    if (batch === undefined) return { kind: "applied" };
    const { lsn, timeline, epoch, committedAtMs, provisional } = batch;
    return { kind: "applied", facts: { lsn, timeline, epoch, committedAtMs, provisional } };
  }

  /** Waits until the write is applied or judged, `timeoutMs` at most. At {@link MOST_WAITING} it answers `none` at once. */
  wait(place: WritePlace, timeoutMs: number): Promise<Outcome> {
    const found = this.find(place);
    if (found.kind !== "none" || timeoutMs <= 0 || this.#waiting >= MOST_WAITING) return Promise.resolve(found);
    const lane = this.#lane(place.store, place.partition);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        sequence: place.sequence,
        resolve,
        timer: this.#clock.setTimer(timeoutMs, () => this.#end(lane, waiter, { kind: "none" })),
      };
      lane.waiters.add(waiter);
      this.#waiting++;
    });
  }

  /** Nobody waits any longer: the process ends. */
  releaseAll(): void {
    for (const lane of this.#lanes.values()) for (const waiter of lane.waiters) this.#end(lane, waiter, { kind: "none" });
  }

  /** How far each partition of `store` is applied, as far as it was told. */
  positions(store: string): { partition: number; upTo: string }[] {
    const found: { partition: number; upTo: string }[] = [];
    for (const [name, lane] of this.#lanes) {
      const at = name.lastIndexOf("/");
      if (name.slice(0, at) === store && lane.upTo >= 0n) found.push({ partition: Number(name.slice(at + 1)), upTo: String(lane.upTo) });
    }
    return found.sort((a, b) => a.partition - b.partition);
  }

  #wake(lane: Lane, message: AppliedMessage): void {
    const rows = new Map(message.answers.map((answer) => [answer.sequence, answer.rows]));
    const { lsn, timeline, epoch, committedAtMs, provisional } = message;
    const facts: AppliedFacts = { lsn, timeline, epoch, committedAtMs, provisional };
    for (const waiter of lane.waiters) {
      if (waiter.sequence > lane.upTo) continue;
      const answer = rows.get(String(waiter.sequence));
      this.#end(lane, waiter, { kind: "applied", facts, ...(answer === undefined ? {} : { rows: answer }) });
    }
  }

  #end(lane: Lane, waiter: Waiter, outcome: Outcome): void {
    if (!lane.waiters.delete(waiter)) return;
    this.#waiting--;
    waiter.timer.clear();
    waiter.resolve(outcome);
  }

  #lane(store: string, partition: number): Lane {
    const name = `${store}/${partition}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { upTo: -1n, batches: [], waiters: new Set() };
      this.#lanes.set(name, lane);
    }
    return lane;
  }
}
