// What is known of one target: the last look that succeeded, and whether the newest one did.
import type { ProbeReading } from "../probes/probe.ts";

export type Sight = Extract<ProbeReading, { ok: true }>;

export interface TargetView {
  /** The probe's name. */
  readonly target: string;
  /** The last look that succeeded; absent: none did since the observer started. */
  readonly sight?: Sight;
  /** Set while the newest look failed. */
  readonly away?: {
    readonly code: string;
    readonly why: string;
    /** When the first look failed of those that failed in a row, wall time of the observer, milliseconds. */
    readonly sinceMs: number;
  };
}

/** The view after one more reading. */
export function viewAfter(view: TargetView, reading: ProbeReading): TargetView {
  if (reading.ok) return { target: view.target, sight: reading };
  const { code, why, atMs } = reading;
  return { ...view, away: { code, why, sinceMs: view.away?.sinceMs ?? atMs } };
}
