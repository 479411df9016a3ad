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
}

/** Times one look at a target. A {@link ProbeFault} becomes the reading of a target that is away; anything else is a bug and rejects. */
export async function probeTurn(clock: Clock, look: (turn: Turn) => Promise<Found>): Promise<ProbeReading> {
  const atMs = clock.wallMs();
  const beganMs = clock.monotonicMs();
  const elapsedMs = (): number => clock.monotonicMs() - beganMs;
  try {
    const found = await look({ atMs, elapsedMs });
    return { ok: true, atMs, roundTripMs: elapsedMs(), ...found };
  } catch (error) {
    if (error instanceof ProbeFault) return awayReading(clock, error.code, error.message);
    throw error;
  }
}
