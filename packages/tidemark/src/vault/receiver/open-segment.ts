// Puts the folder right before WAL is written at a position: what a kill may have left is finished or taken away, and what is
// before the position is durable, also where a process wrote it that was killed before it flushed, or whose flush failed: then
// the system may show bytes as clean that the disk never got (trap 2), so that a flush alone would say yes to them. What is
// kept of a partial file is therefore written again before it is flushed.
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError, assert } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { parseSegmentName, segmentStart } from "@tidemark/postgres/wal/segment-name";
import { PARTIAL } from "../wal-folder.ts";
import type { SealedSegment, SegmentWriterOptions } from "./segment-writer.ts";
import type { WalFiles } from "./wal-files.ts";

/** Bytes of a segment that are here already and must come the same again. */
export interface HeldBytes {
  readonly bytes: Buffer;
  /** Their place in the segment: `[from, to)`. */
  readonly from: number;
  readonly to: number;
}

export interface OpenedSegment {
  readonly file: { readonly fd: number; readonly path: string } | undefined;
  readonly held: HeldBytes | undefined;
  /** Segments that a kill had left to be sealed. */
  readonly sealed: SealedSegment[];
}

const CHUNK_BYTES = 1_048_576;

interface Found {
  readonly start: Lsn;
  readonly sealed: boolean;
}

/** See {@link SegmentWriter.open}. Throws Node's errors, and TM-VAULT-POSITION. */
export function openSegment(options: SegmentWriterOptions): OpenedSegment {
  const { folder, files, timeline, start } = options;
  files.makeDirectory(folder.wal);
  const own = segmentStart(start, folder.segmentBytes);
  const found = segmentsOf(options).sort((one, other) => (one.start < other.start ? -1 : 1));
  const beyond = found.find((segment) => segment.sealed && segment.start >= own);
  if (beyond !== undefined) throw misplaced(options, `the segment at ${formatLsn(beyond.start)} is sealed already`);
  const sealed: SealedSegment[] = [];
  const from = segmentStart(options.contiguousFrom, folder.segmentBytes);
  for (const segment of found.filter((each) => !each.sealed && each.start >= from && each.start !== own)) {
    if (segment.start > own) {
      files.remove(folder.segment({ timeline, lsn: segment.start }, false));
    } else {
      sealLeftover(options, segment.start);
      sealed.push({ timeline, start: segment.start });
    }
  }
  const held = readHeld(options);
  const file = found.some((segment) => segment.start === own) ? openPartial(options, held) : undefined;
  if (file === undefined && start !== own) throw misplaced(options, "nothing of its segment is here");
  files.syncDirectory(folder.wal);
  return { file, held, sealed };
}

function segmentsOf({ folder, files, timeline }: SegmentWriterOptions): Found[] {
  return files.list(folder.wal).flatMap((name) => {
    const sealed = !name.endsWith(PARTIAL);
    const place = parseSegmentName(sealed ? name : name.slice(0, -PARTIAL.length), folder.segmentBytes);
    return place === undefined || place.timeline !== timeline ? [] : [{ start: place.start, sealed }];
  });
}

/** Killed after the last byte and before the rename. */
function sealLeftover({ folder, files, timeline }: SegmentWriterOptions, start: Lsn): void {
  const path = folder.segment({ timeline, lsn: start }, false);
  const fd = files.open(path, "update");
  try {
    assert(files.size(fd) === folder.segmentBytes, `${path} has the size of a segment`);
    writeAgain(files, fd, folder.segmentBytes);
    files.sync(fd);
    files.rename(path, folder.segment({ timeline, lsn: start }, true));
  } finally {
    files.close(fd);
  }
}

function openPartial(options: SegmentWriterOptions, held: HeldBytes | undefined): { fd: number; path: string } {
  const { folder, files, timeline, start } = options;
  const own = segmentStart(start, folder.segmentBytes);
  const path = folder.segment({ timeline, lsn: own }, false);
  const fd = files.open(path, "update");
  try {
    files.truncate(fd, folder.segmentBytes);
    const keep = Math.max(Number(start - own), held?.to ?? 0);
    writeAgain(files, fd, keep);
    zeroFrom(files, fd, { from: keep, to: folder.segmentBytes });
    files.sync(fd);
    return { fd, path };
  } catch (error) {
    files.close(fd);
    throw error;
  }
}

function writeAgain(files: WalFiles, fd: number, end: number): void {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = 0; at < end; at += CHUNK_BYTES) {
    const length = files.read(fd, chunk, { length: Math.min(CHUNK_BYTES, end - at), position: at });
    writeWhole(files, fd, { bytes: chunk, length, position: at });
  }
}

function writeWhole(files: WalFiles, fd: number, what: { bytes: Buffer; length: number; position: number }): void {
  const { bytes, length, position } = what;
  for (let done = 0; done < length;) done += files.write(fd, bytes, { from: done, length: length - done, position: position + done });
}

/** Of another life of the stream there may be more in the file than is asked for again: zeros follow what was received. */
function zeroFrom(files: WalFiles, fd: number, range: { from: number; to: number }): void {
  const zeros = Buffer.alloc(CHUNK_BYTES);
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = range.from; at < range.to; at += CHUNK_BYTES) {
    const length = files.read(fd, chunk, { length: Math.min(CHUNK_BYTES, range.to - at), position: at });
    if (length === 0 || chunk.compare(zeros, 0, length, 0, length) === 0) continue;
    writeWhole(files, fd, { bytes: zeros, length, position: at });
  }
}

function readHeld(options: SegmentWriterOptions): HeldBytes | undefined {
  const { folder, files, start, held } = options;
  if (held === undefined || held.to <= start) return undefined;
  const own = segmentStart(start, folder.segmentBytes);
  const [from, to] = [Number(start - own), Number(held.to - own)];
  assert(to <= folder.segmentBytes, "what is held lies in one segment");
  const bytes = Buffer.allocUnsafe(to - from);
  const fd = openEither(options, held.timeline, own);
  try {
    const read = files.read(fd, bytes, { length: bytes.length, position: from });
    if (read < bytes.length) throw misplaced(options, "what should be held is not here");
    return { bytes, from, to };
  } finally {
    files.close(fd);
  }
}

function openEither(options: SegmentWriterOptions, timeline: Timeline, lsn: Lsn): number {
  const { folder, files } = options;
  const names = new Set(files.list(folder.wal));
  const path = [true, false]
    .map((sealed) => folder.segment({ timeline, lsn }, sealed))
    .find((each) => names.has(each.slice(folder.wal.length + 1)));
  if (path === undefined) throw misplaced(options, "what should be held is not here");
  return files.open(path, "update");
}

function misplaced({ timeline, start }: SegmentWriterOptions, why: string): TidemarkError {
  const lsn = formatLsn(start);
  return new TidemarkError("TM-VAULT-POSITION", `asked to write WAL of timeline ${timeline} from ${lsn} on: ${why}`, {
    details: { timeline, lsn },
  });
}
