import type { Epoch, Sequence, Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import type { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { PrimaryRoute } from "../cluster/cluster-record.ts";
import type { CompiledCommand } from "../gateway/command-catalogue.ts";
import type { JournalReader } from "../journal/journal.ts";
import type { Announcer } from "./announcer.ts";
import type { ApplyRules } from "./apply-rules.ts";
import type { CommitFacts } from "./database.ts";
import type { Frontier } from "./journal-feed.ts";
import type { LaneBoard } from "./lane-board.ts";
import type { PartitionLane } from "./partition-lane.ts";
import type { Trouble } from "./trouble-table.ts";
import type { VerdictDesk } from "./verdict-desk.ts";
import type { VerdictIndex } from "./verdict-index.ts";

/** What outlives a run. */
export interface ApplyWorld {
  readonly store: string;
  /** How many copies beside the primary must hold what the journal forgets (TRIM-SAFE): the store's `required`. */
  readonly requiredCopies: number;
  readonly reader: JournalReader;
  readonly frontier: Frontier;
  /** The highest position that a database can have of this journal; beyond it the journal has gone back (R12). */
  readonly mostApplied: () => Sequence;
  /** The positions of a database were read and fit: from now on records behind them may be applied. */
  readonly met: () => void;
  readonly commands: ReadonlyMap<string, CompiledCommand>;
  readonly verdicts: VerdictIndex;
  readonly desk: VerdictDesk;
  readonly announcer: Announcer;
  readonly rules: ApplyRules;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The newest route, which may be newer than the run's. */
  readonly route: () => PrimaryRoute | undefined;
}

/** The reign that a run connected to. */
export interface RunReign {
  readonly epoch: Epoch;
  readonly timeline: Timeline;
  /** The epoch of the route that led here: the same as `epoch`, but where an operator accepted another database (R17). */
  readonly routeEpoch: Epoch;
}

/** Why a run ended. `trouble`: connect again. `final`: FAIL-STOP. */
export type RunEnd =
  | { readonly kind: "stopped" }
  | { readonly kind: "trouble"; readonly trouble: Trouble }
  | { readonly kind: "final"; readonly error: TidemarkError };

/** What the parts of a run ask of it. */
export interface RunControl {
  readonly world: ApplyWorld;
  readonly reign: RunReign;
  readonly board: LaneBoard;
  readonly isOver: boolean;
  /** Aborts when the run is over. */
  readonly over: AbortSignal;
  /** Ends the run; the first end counts. */
  finish(end: RunEnd): void;
  /** Lanes have changed: whoever waits for one looks again. */
  wake(): void;
  /** Wakes at a moment of the monotonic clock at the latest. */
  wakeAt(atMs: number): void;
  /** R14: a commit with proof covers the lane; one without waits for a barrier. */
  announce(lane: PartitionLane, facts: CommitFacts): void;
  announceState(): void;
}
