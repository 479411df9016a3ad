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

/** What PostgreSQL itself had committed and lost with its primary, and the journal put back. */
export interface PutBack {
  /** Orders that were read from the old primary right before the fault, committed there, and committed again on the new one after it. */
  readonly orders: number;
  /** The old primary's transactions that held them. */
  readonly commits: number;
  readonly method: string;
}

/** Which copy had the commits that the old primary showed right before the fault (lagging-standby). Distinct orders. */
export interface Copies {
  readonly committed: number;
  readonly onStandby: number;
  /** Not on the standby, and in the new primary by the commit of the old one. */
  readonly fromVault: { readonly orders: number; readonly commits: number };
  readonly method: string;
}

/** What the vault gave to the new primary before it was promoted, by control's account. */
export interface Completion {
  /** The vault. */
  readonly from: string;
  /** Where the new primary's own WAL ended, and where it had to get to. LSN text. */
  readonly lsn: string;
  readonly target: string;
  readonly bytes: number;
}

/** The vault when all was over. */
export interface VaultFigure {
  readonly name: string;
  readonly state: string;
  /** What it has durably, and what the primary had flushed when the count began. LSN text. */
  readonly flushedLsn?: string;
  readonly primaryLsn: string;
  readonly caughtUp: boolean;
  /** Stretches of WAL that it misses, and its faults, in words. */
  readonly gaps: readonly string[];
  readonly faults: readonly string[];
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
    /** Whether a vault is among the copies. */
    readonly vault: boolean;
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
  readonly copies?: Copies;
  readonly completion?: Completion;
  readonly vault?: VaultFigure;
  readonly doomed?: Doomed;
  /** What the gateway said of its applier when not everything was applied in time. */
  readonly applier?: string;
  /** From the fault to as many synchronous copies as before; absent where none was demanded, or none came back while it was waited for. */
  readonly redundantMs?: number;
  readonly timeline: Timeline;
  readonly proven: readonly string[];
  readonly notProven: readonly string[];
}
