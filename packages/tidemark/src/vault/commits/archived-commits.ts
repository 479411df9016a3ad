// The commits of segments that are in the archive only, where the index lost them: read from the bytes that the archive gave.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { TransactionRecord } from "@tidemark/postgres/wal/transaction-record";
import { WalReader } from "@tidemark/postgres/wal/wal-reader";
import type { CommitIndex } from "./commit-index.ts";
import type { SegmentCommits } from "./commit-point.ts";
import { CommitTally } from "./commit-tally.ts";
import type { SpareSegments } from "./known-commits.ts";
import type { Slices } from "./slices.ts";
import { PIECE_BYTES } from "./trail-cursor.ts";
import type { WalTrail } from "./wal-trail.ts";

export interface ArchivedOrder {
  readonly index: CommitIndex;
  readonly trail: WalTrail;
  readonly segmentBytes: number;
  readonly spare: SpareSegments;
  readonly slices: Slices;
}

/**
 * Puts the segments before `from` into the index, newest first, until `enough` says so of one of them; at most `most`. The one
 * at `from` is counted again: nobody had the beginning of the record that goes over into it. Answers where what is known
 * begins now, and whether the archive had no more.
 */
export async function indexArchived(
  order: ArchivedOrder,
  want: { from: Lsn; most: number; enough: (facts: SegmentCommits) => boolean },
): Promise<{ from: Lsn; ended: boolean }> {
  const { index, trail, segmentBytes, spare } = order;
  const timelineOf = (start: Lsn): Timeline => trail.pieceAt((start + BigInt(segmentBytes) - 1n) as Lsn).timeline;
  let { from } = want;
  let bytes = await spare({ timeline: timelineOf(from), start: from });
  for (let read = 0; read < want.most; read++) {
    if (from === 0n) return { from, ended: true };
    const before = (from - BigInt(segmentBytes)) as Lsn;
    const earlier = await spare({ timeline: timelineOf(before), start: before });
    if (earlier === undefined) return { from, ended: true };
    // A segment that is not whole in the archive yet is here, and was read with what precedes it in the index.
    const counted = bytes === undefined ? undefined : await countOver(order, { start: from, timeline: timelineOf(from), earlier, bytes });
    if (counted !== undefined) index.put(counted);
    const facts = await countOver(order, { start: before, timeline: timelineOf(before), earlier: undefined, bytes: earlier });
    if (facts === undefined) return { from, ended: true };
    index.put(facts);
    from = before;
    bytes = earlier;
    if (want.enough(facts)) return { from, ended: false };
  }
  return { from, ended: false };
}

/** The commits that end in one segment; undefined when it cannot be read. */
async function countOver(
  { segmentBytes, slices }: ArchivedOrder,
  segment: { start: Lsn; timeline: Timeline; earlier: Uint8Array | undefined; bytes: Uint8Array },
): Promise<SegmentCommits | undefined> {
  const { start, timeline, earlier, bytes } = segment;
  const tally = new CommitTally(start);
  const transaction = new TransactionRecord();
  const first = (earlier === undefined ? start : start - BigInt(segmentBytes)) as Lsn;
  const reader = new WalReader({ segmentBytes, start: first, atRecord: false, checkCrc: true }, (record) => {
    if (transaction.read(record) && transaction.isCommit && record.end > start) tally.add(record, transaction);
  });
  for (const part of earlier === undefined ? [bytes] : [earlier, bytes]) {
    for (let at = 0; at < part.length; at += PIECE_BYTES) {
      if (reader.push(part, at, Math.min(part.length, at + PIECE_BYTES)) !== undefined) return undefined;
      await slices.breathe();
    }
  }
  if (reader.boundary === undefined) return undefined;
  return tally.facts(timeline, { boundary: reader.boundary, previous: reader.previous ?? (0n as Lsn) });
}
