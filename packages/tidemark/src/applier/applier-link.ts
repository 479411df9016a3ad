import type { Config } from "../config/config.ts";
import type { VerdictPayload } from "../gateway/write-payload.ts";

/**
 * The messages between the gateway and its applier, a child process with an IPC channel (JSON serialization; sequences
 * and LSNs as text). The gateway is the only writer of the journal; the applier reads the journal's files itself, up to
 * the durable frontier that it is told. When the channel closes the applier ends.
 */

/** From the gateway to the applier. */
export type ToApplier =
  /**
   * The first message after the start: what to apply to. It comes over the channel because the gateway has read and
   * checked the configuration already, and reading it again would be part of every restart's time.
   * `recovered`, for the first applier of a gateway: where the journal ended when it was opened. Nobody can have applied
   * records behind that yet, so a database that stands further on has seen a longer journal than this one was.
   */
  | { readonly type: "begin"; readonly store: string; readonly journal: string; readonly config: Config; readonly recovered?: string }
  /** Records up to here are durable; sent on each advance, coalesced. The second message after the start. */
  | { readonly type: "durable"; readonly upTo: string }
  /** The verdict of request `request` stands durably at `sequence`; it may now be obeyed and shown. */
  | { readonly type: "verdict-recorded"; readonly request: number; readonly sequence: string }
  /** An operator lets the applier go on with a restored database (R17), but for these sequences (already journalled as discarded). */
  | { readonly type: "reapply"; readonly except: readonly string[]; readonly by: string; readonly reason: string }
  /** Say now what the primary's receivers have flushed: answered by `copies`, or by nothing while there is no connection. */
  | { readonly type: "look-at-copies" }
  /** The acceptance side has paused or resumed applying (used by benchmarks and game days). */
  | { readonly type: "pause"; readonly paused: boolean }
  /** Finish the transaction in hand and end. */
  | { readonly type: "stop" };

/** What the applier says of itself; `code` is an error code of the catalogue. */
export type ApplierState =
  | { readonly state: "starting" }
  | { readonly state: "applying" }
  /** Behind what it had applied before: a failover or restore took the position back, and it applies again. */
  | { readonly state: "healing"; readonly from: string; readonly upTo: string }
  | { readonly state: "waiting"; readonly code: string; readonly message: string; readonly sinceMs: number }
  | { readonly state: "paused" }
  /** FAIL-STOP, or waiting for an operator (R17). */
  | { readonly state: "stopped"; readonly code: string; readonly message: string };

/** The outcome of one write that somebody waits for. */
export interface WriteAnswer {
  readonly sequence: string;
  /** Rows returned by the statements, one array per statement. */
  readonly rows: readonly (readonly Record<string, unknown>[])[];
}

/** From the applier to the gateway. */
export type FromApplier =
  | { readonly type: "state"; readonly store: string; readonly state: ApplierState }
  /**
   * The partition's position is now `upTo`, and R14 holds for it: a commit of this epoch that covers it returned without
   * a WARNING. `provisional`: the copies are asynchronous, so a failover may take it back (and healing puts it again).
   * A position may go back (`upTo` smaller than before) after a failover.
   */
  | {
      readonly type: "applied";
      readonly store: string;
      readonly partition: number;
      readonly upTo: string;
      readonly lsn: string;
      readonly timeline: number;
      readonly epoch: number;
      readonly committedAtMs: number;
      readonly provisional: boolean;
      readonly answers: readonly WriteAnswer[];
    }
  /** Asks for a verdict to be journalled. Answered by `verdict-recorded`. */
  | {
      readonly type: "verdict";
      readonly request: number;
      readonly store: string;
      readonly partition: number;
      readonly payload: VerdictPayload;
    }
  /** A write that stood in the database came out otherwise when it was applied again (R13): an incident, counted as lost. */
  | { readonly type: "incident"; readonly store: string; readonly sequence: string; readonly code: string; readonly message: string }
  /** What receivers of the primary's WAL have flushed of `timeline`, by the names of their connections: as it says itself. */
  | {
      readonly type: "copies";
      readonly store: string;
      readonly timeline: number;
      readonly copies: readonly { readonly name: string; readonly flushed: string }[];
    }
  /** Everything up to here, over all partitions, is committed on this timeline and has reached the demanded copies (R11). */
  | { readonly type: "trim-safe"; readonly store: string; readonly upTo: string; readonly timeline: number };
