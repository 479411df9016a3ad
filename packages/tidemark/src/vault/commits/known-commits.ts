// Questions about commits that were read: of a range, and of a time.
import type { Clock } from "@tidemark/kernel/clock";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { Timeline } from "@tidemark/kernel/brands";
import { TransactionRecord } from "@tidemark/postgres/wal/transaction-record";
import { WalReader } from "@tidemark/postgres/wal/wal-reader";
import type { WalRange } from "../archive/wal-range.ts";
import type { SealedCommits } from "../sealing/sealed-header.ts";
import type { WalFolder } from "../wal-folder.ts";
import type { CommitSum } from "./commit-book.ts";
import type { CommitIndex } from "./commit-index.ts";
import type { CommitPoint, SegmentCommits } from "./commit-point.ts";
import { timeMs } from "./commit-point.ts";
import type { CommitTally } from "./commit-tally.ts";
import { Slices } from "./slices.ts";
import type { TimeWorld } from "./time-answer.ts";
import type { CursorStart } from "./trail-cursor.ts";
import { PIECE_BYTES, TrailCursor } from "./trail-cursor.ts";
import type { WalTrail } from "./wal-trail.ts";

/** What is known at one moment. */
export interface KnownCommits {
  readonly index: CommitIndex;
  readonly trail: WalTrail;
  readonly sum: CommitSum;
  /** Of the segment that is being read; undefined while that is counted already. */
  readonly tally: CommitTally | undefined;
  /** Up to here commits are known. */
  readonly to: Lsn;
  /** How far the newest timeline's file may be read. */
  readonly received: Lsn;
  readonly folder: WalFolder;
  readonly clock: Clock;
}

/** Gives the bytes of a whole segment from elsewhere, or undefined. */
export type SpareSegments = (place: { timeline: Timeline; start: Lsn }) => Promise<Uint8Array | undefined>;

/** The commits whose records end in a range that begins with a segment and ends in it; undefined when that segment is not on the trail. */
export function commitsInRange(known: KnownCommits, range: WalRange): SealedCommits | undefined {
  const { index, folder, trail, tally } = known;
  if (range.end <= range.start || trail.pieceAt((range.end - 1n) as Lsn).timeline !== range.timeline) return undefined;
  if (range.end - range.start === BigInt(folder.segmentBytes)) {
    const facts = index.get(range.timeline, range.start);
    return facts === undefined ? undefined : sealedOf(facts.count, facts.first, facts.last);
  }
  if (tally === undefined || tally.start !== range.start) return undefined;
  const mark = tally.marks.findLast(({ boundary }) => boundary <= range.end);
  const before = startBefore(known, range.start);
  const from: CursorStart | undefined =
    mark === undefined ? before : { lsn: mark.boundary, atRecord: true, previous: mark.previous, countFrom: range.start };
  if (from === undefined) return undefined;
  let { count, last } = mark ?? { count: 0, last: undefined };
  let first = count > 0 ? tally.first : undefined;
  const cursor = new TrailCursor({
    trail,
    folder,
    start: from,
    checkCrc: false,
    onCommit: (commit) => {
      if (commit.end <= range.start) return;
      first ??= commit;
      last = commit;
      count++;
    },
  });
  // Behind a mark at most one piece is left.
  let advance = cursor.advance(range.end, known.received);
  while (advance === "read") advance = cursor.advance(range.end, known.received);
  cursor.close();
  if (advance !== "done") return undefined;
  return sealedOf(count, first, last);
}

function sealedOf(count: number, first: CommitPoint | undefined, last: CommitPoint | undefined): SealedCommits {
  return {
    count,
    ...(first === undefined ? {} : { first: { lsn: first.lsn, timeMs: timeMs(first) } }),
    ...(last === undefined ? {} : { last: { lsn: last.lsn, timeMs: timeMs(last) } }),
  };
}

/** Where to begin so that every commit is seen that ends in the segment: with the record that goes over into it. */
function startBefore({ index, trail, folder }: KnownCommits, segment: Lsn): CursorStart {
  const row = segment === 0n ? undefined : index.get(trail.pieceAt((segment - 1n) as Lsn).timeline, (segment - BigInt(folder.segmentBytes)) as Lsn); // prettier-ignore
  if (row === undefined) return { lsn: segment, atRecord: false, countFrom: segment };
  return { lsn: row.boundary, atRecord: true, previous: row.previous, countFrom: segment };
}

/** The world of {@link answerTime}. */
export function timeWorld(known: KnownCommits, spare: SpareSegments | undefined): TimeWorld {
  const { index, trail, tally, sum, clock } = known;
  const slices = new Slices(clock);
  const live = tally === undefined ? undefined : tally.facts(trail.newest.timeline, { boundary: known.to, previous: 0n as Lsn });
  const firstOf = async (portions: Iterable<SegmentCommits[]>): Promise<SegmentCommits | undefined> => {
    for (const [row] of portions) {
      // Only what belongs to the contiguous past: a segment before a hole says nothing about what came after it.
      if (row !== undefined) return row.start < sum.from ? undefined : row;
      await slices.breathe();
    }
    return undefined;
  };
  return {
    known: { from: sum.from, to: known.to },
    firstLater: async (timeUs) =>
      (await firstOf(index.ascending(trail, { lowest: sum.from, below: sum.to }, { laterThanUs: timeUs }))) ??
      (live?.latestUs !== undefined && live.latestUs > timeUs ? live : undefined),
    lastNotLater: async (timeUs, from) => {
      if (live?.earliestUs !== undefined && live.earliestUs <= timeUs) return live;
      const row = await firstOf(index.descending(trail, sum.to, { notLaterThanUs: timeUs }));
      return row === undefined || row.start < from ? undefined : row;
    },
    lastBefore: async (start) => {
      if (live?.last !== undefined && live.start < start) return live.last;
      return (await firstOf(index.descending(trail, start < sum.to ? start : sum.to, { anyCommit: true })))?.last;
    },
    eachCommit: (segment, show) => showCommits(known, { segment, show, spare, slices }),
  };
}

async function showCommits(
  known: KnownCommits,
  order: { segment: SegmentCommits; show: (commit: CommitPoint) => void; spare: SpareSegments | undefined; slices: Slices },
): Promise<boolean> {
  const { segment, show, spare, slices } = order;
  const { trail, folder, received } = known;
  const end = (segment.start + BigInt(folder.segmentBytes)) as Lsn;
  const to = end < known.to ? end : known.to;
  const only = (commit: CommitPoint): void => {
    if (commit.end > segment.start && commit.end <= end) show(commit);
  };
  for (const start of [startBefore(known, segment.start), { lsn: segment.start, atRecord: false, countFrom: segment.start }]) {
    const seen: CommitPoint[] = [];
    const cursor = new TrailCursor({ trail, folder, start, checkCrc: false, onCommit: (commit) => seen.push(commit) });
    let advance = cursor.advance(to, received);
    for (; advance === "read"; advance = cursor.advance(to, received)) {
      for (const commit of seen.splice(0)) only(commit);
      await slices.breathe();
    }
    cursor.close();
    for (const commit of seen) only(commit);
    if (advance === "done") return true;
    // The file of the record that goes over is gone: what began in this segment can still be shown.
    if (cursor.position > segment.start) return false;
  }
  const bytes = await spare?.({ timeline: segment.timeline, start: segment.start });
  if (bytes === undefined) return false;
  const transaction = new TransactionRecord();
  if (segment.first !== undefined && segment.first.lsn < segment.start) show(segment.first);
  const reader = new WalReader({ segmentBytes: folder.segmentBytes, start: segment.start, atRecord: false, checkCrc: false }, (record) => {
    if (!transaction.read(record) || !transaction.isCommit) return;
    only({ lsn: record.lsn, end: record.end, timeUs: transaction.timeUs, xid: transaction.xid });
  });
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    if (reader.push(bytes, at, Math.min(bytes.length, at + PIECE_BYTES)) !== undefined) return false;
    await slices.breathe();
  }
  return true;
}
