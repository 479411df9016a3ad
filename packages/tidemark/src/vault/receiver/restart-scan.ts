// Where the WAL of a run ends after a start: every record of the newest file is read and checked by its CRC. What follows the
// last whole record is requested again. An end before what is known to have been durable is damage, and is said (NO-HOLE): it
// must never pass for a shorter log.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { findLastWholeRecord } from "@tidemark/postgres/wal/last-whole-record";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { WalFolder, WalSegmentFile } from "../wal-folder.ts";
import { storedHistory } from "./history-chain.ts";
import type { WalPoint } from "./stream-plan.ts";

export interface RestartScanOrder {
  readonly folder: WalFolder;
  readonly run: { readonly from: WalPoint; readonly timeline: Timeline };
  /** What is known to have been durable: a whole record ended there. */
  readonly mark: WalPoint | undefined;
  readonly systemIdentifier: SystemIdentifier;
}

export interface RestartScan {
  /** Where receiving goes on. Everything before it is here. */
  readonly frontier: WalPoint;
  /** The end of the last whole record; not beyond the frontier, and before it only where a record goes over two segments. */
  readonly whole: WalPoint;
  /** Bytes that were durable and are not WAL any more: from `from`, which is the frontier, at least up to `to`. */
  readonly damage?: { readonly from: WalPoint; readonly to: WalPoint; readonly what: string };
  /** Segments that are missing between others, each with its range. They cannot be received again. */
  readonly holes: readonly { readonly from: WalPoint; readonly to: WalPoint }[];
}

/** Reads synchronously, some 20 ms for a segment: for the receiver's thread. */
export async function scanAfterRestart(order: RestartScanOrder): Promise<RestartScan> {
  const { folder, run, mark } = order;
  const history = await storedHistory(folder, run.timeline);
  const fork = history?.at(-1);
  const own = await scanTimeline(order, run.timeline, undefined);
  // The new timeline's file begins with a copy of the old one's up to the fork: an end in there says that the old one's is the
  // longer, which was received to its end before the switch was recorded.
  const began = fork !== undefined && run.from.timeline < run.timeline ? fork : undefined;
  if (began !== undefined && (own === undefined || own.frontier.lsn <= began.switchLsn)) {
    const parent = await scanTimeline(order, began.timeline, began.switchLsn);
    const end: WalPoint = { timeline: began.timeline, lsn: began.switchLsn };
    const found = parent ?? { frontier: run.from, whole: run.from, holes: [] };
    if (found.damage !== undefined) return found;
    if (mark !== undefined && mark.timeline === run.timeline && mark.lsn > began.switchLsn)
      return { ...found, damage: { from: found.frontier, to: mark, what: "WAL after the last timeline switch is missing" } };
    return found.frontier.lsn < end.lsn
      ? { ...found, damage: { from: found.frontier, to: end, what: "WAL before the fork is missing" } }
      : found;
  }
  if (own !== undefined) return own;
  const nothing = { frontier: run.from, whole: run.from, holes: [] };
  return mark === undefined || mark.lsn <= run.from.lsn
    ? nothing
    : { ...nothing, damage: { from: run.from, to: mark, what: "all files of the timeline are missing" } };
}

/** @param fork where the timeline was left, when it is not the newest: nothing beyond it is asked for. */
async function scanTimeline(order: RestartScanOrder, timeline: Timeline, fork: Lsn | undefined): Promise<RestartScan | undefined> {
  const { folder, run } = order;
  const bytes = BigInt(folder.segmentBytes);
  const first = timeline === run.from.timeline ? segmentStart(run.from.lsn, folder.segmentBytes) : (0n as Lsn);
  const files = (await folder.segments()).filter((one) => one.timeline === timeline && one.start >= first);
  const { chain, holes, sealedBeyond } = contiguous(files, bytes);
  const last = chain.at(-1);
  if (last === undefined) return undefined;
  const end = last.sealed && fork !== undefined && last.start + bytes > fork ? fork : undefined;
  const found = scanTail(order, chain, last);
  const whole = end !== undefined && found.end > end ? end : found.end;
  const lowest = last.sealed ? ((last.start + bytes) as Lsn) : last.start;
  // A sealed segment is whole to the byte, and so is all that is before the partial one: a record that goes over from there
  // into the partial one is continued, not begun again.
  let frontier = whole < lowest ? lowest : whole;
  const damage = damageOf(order, { timeline, whole, found, sealedBeyond });
  if (damage !== undefined) frontier = damage.from.lsn;
  if (fork !== undefined && frontier > fork) frontier = fork;
  return { frontier: { timeline, lsn: frontier }, whole: { timeline, lsn: whole }, ...(damage === undefined ? {} : { damage }), holes };
}

/**
 * The newest contiguous files. A partial one ends them: while segments are sealed beside the receiving there may be a second one
 * after it, of which nothing was acknowledged.
 */
function contiguous(
  files: readonly WalSegmentFile[],
  bytes: bigint,
): { chain: WalSegmentFile[]; holes: { from: WalPoint; to: WalPoint }[]; sealedBeyond: Lsn | undefined } {
  let chain: WalSegmentFile[] = [];
  const holes: { from: WalPoint; to: WalPoint }[] = [];
  // Both names of one segment: killed between two steps of a cut. The sealed one is cut again.
  const single = files.filter((file) => file.sealed || !files.some((other) => other.sealed && other.start === file.start));
  for (const file of single) {
    const last = chain.at(-1);
    if (last !== undefined && !last.sealed) {
      const sealedBeyond = single.findLast((one) => one.sealed && one.start > last.start);
      return { chain, holes, sealedBeyond: sealedBeyond === undefined ? undefined : ((sealedBeyond.start + bytes) as Lsn) };
    }
    const expected = last === undefined ? undefined : ((last.start + bytes) as Lsn);
    if (expected !== undefined && file.start > expected) {
      // A second partial file over a hole was never acknowledged; a sealed one was.
      if (!file.sealed) return { chain, holes, sealedBeyond: undefined };
      holes.push({ from: { timeline: file.timeline, lsn: expected }, to: { timeline: file.timeline, lsn: file.start } });
      chain = [];
    }
    chain.push(file);
  }
  return { chain, holes, sealedBeyond: undefined };
}

type Tail = ReturnType<typeof findLastWholeRecord>;

function scanTail(order: RestartScanOrder, chain: readonly WalSegmentFile[], last: WalSegmentFile): Tail {
  const paths = new Map(chain.map((file) => [file.start, file.path]));
  return findLastWholeRecord({
    segment: last.start,
    segmentBytes: order.folder.segmentBytes,
    path: (segment) => paths.get(segment),
    timeline: last.timeline,
    systemIdentifier: BigInt(order.systemIdentifier),
  });
}

function damageOf(
  { mark }: RestartScanOrder,
  scan: { timeline: Timeline; whole: Lsn; found: Tail; sealedBeyond: Lsn | undefined },
): RestartScan["damage"] {
  const { timeline, whole, found, sealedBeyond } = scan;
  const from = { timeline, lsn: whole };
  const until = (lsn: Lsn): WalPoint => ({ timeline, lsn });
  const marked = mark !== undefined && mark.timeline === timeline && mark.lsn > whole ? mark.lsn : undefined;
  if (found.tail.follows === "damage") {
    const to = marked !== undefined && marked > found.tail.to ? marked : found.tail.to;
    return { from, to: until(to > whole ? to : whole), what: `bytes of a record or page are not WAL (${found.tail.reason})` };
  }
  if (sealedBeyond !== undefined)
    return { from, to: until(sealedBeyond), what: "sealed segments stand behind one that was never finished" };
  if (marked !== undefined) return { from, to: until(marked), what: "the last whole record ends before what had been durable" };
  return undefined;
}
