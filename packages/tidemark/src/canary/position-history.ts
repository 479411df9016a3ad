// Where the primary's log was at what time, as the observer saw it: this turns the position of a copy into a time without asking any
// other clock than the observer's. It works for copies that cannot be asked themselves (a vault, an archive), for stores in
// which nothing may be written, and also while the store is idle: a copy that is where the primary is lacks nothing.
//
// Why it holds: the primary read its position after the question had left. A commit that was acknowledged before the question left has
// its record before that position. So a copy that has reached it has everything that was acknowledged until then.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { LoggedPosition } from "./position-log.ts";
import { PositionLog } from "./position-log.ts";

/** The observer's wall clock moved by more than this beside its monotonic one: times from before cannot be compared with those after. */
const CLOCK_JUMP_MS = 250;

export interface Position {
  readonly timeline: Timeline;
  /** What the primary had flushed. */
  readonly lsn: Lsn;
  /** When the question left, by the observer's clocks, milliseconds. */
  readonly sentWallMs: number;
  readonly sentMonotonicMs: number;
  /** Transactions that had written something and ended, a count that only grows. */
  readonly transactions: bigint;
  /** How many of them were the canary's own, counted from any start; read in the same statement, so that both are of one moment. */
  readonly canaryBeats: bigint;
}

export type PositionTime =
  | {
      readonly found: true;
      /** Everything that was acknowledged until then is there, observer's wall time, milliseconds. */
      readonly untilMs: number;
      /** The true time may be so much later. */
      readonly gapMs: number;
      /** The copy was where the primary was, or further, when the primary was seen last. */
      readonly complete: boolean;
      /** Transactions without the canary's that ended since. */
      readonly missingTransactions: number;
    }
  | { readonly found: false; readonly why: string };

/** Where the primary was, as somebody saw it who did not count its transactions. */
export type SeenPosition = Omit<Position, "transactions" | "canaryBeats">;

/** Why a history began anew. */
export type Restart =
  | "failover"
  | "went-back"
  | "clock-set"
  /** The canary was made or made anew, so that its own transactions are counted from elsewhere. */
  | "recounted";

export class PositionHistory {
  readonly #kept = new PositionLog();
  #timeline: Timeline | undefined;
  #clocksMs = 0;
  #sentMonotonicMs = Number.NEGATIVE_INFINITY;
  #rate: { transactions: bigint; atMs: number }[] = [];

  get timeline(): Timeline | undefined {
    return this.#timeline;
  }

  /** The last one that was recorded. */
  get newest(): { readonly lsn: Lsn; readonly fromMs: number; readonly untilMs: number } | undefined {
    return this.#kept.at(-1);
  }

  /**
   * Takes what the primary said. A position of an older timeline is of a former primary and left out (`ignored`). A new timeline, or a
   * position that went back on the same one (it was restored), begins the history anew: positions before do not compare.
   */
  record(position: Position): Restart | "ignored" | undefined {
    const { timeline, lsn, sentWallMs } = position;
    if (this.#timeline !== undefined && timeline < this.#timeline) return "ignored";
    const clocksMs = sentWallMs - position.sentMonotonicMs;
    const last = this.#kept.at(-1);
    // Asked before what `see` took, and answered after it: it tells nothing new, and its position is not one that went back.
    if (timeline === this.#timeline && position.sentMonotonicMs < this.#sentMonotonicMs) return undefined;
    const restart = this.#restartBy(position, last, clocksMs);
    if (restart !== undefined) {
      this.#kept.clear();
      this.#rate = [];
    }
    this.#timeline = timeline;
    this.#clocksMs = clocksMs;
    this.#sentMonotonicMs = position.sentMonotonicMs;
    const transactions = position.transactions - position.canaryBeats;
    this.#kept.add({ lsn, atMs: sentWallMs, transactions });
    this.#rate.push({ transactions, atMs: sentWallMs });
    if (this.#rate.length > RATE_SAMPLES) this.#rate.shift();
    return restart;
  }

  /**
   * Takes one more position between those that {@link record} takes, so that times are found more exactly. What contradicts the history is
   * left out: whether it begins anew is for `record` to find.
   */
  see({ timeline, lsn, sentWallMs, sentMonotonicMs }: SeenPosition): void {
    const last = this.#kept.at(-1);
    if (last === undefined || timeline !== this.#timeline || lsn < last.lsn) return;
    if (sentMonotonicMs < this.#sentMonotonicMs || sentWallMs < last.untilMs) return;
    if (Math.abs(sentWallMs - sentMonotonicMs - this.#clocksMs) > CLOCK_JUMP_MS) return;
    this.#sentMonotonicMs = sentMonotonicMs;
    // Counted as of the look before: a copy there lacks at most so many.
    this.#kept.add({ lsn, atMs: sentWallMs, transactions: last.transactions });
  }

  /** Forgets all, as when another cluster answers under the same name. */
  forget(): void {
    this.#kept.clear();
    this.#rate = [];
    this.#timeline = undefined;
    this.#sentMonotonicMs = Number.NEGATIVE_INFINITY;
  }

  /** What a copy has that flushed up to `lsn` of `timeline`. */
  timeOf(timeline: Timeline, lsn: Lsn): PositionTime {
    const newest = this.#kept.at(-1);
    if (newest === undefined) return { found: false, why: "no position of the primary was seen yet" };
    if (timeline !== this.#timeline)
      return { found: false, why: `it is on timeline ${timeline}, and the primary was seen on ${this.#timeline ?? "none"}` };
    const at = this.#kept.lastUpTo(lsn);
    const kept = at < 0 ? undefined : this.#kept.at(at);
    if (kept === undefined) return { found: false, why: "it is further behind than the primary's positions were kept" };
    const next = this.#kept.at(at + 1);
    return {
      found: true,
      untilMs: kept.untilMs,
      gapMs: next === undefined ? 0 : Math.max(0, next.fromMs - kept.untilMs),
      complete: next === undefined,
      missingTransactions: Math.max(0, Number(newest.transactions - kept.transactions)),
    };
  }

  /** Transactions a second over the last {@link RATE_SAMPLES} positions, without the canary's; undefined before there are two. */
  transactionRate(): { readonly perSecond: number; readonly overMs: number } | undefined {
    const [first, last] = [this.#rate[0], this.#rate.at(-1)];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined;
    const overMs = last.atMs - first.atMs;
    return { perSecond: Math.max(0, (Number(last.transactions - first.transactions) * 1_000) / overMs), overMs };
  }

  #restartBy(position: Position, last: LoggedPosition | undefined, clocksMs: number): Restart | undefined {
    if (last === undefined) return undefined;
    if (position.timeline !== this.#timeline) return "failover";
    if (position.lsn < last.lsn) return "went-back";
    if (position.transactions - position.canaryBeats < last.transactions) return "recounted";
    return Math.abs(clocksMs - this.#clocksMs) > CLOCK_JUMP_MS ? "clock-set" : undefined;
  }
}

const RATE_SAMPLES = 60;
