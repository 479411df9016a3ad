// A repository of whole backups and the WAL behind them, as a copy: what both pgBackRest and Barman come down to.
import type { Timeline } from "@tidemark/kernel/brands";
import { formatLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { pointAt, type PositionTimes } from "./position-times.ts";
import type { CopyFacts, Figure, RecoveryPoint } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";

/** Said of each: its catalogue knows no restore. Proofs come from elsewhere. */
export const UNPROVEN = "Its catalogue says what is there, not that it can be restored: unproven until a restore was checked.";

/** Catalogues tell times in whole seconds, and ask for the time just after the position, milliseconds. */
const CATALOGUE_TIME_ERROR_MS = 2_000;

export interface WholeBackup {
  /** Wall time of the backup's host, milliseconds. */
  readonly endedMs: number;
  /** Where it is consistent; absent where the catalogue does not say. */
  readonly end?: { readonly timeline: Timeline; readonly lsn: Lsn };
}

export interface BackupRepository {
  readonly name: string;
  readonly domain: FailureDomain;
  readonly freshForMs: number;
  /** In any order; those that cannot be restored from are left out. */
  readonly backups: readonly WholeBackup[];
  /** The end of its newest WAL; undefined when it has none or does not say. */
  readonly archivedTo: { readonly timeline: Timeline; readonly lsn: Lsn } | undefined;
  readonly positions: PositionTimes | undefined;
  readonly atMs: number;
  readonly errorMs: number;
  readonly remarks: readonly string[];
}

/** Without a whole backup there is no recovery point, however much WAL there is. */
export function backupCopy(repository: BackupRepository): CopyFacts {
  const { name, domain, freshForMs, backups, atMs, errorMs, remarks } = repository;
  const newest = backups.reduce<WholeBackup | undefined>(
    (last, one) => (last === undefined || one.endedMs > last.endedMs ? one : last),
    undefined,
  );
  const oldest = backups.reduce<WholeBackup | undefined>(
    (first, one) => (first === undefined || one.endedMs < first.endedMs ? one : first),
    undefined,
  );
  const common = {
    name,
    kind: "backup",
    domain,
    outlivesProcess: true,
    freshForMs,
    synchronous: known(false, { atMs, method: "reported", errorMs }),
    remarks,
  } as const;
  if (newest === undefined || oldest === undefined) {
    const none = unknown<never>("there is no whole backup", atMs);
    return { ...common, recoveryPoint: none, missingBytes: none, missingTransactions: none };
  }
  const archived = archivedPoint(repository, newest);
  const ofBackup: Figure<RecoveryPoint> = known(
    {
      commitMs: newest.endedMs,
      complete: false,
      ...(newest.end === undefined ? {} : { lsn: formatLsn(newest.end.lsn), timeline: newest.end.timeline }),
    },
    { atMs, method: "reported", errorMs: errorMs + CATALOGUE_TIME_ERROR_MS },
  );
  const nothing = "the time of its newest WAL is not known";
  const point = archived ?? {
    recoveryPoint: ofBackup,
    missingBytes: unknown<number>(nothing, atMs),
    missingTransactions: unknown<number>(nothing, atMs),
  };
  const toMs = point.recoveryPoint.known ? Math.max(point.recoveryPoint.value.commitMs, newest.endedMs) : newest.endedMs;
  return { ...common, ...point, pointInTime: { fromMs: oldest.endedMs, toMs } };
}

/** Where the WAL behind the newest backup reaches, when that can be told as a time. */
function archivedPoint({ archivedTo, positions, atMs, errorMs }: BackupRepository, newest: WholeBackup) {
  // Without the place where the backup is consistent nobody knows whether the WAL goes on from it.
  if (archivedTo === undefined || newest.end === undefined || archivedTo.timeline < newest.end.timeline || archivedTo.lsn < newest.end.lsn)
    return undefined;
  const point = pointAt(positions, archivedTo, { atMs, errorMs });
  return point.recoveryPoint.known ? point : undefined;
}

/** A whole segment's name (PostgreSQL, XLogFileName): timeline, and where the segment ends. Undefined when it is none. */
export function endOfSegment(name: string, segmentBytes: number): { readonly timeline: Timeline; readonly lsn: Lsn } | undefined {
  if (!/^[0-9A-F]{24}$/.test(name)) return undefined;
  const high = BigInt(`0x${name.slice(8, 16)}`);
  const low = BigInt(`0x${name.slice(16)}`);
  return { timeline: Number.parseInt(name.slice(0, 8), 16) as Timeline, lsn: ((high << 32n) + (low + 1n) * BigInt(segmentBytes)) as Lsn };
}

/** PostgreSQL's default, bytes. */
export const DEFAULT_SEGMENT_BYTES = 16 * 1_048_576;

/** A catalogue is read each minute, and not each second: its command takes a second or so. Milliseconds. */
export const CATALOGUE_FRESH_FOR_MS = 300_000;
