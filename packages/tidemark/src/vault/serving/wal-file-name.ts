// The names under which PostgreSQL archives and restores WAL: segments, history files, backup labels, and the partial last
// segment of a timeline that was left. Source: xlog_internal.h, xlogarchive.c.
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseHistoryName, parseSegmentName } from "@tidemark/postgres/wal/segment-name";

export type WalFileName =
  | { readonly kind: "segment"; readonly name: string; readonly timeline: Timeline; readonly start: Lsn }
  | { readonly kind: "history"; readonly name: string; readonly timeline: Timeline }
  /** `<segment>.<offset>.backup`: when a base backup began and ended. */
  | { readonly kind: "label"; readonly name: string }
  /** `<segment>.partial`: what a promoted server archives as the end of the timeline that it left. */
  | { readonly kind: "partial"; readonly name: string; readonly timeline: Timeline; readonly start: Lsn };

const PARTIAL_END = ".partial";
const LABEL = /^([0-9A-F]{24})\.[0-9A-F]{8}\.backup$/;

/** Reads a file name (never a path). Throws TM-VAULT-WAL-NAME. */
export function parseWalFileName(name: string, segmentBytes: number): WalFileName {
  const segment = parseSegmentName(name, segmentBytes);
  if (segment !== undefined) return { kind: "segment", name, ...segment };
  const history = parseHistoryName(name);
  if (history !== undefined) return { kind: "history", name, timeline: history };
  const label = LABEL.exec(name)?.[1];
  if (label !== undefined && parseSegmentName(label, segmentBytes) !== undefined) return { kind: "label", name };
  const partial = name.endsWith(PARTIAL_END) ? parseSegmentName(name.slice(0, -PARTIAL_END.length), segmentBytes) : undefined;
  if (partial !== undefined) return { kind: "partial", name, ...partial };
  throw new TidemarkError("TM-VAULT-WAL-NAME", `"${name.slice(0, 80)}" is not the name of a WAL file of ${segmentBytes}-byte segments`);
}
