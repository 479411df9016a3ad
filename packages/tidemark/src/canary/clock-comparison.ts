// How far a server's clock is from the observer's, by question and answer: the server read its clock somewhere between the moment the
// question left and the moment the answer came, so that the middle of the two is right within half the round trip (the midpoint
// method). The shortest round trip of a window says most. The observer's monotonic clock measures the round trip; its wall
// clock is what the server's is compared with.
import type { Figure } from "../probes/probe-result.ts";
import { known, unknown } from "../probes/probe-result.ts";

/** Samples that are kept; the oldest goes. */
const MOST_SAMPLES = 60;
/** Samples that are older say nothing any more, milliseconds: clocks drift, and are set. */
const WINDOW_MS = 60_000;
/** Two clocks drift apart by at most so much, as a part of the time that passed; quartz is ten times better. */
const DRIFT = 0.000_2;
/** A clock that is certainly further off than this is an alarm, milliseconds. */
export const CLOCK_ALARM_MS = 1_000;

export interface ClockSample {
  /** The observer's wall clock when the question left, milliseconds. */
  readonly sentWallMs: number;
  readonly sentMonotonicMs: number;
  readonly receivedMonotonicMs: number;
  /** What the server said. */
  readonly serverWallMs: number;
}

interface Kept {
  readonly offsetMs: number;
  readonly errorMs: number;
  readonly atMonotonicMs: number;
  readonly atWallMs: number;
}

export class ClockComparison {
  #samples: Kept[] = [];
  readonly #sinceMs: number;

  /** @param sinceMs wall time of the observer at which it began, for "unknown since". */
  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  add(sample: ClockSample): void {
    const roundTripMs = sample.receivedMonotonicMs - sample.sentMonotonicMs;
    const kept: Kept = {
      offsetMs: sample.serverWallMs - (sample.sentWallMs + roundTripMs / 2),
      errorMs: roundTripMs / 2,
      atMonotonicMs: sample.receivedMonotonicMs,
      atWallMs: sample.sentWallMs + roundTripMs,
    };
    // Samples that contradict the new one are of before a clock was set: they are of another difference.
    this.#samples = this.#samples.filter(
      (old) => kept.atMonotonicMs - old.atMonotonicMs <= WINDOW_MS && agree(old, kept, (kept.atMonotonicMs - old.atMonotonicMs) * DRIFT),
    );
    this.#samples.push(kept);
    if (this.#samples.length > MOST_SAMPLES) this.#samples.shift();
  }

  /** The server's clock minus the observer's, milliseconds: the best of the window, its error bound widened by the drift since. */
  offset(nowMonotonicMs: number): Figure<number> {
    let best: { sample: Kept; errorMs: number } | undefined;
    for (const sample of this.#samples) {
      const ageMs = nowMonotonicMs - sample.atMonotonicMs;
      if (ageMs > WINDOW_MS) continue;
      const errorMs = sample.errorMs + ageMs * DRIFT;
      if (best === undefined || errorMs < best.errorMs) best = { sample, errorMs };
    }
    if (best === undefined)
      return unknown("the clocks were not compared within the last minute", this.#samples.at(-1)?.atWallMs ?? this.#sinceMs);
    // It is as of the newest sample: all that are kept agree with it.
    const newest = this.#samples.at(-1) as Kept;
    return known(best.sample.offsetMs, { atMs: newest.atWallMs, method: "observed", errorMs: best.errorMs });
  }
}

/** Whether the clock is certainly further off than `limitMs`; undefined while that cannot be said. */
export function clockIsOff(offset: Figure<number>, limitMs = CLOCK_ALARM_MS): boolean | undefined {
  if (!offset.known) return undefined;
  const distanceMs = Math.abs(offset.value);
  if (distanceMs - offset.errorMs > limitMs) return true;
  return distanceMs + offset.errorMs > limitMs ? undefined : false;
}

function agree(one: Kept, other: Kept, driftMs: number): boolean {
  return Math.abs(one.offsetMs - other.offsetMs) <= one.errorMs + other.errorMs + driftMs + 0.01;
}
