import type { Clock } from "@tidemark/kernel/clock";
import { awayReading } from "./away-reading.ts";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";
import type { ProbeReading } from "./probe.ts";

/** What a look found; the turn adds when and how long. */
export type Found = Omit<ProbeReading & { readonly ok: true }, "ok" | "atMs" | "roundTripMs">;

/** One turn under way. */
export interface Turn {
  /** Wall time of the observer when the question left, milliseconds. */
  readonly atMs: number;
  /** Since then, milliseconds. */
  elapsedMs(): number;
  /** Aborts when the turn is given up, or the probe closed. */
  readonly signal: AbortSignal;
}

/** The turns of a probe that keeps nothing open between them. */
export class ProbeTurns {
  readonly #clock: Clock;
  readonly #closing = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One look at the target. A {@link ProbeFault} becomes the reading of a target that is away; anything else is a bug and rejects. */
  async run(signal: AbortSignal, look: (turn: Turn) => Promise<Found>): Promise<ProbeReading> {
    const clock = this.#clock;
    if (this.#closing.signal.aborted) return awayReading(clock, "TM-PROBE-AWAY", "the probe was closed");
    if (signal.aborted) return awayReading(clock, "TM-PROBE-SLOW", "it was not asked: the turn was given up before");
    const atMs = clock.wallMs();
    const beganMs = clock.monotonicMs();
    const elapsedMs = (): number => clock.monotonicMs() - beganMs;
    const giveUp = new AbortController();
    const onAbort = (): void => giveUp.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#closing.signal.addEventListener("abort", onAbort, { once: true });
    try {
      const found = await look({ atMs, elapsedMs, signal: giveUp.signal });
      return { ok: true, atMs, roundTripMs: elapsedMs(), ...found };
    } catch (error) {
      if (error instanceof ProbeFault) return awayReading(clock, error.code, error.message);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#closing.signal.removeEventListener("abort", onAbort);
    }
  }

  /** Gives up what is under way; no turn looks at anything from now on. */
  close(): Promise<void> {
    this.#closing.abort();
    return Promise.resolve();
  }
}
