// What probes find, as plain data. A figure that is not known has no number in it, so that it cannot become 0 on the way to
// the screen (HONEST-NUMBER).
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { FailureDomain } from "../objectives/failure-domain.ts";

/**
 * How a figure was come by; shown beside it. It also says whose clock a time of a recovery point is of: with `canary`,
 * `commit-record` and `synchronous` the primary's, with the others the observer's (what they do not know of the other clock is
 * in their error bound).
 */
export type Method =
  /** The canary row that was read on the copy itself: no two machines' clocks are compared. */
  | "canary"
  /** The commit time of the newest commit record that the copy has. */
  | "commit-record"
  /** Positions, turned into time by the history of positions that the observer kept: when it saw the primary there. */
  | "position-history"
  /** The copy's own statement, such as a backup's end in its repository's catalogue. */
  | "reported"
  /** An acknowledgement waits for this copy, so that nothing acknowledged is missing. */
  | "synchronous"
  /** The time at which the observer saw it, such as an object's time by its store's clock. */
  | "observed";

/** A known value, or why it is not known. Times are wall time of the observer, milliseconds. */
export type Figure<T> =
  | {
      readonly known: true;
      readonly value: T;
      readonly atMs: number;
      readonly method: Method;
      /** The value is right within so much, milliseconds of its time. */
      readonly errorMs: number;
    }
  | { readonly known: false; readonly why: string; readonly sinceMs: number };

export function known<T>(value: T, measured: { atMs: number; method: Method; errorMs: number }): Figure<T> {
  return { known: true, value, ...measured };
}

export function unknown<T>(why: string, sinceMs: number): Figure<T> {
  return { known: false, why, sinceMs };
}

/** The newest state that a copy can give back. */
export interface RecoveryPoint {
  /**
   * Everything that was acknowledged until then is there: the time of its newest commit or, where more is known, of the first
   * one that it lacks. Wall time, milliseconds, by the clock that the method says.
   */
  readonly commitMs: number;
  /** Nothing that was acknowledged was missing when it was looked at: an idle store's old commit is no exposure. */
  readonly complete: boolean;
  readonly lsn?: string;
  readonly timeline?: Timeline;
  /** Of the canary. */
  readonly sequence?: number;
}

export type CopyKind = "primary" | "standby" | "vault" | "archive" | "backup" | "journal" | "snapshot" | "queue" | "inventory";

/** One copy of a store, as it was seen last. */
export interface CopyFacts {
  /** Unique within its store, as in the configuration or as found: `pg2`, `vault1`, `vault1/far`. */
  readonly name: string;
  readonly kind: CopyKind;
  readonly domain: FailureDomain;
  /** `wal`: only what changed, so that a whole copy is needed to put it on (a vault, a journal). Default `whole`. */
  readonly holds?: "whole" | "wal";
  /** Of one that holds `wal`: somebody else keeps it, and may well keep whole copies for it that nobody told of. Default false. */
  readonly basesUnknown?: boolean;
  /** What it holds is on a disk that the end of its process does not touch, and it starts from it again. Default false. */
  readonly outlivesProcess?: boolean;
  /** Figures of this copy that are older are unknown, milliseconds: some periods of the probe that they come from. Default 10 s. */
  readonly freshForMs?: number;
  readonly recoveryPoint: Figure<RecoveryPoint>;
  /** WAL or data that it lacks, bytes; commits that it lacks. */
  readonly missingBytes: Figure<number>;
  readonly missingTransactions: Figure<number>;
  /** Whether an acknowledgement waits for it now. An asynchronous copy promises nothing in a stall. */
  readonly synchronous: Figure<boolean>;
  /**
   * The times to which it can go back (against `bad-write`); absent: only to its newest state. Wall time, milliseconds, by the
   * same clock as the recovery point. A single base backup goes back to one time. Of a copy that holds `wal`: from when to when
   * its WAL is unbroken; without it nobody knows what it can be put on.
   */
  readonly pointInTime?: { readonly fromMs: number; readonly toMs: number };
  /** Until when nobody, not even the account's owner, can delete it, wall time in milliseconds; absent: it can be deleted now. */
  readonly lockedUntilMs?: number;
  /** When it was last really recovered from and checked, and how long that took; absent: never (PROVEN-OR-NOT). */
  readonly proof?: { readonly atMs: number; readonly tookMs: number };
  /** What a person should know that no figure says. */
  readonly remarks: readonly string[];
}

/** A store, as it was seen last. */
export interface StoreFacts {
  readonly store: string;
  readonly atMs: number;
  /** What is said of the store below is unknown when it is older, milliseconds: some periods of the probe that it comes from. Default 10 s. */
  readonly freshForMs?: number;
  /** Wall time of the newest acknowledged commit, by the primary's clock; unknown while the primary does not answer. */
  readonly newestCommit: Figure<{ readonly commitMs: number; readonly lsn?: string; readonly timeline?: Timeline }>;
  /** The primary's clock minus the observer's, milliseconds, as it was estimated; absent: never. */
  readonly clockOffset?: Figure<number>;
  /** When the newest timeline began, wall time by the primary's clock: copies on an older one lack everything after it. Absent: not known. */
  readonly timelineSinceMs?: number;
  /** Commits a second, for figures in business units. */
  readonly commitRate: Figure<number>;
  readonly systemIdentifier?: SystemIdentifier;
  readonly copies: readonly CopyFacts[];
  /** Writes to the store are acknowledged once they are in this journal, and applied afterwards: until then it alone has them. */
  readonly acknowledgedBy?: Pick<CopyFacts, "name" | "domain">;
  /** Acknowledgements were released without the copies that had been asked for, at that time by the observer's clock (trap 16): positions before are not safe by that alone. */
  readonly releasedWithoutCopiesAtMs?: number;
}
