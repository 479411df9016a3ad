// The commits of a trail as they are known now: those of the segments in the index, and those of the segment that is being read.
import type { Lsn } from "@tidemark/kernel/lsn";
import type { CommitIndex } from "./commit-index.ts";
import type { CommitPoint, SegmentCommits } from "./commit-point.ts";
import type { Slices } from "./slices.ts";
import type { WalTrail } from "./wal-trail.ts";

/** Sums over the segments that follow one another without a hole up to `to`. */
export interface CommitSum {
  readonly from: Lsn;
  readonly to: Lsn;
  readonly count: number;
  readonly last: CommitPoint | undefined;
}

/** Adds up, newest first, until a segment is missing. Looks at every row, and so at every row's sum. */
export async function sumCommits(order: {
  index: CommitIndex;
  trail: WalTrail;
  to: Lsn;
  segmentBytes: number;
  slices: Slices;
}): Promise<CommitSum> {
  const { index, trail, to, segmentBytes, slices } = order;
  let from = to;
  let count = 0;
  let last: CommitPoint | undefined;
  for (const rows of index.descending(trail, to)) {
    for (const row of rows) {
      if (row.start + BigInt(segmentBytes) !== from) return { from, to, count, last };
      from = row.start;
      count += row.count;
      last ??= row.last;
    }
    await slices.breathe();
  }
  return { from, to, count, last };
}

/** With the segment that follows. */
export function addCommits(sum: CommitSum, facts: SegmentCommits, segmentBytes: number): CommitSum {
  const end = (facts.start + BigInt(segmentBytes)) as Lsn;
  const from = sum.to === facts.start ? sum.from : facts.start;
  const count = sum.to === facts.start ? sum.count : 0;
  return { from, to: end, count: count + facts.count, last: facts.last ?? (sum.to === facts.start ? sum.last : undefined) };
}

/** The ranges of whole segments in `starts` (ascending) that the index lacks, newest first. */
export async function missingRanges(order: {
  index: CommitIndex;
  trail: WalTrail;
  starts: readonly Lsn[];
  segmentBytes: number;
  slices: Slices;
}): Promise<{ from: Lsn; to: Lsn }[]> {
  const { index, trail, starts, segmentBytes, slices } = order;
  const end = starts.at(-1);
  if (end === undefined) return [];
  const known = new Set<Lsn>();
  for (const rows of index.descending(trail, (end + BigInt(segmentBytes)) as Lsn)) {
    for (const row of rows) known.add(row.start);
    await slices.breathe();
  }
  const ranges: { from: Lsn; to: Lsn }[] = [];
  for (const start of starts) {
    if (known.has(start)) continue;
    const last = ranges.at(-1);
    const to = (start + BigInt(segmentBytes)) as Lsn;
    if (last?.to === start) last.to = to;
    else ranges.push({ from: start, to });
  }
  return ranges.toReversed();
}
