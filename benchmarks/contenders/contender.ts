import type { LoadTarget } from "../load/driver.ts";

/** What every contender gets. */
export interface BenchContext {
  /** An empty folder of its own on the measured disk. */
  readonly folder: string;
}

/** A contender that runs and can be loaded. */
export interface RunningContender {
  readonly target: LoadTarget;
  /** Stops it, awaited; what it started is gone afterwards. */
  close(): Promise<void>;
}

/** One system in the comparison. */
export interface Contender {
  readonly name: string;
  /** What an acknowledgement of it means, in words. */
  readonly guarantee: string;
  /** Starts it, or says in a sentence why it is not measured on this machine. */
  start(context: BenchContext): Promise<RunningContender | { readonly skipped: string }>;
}
