// What an archive is made of, and its limits.
import type { Clock } from "@tidemark/kernel/clock";
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import type { Logger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { ObjectStore } from "../../object-stores/object-store.ts";
import type { SharedFrontier } from "../receiver/shared-frontier.ts";
import type { SealedCommits } from "../sealing/sealed-header.ts";
import type { WalFolder } from "../wal-folder.ts";
import type { SegmentPlace } from "./local-wal.ts";
import type { ObjectSealer } from "./object-sealer.ts";
import type { WalRange } from "./wal-range.ts";

/** A place in the work at which a test ends the process, or looks. */
export type ArchiveStep =
  | ("seal" | "put" | "stored" | "read" | "catalogued" | "expired" | "listed" | "removing" | "removed")
  /** Around putting a damaged segment in its place again. */
  | ("repairing" | "linked" | "kept" | "written" | "replaced" | "repaired");

export interface ArchiveStoreParts {
  /** Its name in the configuration. */
  readonly name: string;
  /** It may be away, and may not even be open yet. Closed with the archive. */
  readonly store: ObjectStore;
}

export interface ArchiveLimits {
  /** One call to a store, milliseconds; then it counts as away. */
  readonly callTimeoutMs: number;
  /** What sealing, storing and reading again hold at a time, over all stores. One segment of 16 MiB takes 48 MiB while it is sealed. */
  readonly inFlightBytes: number;
  /** Pauses after a failed attempt: doubling from the first to the longest. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** Of each store, the newest object and one more are read again so often. */
  readonly checkEveryMs: number;
  /** While objects are known from their headers only (a new catalogue), one is read so often. */
  readonly unreadEveryMs: number;
  /** Each store's listing is compared with the catalogue so often. */
  readonly listEveryMs: number;
  /** One sealed segment of the folder is read again so often. */
  readonly localCheckEveryMs: number;
  /** The folder is looked through so often, besides when something is said to have changed. */
  readonly localListEveryMs: number;
}

export const ARCHIVE_LIMITS: ArchiveLimits = {
  callTimeoutMs: 120_000,
  inFlightBytes: 80 * 1_048_576,
  firstPauseMs: 250,
  longestPauseMs: 30_000,
  checkEveryMs: 10_000,
  unreadEveryMs: 250,
  listEveryMs: 600_000,
  localCheckEveryMs: 2_000,
  localListEveryMs: 30_000,
};

export interface ArchiveOptions {
  readonly systemIdentifier: SystemIdentifier;
  readonly folder: WalFolder;
  readonly frontier: SharedFrontier;
  /** In the order in which they are asked for a file. */
  readonly stores: readonly ArchiveStoreParts[];
  readonly sealer: ObjectSealer;
  readonly partialEveryMs: number;
  readonly keepLocalBytes: number;
  readonly limits?: Partial<ArchiveLimits>;
  /** The commits in a range of WAL that is durable here, where they are known. */
  readonly commitsOf?: (range: WalRange) => Promise<SealedCommits | undefined>;
  /** Sealed WAL from here on is still to be read by somebody in the vault. */
  readonly neededFrom?: () => Lsn | undefined;
  /** Receives a segment again that is damaged or gone and not archived; undefined when the primary has it no more. */
  readonly receiveAgain?: (place: SegmentPlace) => Promise<Uint8Array | undefined>;
  /** What is wrong with a segment as WAL, by its pages and records; undefined: nothing. Without it nothing is ever found wrong so. */
  readonly damageOf?: (bytes: Uint8Array, place: SegmentPlace) => Promise<string | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly step?: (step: ArchiveStep) => void;
}

/** What the parts of an archive share. */
export interface ArchiveWorld {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: ArchiveLimits;
  readonly step: (step: ArchiveStep) => void;
}
