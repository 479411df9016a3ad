import type { Epoch, JournalId, Partition, Sequence, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { PrimaryRoute } from "../cluster/cluster-record.ts";
import type { CompiledCommand } from "../gateway/command-catalogue.ts";
import type { WritePayload } from "../gateway/write-payload.ts";
import type { Trouble } from "./trouble-table.ts";

/**
 * The applier's port to PostgreSQL. The adapter is platform/postgres-database.ts, the model for the simulation is in
 * packages/simulator/src/writes. A session is one connection: it is used by one caller at a time, never reconnects, and is
 * thrown away after `lost`.
 */
export interface Database {
  /** Connects to the node that the route names. Rejects with {@link DatabaseError} (reactions `reconnect` and `wait`). */
  open(route: PrimaryRoute): Promise<DatabaseSession>;
}

/** What a server says it is. */
export interface DatabaseIdentity {
  readonly inRecovery: boolean;
  readonly systemIdentifier: SystemIdentifier;
  readonly timeline: Timeline;
  /** The newest epoch in tidemark.reign; undefined when there is none. */
  readonly newestEpoch: Epoch | undefined;
}

/** A row of tidemark.position. */
export interface PositionRow {
  readonly generation: number;
  /** BASE_PARTITION for the generation's base. */
  readonly partition: number;
  readonly sequence: Sequence;
}

/** A dead letter that is neither replayed nor discarded. */
export interface PendingLetter {
  readonly sequence: Sequence;
  readonly key: string;
  readonly partition: Partition;
  /** The sequence whose place in the order of the key it has: its own, or that of what it replays. */
  readonly origin: Sequence;
  /** Whether later writes of the key wait behind it. */
  readonly stopsKey: boolean;
}

/** Where a position goes. `from` undefined: the row does not exist yet. */
export interface PositionMove {
  readonly generation: number;
  readonly partition: number;
  readonly from: Sequence | undefined;
  readonly to: Sequence;
}

/** A write to be executed. */
export interface WriteStep {
  readonly kind: "write";
  readonly sequence: Sequence;
  readonly key: string;
  readonly acceptedAtMs: number;
  readonly write: WritePayload;
  readonly command: CompiledCommand;
}

/** A write that takes no effect, because of its verdict: it becomes a dead letter. */
export interface BuryStep {
  readonly kind: "bury";
  readonly letter: PendingLetter;
  readonly state: "rejected" | "parked" | "discarded";
  readonly acceptedAtMs: number;
  readonly write: WritePayload;
  readonly generation: number;
  readonly sqlstate: string | undefined;
  readonly constraint: string | undefined;
  readonly reason: string;
  readonly by: string;
}

/** A pending dead letter that is settled: replayed as another record, or given up. Nothing happens if it is not pending. */
export interface SettleStep {
  readonly kind: "settle";
  readonly sequence: Sequence;
  readonly as: "replayed" | "discarded";
  readonly replayedAs: Sequence | undefined;
}

export type Step = WriteStep | BuryStep | SettleStep;

/** One transaction: positions first, then the steps in order. */
export interface ApplyUnit {
  readonly journal: JournalId;
  readonly epoch: Epoch;
  readonly moves: readonly PositionMove[];
  readonly steps: readonly Step[];
}

/** What is known behind a COMMIT that returned. */
export interface CommitFacts {
  /**
   * No WARNING of a cancelled wait came, and the session still sees synchronous standbys configured; so this commit and all
   * before it have reached the synchronous set (R14). With no standbys configured: `asynchronous`.
   */
  readonly proof: "replicated" | "cancelled" | "asynchronous";
  /** The end of WAL behind the commit, on `timeline`. */
  readonly lsn: Lsn;
}

/** Rows of one write, one array per statement. Kept for writes with `rows: true` only. */
export type WriteRows = readonly (readonly Record<string, unknown>[])[];

export type ApplyOutcome =
  | {
      readonly kind: "committed";
      readonly facts: CommitFacts;
      readonly rows: ReadonlyMap<Sequence, WriteRows>;
      readonly duplicates: readonly Sequence[];
    }
  /** Nothing took effect. `step` is the index of the failed step, undefined where COMMIT itself failed or the trouble is not of a step. */
  | { readonly kind: "failed"; readonly trouble: Trouble; readonly step: number | undefined }
  /** The connection broke, or the session was abandoned: in doubt, and the session is of no more use. */
  | { readonly kind: "lost"; readonly trouble: Trouble };

/** A copy that streams from this primary. */
export interface StreamingCopy {
  readonly name: string;
  readonly flushed: Lsn;
}

export interface DatabaseSession {
  identify(): Promise<DatabaseIdentity>;
  /** Makes or migrates the schema; rejects with TM-APPLIER-SCHEMA when a newer version made it. */
  ensureSchema(): Promise<void>;
  positions(journal: JournalId): Promise<PositionRow[]>;
  /** Journals other than this one that have positions here (R12). */
  otherJournals(journal: JournalId): Promise<JournalId[]>;
  pendingLetters(journal: JournalId): Promise<PendingLetter[]>;
  /** Never rejects. */
  apply(unit: ApplyUnit): Promise<ApplyOutcome>;
  /** A commit that proves earlier ones, moving `moves` with it (R11, R14). Never rejects. */
  barrier(unit: Omit<ApplyUnit, "steps">): Promise<ApplyOutcome>;
  /** Copies in state `streaming`, with how far they have flushed on this server's timeline. */
  streamingCopies(): Promise<StreamingCopy[]>;
  /** Deletes up to `most` idempotency rows older than `ageMs`; answers how many. */
  forgetKeys(ageMs: number, most: number): Promise<number>;
  /** Called once when the connection breaks, also when it is idle. */
  onLost(listener: (trouble: Trouble) => void): void;
  /** Drops the connection at once; what is under way is lost and in doubt. Idempotent. */
  abandon(): void;
  /** Ends the session in order. */
  close(): Promise<void>;
}

/** Rejections of the port's reading methods. */
export class DatabaseError extends Error {
  readonly trouble: Trouble;

  constructor(trouble: Trouble, options?: { cause?: unknown }) {
    super(trouble.message, options);
    this.name = "DatabaseError";
    this.trouble = trouble;
  }
}
