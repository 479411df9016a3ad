import type { CopyFacts, Figure, StoreFacts } from "./probe-result.ts";

/**
 * A probe looks at one target and says what it found. It keeps connections between its turns, holds no other state that
 * matters, and never throws for what a target can do: a target that is away, slow, wrong or garbled is an `away` reading
 * with a code. The runner gives it time (a timeout and a signal), and calls it again with jitter, later after failures.
 */
export interface Probe {
  /** For messages and metrics, such as `postgresql pg1`. Never holds a secret. */
  readonly name: string;
  readonly store: string;
  /** Resolves before the signal's deadline or is given up. Rejections are bugs of the probe. */
  probe(signal: AbortSignal): Promise<ProbeReading>;
  close(): Promise<void>;
}

export type ProbeReading =
  | {
      readonly ok: true;
      /** When the target was looked at, wall time of the observer, milliseconds; the error bound includes the round trip. */
      readonly atMs: number;
      readonly roundTripMs: number;
      /** What it says of the store as a whole; parts that it does not know are left out. */
      readonly store?: Partial<Omit<StoreFacts, "store" | "copies" | "atMs">>;
      readonly copies: readonly CopyFacts[];
      /** Further figures for metrics and findings, by their metric's name. */
      readonly figures: Readonly<Record<string, Figure<number>>>;
    }
  | { readonly ok: false; readonly atMs: number; readonly code: string; readonly why: string };
