// Where to begin reading, so that the live end is known soon and no commit is counted twice or left out.
import type { Lsn } from "@tidemark/kernel/lsn";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { WalFolder } from "../wal-folder.ts";
import type { CommitIndex } from "./commit-index.ts";
import type { CursorStart } from "./trail-cursor.ts";
import type { SegmentCommits } from "./commit-point.ts";
import type { WalTrail } from "./wal-trail.ts";

/** More segments than these behind the frontier, reading begins near the frontier, and what is between is read beside it. */
const LIVE_SEGMENTS = 8n;

/** The segments of the trail that are here without a hole down from `reach`, ascending. */
export async function presentSegments(folder: WalFolder, trail: WalTrail, reach: Lsn): Promise<Lsn[]> {
  const bytes = BigInt(folder.segmentBytes);
  const here = new Set<Lsn>();
  for (const { timeline, start } of await folder.segments()) {
    const piece = trail.pieces.find((one) => one.timeline === timeline);
    if (piece !== undefined && piece.from < start + bytes && (piece.to === undefined || piece.to > start)) here.add(start);
  }
  const starts: Lsn[] = [];
  // Of a segment that begins at the frontier nothing may be here yet.
  let start = segmentStart(reach, folder.segmentBytes);
  if (!here.has(start) && start === reach) start = (start - bytes) as Lsn;
  for (; here.has(start); start = (start - bytes) as Lsn) starts.push(start);
  return starts.toReversed();
}

export function liveStart(order: {
  index: CommitIndex;
  trail: WalTrail;
  starts: readonly Lsn[];
  reach: Lsn;
  segmentBytes: bigint;
}): CursorStart {
  const { index, trail, starts, reach, segmentBytes } = order;
  const current = (reach - (reach % segmentBytes)) as Lsn;
  const oldest = starts[0] ?? current;
  const row = newestRow(index, trail, reach);
  const rowEnd = row === undefined ? undefined : ((row.start + segmentBytes) as Lsn);
  if (row !== undefined && rowEnd !== undefined && rowEnd >= oldest && current - rowEnd <= LIVE_SEGMENTS * segmentBytes) {
    if (row.boundary >= oldest) return { lsn: row.boundary, atRecord: true, previous: row.previous, countFrom: rowEnd };
    return { lsn: rowEnd, atRecord: false, countFrom: rowEnd };
  }
  const near = current - LIVE_SEGMENTS * segmentBytes;
  if (near <= oldest) return { lsn: oldest, atRecord: false, countFrom: oldest };
  // In the first segment a commit may end that began before it: it counts with the past.
  return { lsn: near as Lsn, atRecord: false, countFrom: (near + segmentBytes) as Lsn };
}

function newestRow(index: CommitIndex, trail: WalTrail, reach: Lsn): SegmentCommits | undefined {
  for (const rows of index.descending(trail, reach)) if (rows[0] !== undefined) return rows[0];
  return undefined;
}
