/**
 * What one store gets next. Pure. The order is the order of the WAL: an archive may end early and never has a hole
 * (NO-HOLE), so nothing is stored before what comes before it, and the growing segment only after everything sealed. History
 * files are first of all: without one, WAL of its timeline cannot be read. The end of a timeline that was left needs no
 * object of its own: the next timeline's first segment repeats the bytes before the fork.
 */
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { SegmentPlace } from "./local-wal.ts";
import type { WalRange } from "./wal-range.ts";

export interface UploadView {
  /** History files that are here and not there, ascending. */
  readonly histories: readonly Timeline[];
  /** Sealed segments that are here and not there, in order; the first of them are enough. */
  readonly segments: readonly SegmentPlace[];
  /** What of the growing segment is durable here, and how far the store has it. */
  readonly growing: WalRange | undefined;
  readonly growingStoredTo: Lsn | undefined;
  /** Since the last upload of a growing segment began; Infinity: there was none. */
  readonly sincePartialMs: number;
  readonly partialEveryMs: number;
}

export type Upload =
  | { readonly kind: "history"; readonly timeline: Timeline }
  /** One after the other, in this order. */
  | { readonly kind: "segments"; readonly places: readonly SegmentPlace[] }
  | { readonly kind: "partial"; readonly piece: WalRange }
  /** Nothing to do now; `forMs`: until the growing segment is due, undefined: until something happens. */
  | { readonly kind: "wait"; readonly forMs: number | undefined };

export function nextUpload(view: UploadView): Upload {
  const [history] = view.histories;
  if (history !== undefined) return { kind: "history", timeline: history };
  if (view.segments.length > 0) return { kind: "segments", places: view.segments };
  const { growing, growingStoredTo } = view;
  if (growing === undefined || (growingStoredTo !== undefined && growing.end <= growingStoredTo)) return { kind: "wait", forMs: undefined };
  const dueInMs = view.partialEveryMs - view.sincePartialMs;
  return dueInMs > 0 ? { kind: "wait", forMs: dueInMs } : { kind: "partial", piece: growing };
}
