import type { Verdict } from "../verdict/verdict.ts";
import type { FaultName } from "../faults/fault-name.ts";
import type { LatencyFigures, Marks, Pause, Phase, Timeline } from "./figures.ts";

export const REPORT_VERSION = 1;

/** A figure beside its target. `methods` says how it was measured (HONEST-NUMBER). */
export interface Measured {
  /** Milliseconds; absent when it could not be measured. */
  readonly ms?: number;
  readonly targetMs: number;
  readonly method: string;
}

/** What PostgreSQL itself had committed and lost with its primary, and the journal put back (lagging-standby). */
export interface PutBack {
  /** Orders that were read from the old primary right before the fault, committed there, and committed again on the new one after it. */
  readonly orders: number;
  /** The old primary's transactions that held them. */
  readonly commits: number;
  readonly method: string;
}

/** What the fault was known to destroy, measured before it (lose-journal). */
export interface Doomed {
  readonly orders: number;
  readonly method: string;
}

/** The report of one proof, as report.json has it. */
export interface ProofReport {
  readonly formatVersion: typeof REPORT_VERSION;
  readonly kind: "tidemark-prove";
  readonly run: string;
  readonly fault: {
    readonly name: FaultName;
    readonly summary: string;
    /** What was done, in sentences, with pids. */ readonly done: readonly string[];
  };
  readonly settings: { readonly ratePerSecond: number; readonly seconds: number; readonly seed: number };
  readonly stack: {
    readonly required: number;
    readonly policy: string;
    readonly postgres: string;
    readonly primaryBefore: string;
    readonly primaryAfter: string;
    readonly epochBefore: number;
    readonly epochAfter: number;
  };
  /** The reigns that the database recorded. */
  readonly reigns: readonly { readonly primary: string; readonly epoch: number; readonly timeline: number; readonly forkLsn: string }[];
  readonly machine: { readonly system: string; readonly processors: number; readonly memoryBytes: number; readonly node: string };
  readonly marks: Marks;
  readonly verdict: Verdict;
  readonly exitCode: number;
  readonly rpo: Measured;
  readonly rto: Measured;
  /** The longest time without a commit, and without an acknowledgement, from the fault on. */
  readonly commitPause?: Pause;
  readonly acknowledgementPause?: Pause;
  readonly acknowledgements: Readonly<Record<Phase, LatencyFigures>>;
  readonly putBack?: PutBack;
  readonly doomed?: Doomed;
  /** What the gateway said of its applier when not everything was applied in time. */
  readonly applier?: string;
  /** From the fault to a synchronous standby again; absent where none was demanded, or none came back while it was waited for. */
  readonly redundantMs?: number;
  readonly timeline: Timeline;
  readonly proven: readonly string[];
  readonly notProven: readonly string[];
}
