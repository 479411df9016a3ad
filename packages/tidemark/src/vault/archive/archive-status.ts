// What the archive says of itself: plain data, as JSON it travels through GET /status and `tidemark wal status`. LSNs are
// PostgreSQL's text form. Every figure says what it is measured against (HONEST-NUMBER).
import type { ErrorCode } from "@tidemark/kernel/errors";

/** A stretch of WAL: bytes from `start` up to, not with, `end`. */
export interface WalRangeStatus {
  readonly timeline: number;
  readonly start: string;
  readonly end: string;
}

/**
 * A hole (NO-HOLE): WAL that is missing between parts that are there, or a history file without which what is there cannot be
 * read. `where`: `local`, or the name of a store.
 */
export interface HoleStatus extends WalRangeStatus {
  readonly where: string;
  readonly kind: "wal" | "history";
  /** It is known why: the vault could not receive this WAL (a slot that lost it). Only a new base backup helps. */
  readonly recordedGap: boolean;
}

/** Something that somebody has to know, open until it is repaired. */
export interface FaultStatus {
  readonly code: ErrorCode;
  readonly where: string;
  /** What it is about: a segment, an object's key, or the catalogue. */
  readonly subject: string;
  readonly range?: WalRangeStatus;
  readonly message: string;
  /** Wall times of the first and the newest observation, milliseconds. */
  readonly sinceMs: number;
  readonly seenMs: number;
}

/**
 * - `starting`: before its first attempt. `reading`: the catalogue is made from what the store has.
 * - `current`: everything that is sealed is archived, the partial one within its interval.
 * - `archiving`: there is more to do, and it goes on.
 * - `held`: the last attempt failed (see `lastError`); it is made again, and the local segments stay until it succeeds.
 * - `stopped`: the archive does not run.
 */
export type StoreState = "starting" | "reading" | "current" | "archiving" | "held" | "stopped";

export interface RecoveryPointStatus {
  readonly timeline: number;
  /** Everything from here … */
  readonly from: string;
  /** … up to here is in the store and was read again from it and compared. */
  readonly lsn: string;
  /** Commit time of the last transaction before `lsn`, where it is known. */
  readonly commitTimeMs?: number;
}

export interface StoreStatus {
  readonly name: string;
  readonly state: StoreState;
  readonly recoveryPoint?: RecoveryPointStatus;
  /** Durable here and not yet archived there. */
  readonly lagBytes: string;
  /** Age of the oldest byte that is durable here and not archived there, 0 when there is none. */
  readonly lagSeconds: number;
  /** True where the age is a lower bound: the WAL was already waiting when this process started. */
  readonly lagIsLowerBound: boolean;
  readonly objects: number;
  /** Known from their headers only, after the catalogue was made anew; they are read whole one after the other. */
  readonly unverified: number;
  readonly storedBytes: number;
  readonly lastError?: { readonly code: string; readonly message: string; readonly atMs: number };
}

export interface ArchiveStatus {
  readonly stores: readonly StoreStatus[];
  readonly holes: readonly HoleStatus[];
  readonly gaps: readonly (WalRangeStatus & { readonly reason: string; readonly atMs: number })[];
  readonly faults: readonly FaultStatus[];
  readonly local: {
    readonly segments: number;
    readonly bytes: string;
    readonly oldest?: { readonly timeline: number; readonly lsn: string };
    /** Segments whose digest is recorded, and the share of them that was read again since the start. */
    readonly digested: number;
    readonly checked: number;
  };
}
