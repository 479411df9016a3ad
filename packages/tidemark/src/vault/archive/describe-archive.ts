import { formatLsn } from "@tidemark/kernel/lsn";
import type { ArchiveBook } from "./archive-book.ts";
import type { ArchiveStatus, RecoveryPointStatus, StoreStatus, WalRangeStatus } from "./archive-status.ts";
import type { Archiver } from "./archiver.ts";
import type { Hole, Reach } from "./hole-check.ts";
import type { LagClock } from "./lag-clock.ts";
import type { LocalKeeper } from "./local-keeper.ts";
import type { LocalWal } from "./local-wal.ts";
import type { WalRange } from "./wal-range.ts";

/** Faults that are shown, the oldest first; with more, the rest follows when these are repaired. */
const FAULTS_SHOWN = 200;

export interface DescribedParts {
  readonly book: ArchiveBook;
  readonly keeper: LocalKeeper;
  readonly stores: readonly { readonly name: string; readonly archiver: Archiver }[];
  readonly local: LocalWal;
  readonly lag: LagClock;
  readonly nowMs: number;
}

/** What the archive knows of itself, at this moment. */
export function describeArchive(parts: DescribedParts): ArchiveStatus {
  const { book, keeper, local } = parts;
  const gaps = book.catalogue.gaps();
  const segments = book.catalogue.segments();
  const oldest = segments[0];
  return {
    stores: parts.stores.map((store) => describeStore(parts, store)),
    holes: book.holes().map((hole) => ({
      ...rangeStatus(hole),
      where: hole.where,
      kind: hole.kind,
      recordedGap: gaps.some((gap) => covers(gap, hole)),
    })),
    gaps: gaps.map((gap) => ({ ...rangeStatus(gap), reason: gap.reason, atMs: gap.atMs })),
    faults: book.catalogue
      .faults(FAULTS_SHOWN)
      .map(({ range, ...fault }) => ({ ...fault, ...(range === undefined ? {} : { range: rangeStatus(range) }) })),
    local: {
      segments: segments.length,
      bytes: String(BigInt(segments.length) * BigInt(local.segmentBytes)),
      ...(oldest === undefined ? {} : { oldest: { timeline: oldest.timeline, lsn: formatLsn(oldest.start) } }),
      digested: segments.filter(({ sha256 }) => sha256 !== undefined).length,
      checked: keeper.checked,
    },
  };
}

function describeStore(parts: DescribedParts, { name, archiver }: DescribedParts["stores"][number]): StoreStatus {
  const { book, local, lag, nowMs } = parts;
  const reach = book.reach(name);
  const { timeline, flushed } = local.frontier();
  const from = reach?.to ?? book.catalogue.segments()[0]?.start ?? local.growing()?.start ?? flushed;
  const behind = timeline !== 0 && flushed > from ? flushed - from : 0n;
  const age = behind === 0n ? { ms: 0, isLowerBound: false } : lag.age(from, nowMs);
  const figures = book.catalogue.figures(name);
  const { lastError } = archiver;
  return {
    name,
    state: archiver.state,
    ...(reach === undefined ? {} : { recoveryPoint: recoveryPointOf(book, name, reach) }),
    lagBytes: String(behind),
    lagSeconds: age.ms / 1_000,
    lagIsLowerBound: age.isLowerBound,
    objects: figures.objects,
    unverified: figures.unverified,
    storedBytes: figures.bytes,
    ...(lastError === undefined ? {} : { lastError }),
  };
}

function recoveryPointOf(book: ArchiveBook, store: string, reach: Reach): RecoveryPointStatus {
  const { timeline, from, to } = reach;
  const commitMs = book.catalogue.lastCommitMs(store, timeline, to);
  return { timeline, from: formatLsn(from), lsn: formatLsn(to), ...(commitMs === undefined ? {} : { commitTimeMs: commitMs }) };
}

function rangeStatus(range: WalRange): WalRangeStatus {
  return { timeline: range.timeline, start: formatLsn(range.start), end: formatLsn(range.end) };
}

function covers(gap: WalRange, hole: Hole): boolean {
  return gap.timeline === hole.timeline && gap.start < hole.end && gap.end > hole.start;
}
