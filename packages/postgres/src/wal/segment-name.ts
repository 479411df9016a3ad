// The arithmetic of WAL files: which segment holds a position, and what its file is called. Source: xlog_internal.h.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";

/** The size of a WAL segment where nothing else was said at initdb: 16 MiB. */
export const DEFAULT_SEGMENT_BYTES = 16_777_216;

export interface SegmentPlace {
  readonly timeline: Timeline;
  /** Its first byte. */
  readonly start: Lsn;
}

/** Where the segment that holds `lsn` begins. */
export function segmentStart(lsn: Lsn, segmentBytes: number): Lsn {
  return (lsn - (lsn % BigInt(segmentBytes))) as Lsn;
}

/** The name of the segment that holds `lsn`: 24 hexadecimal digits. */
export function segmentName(place: { timeline: Timeline; lsn: Lsn }, segmentBytes: number): string {
  const number = place.lsn / BigInt(segmentBytes);
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes);
  return [BigInt(place.timeline), number / perFile, number % perFile]
    .map((part) => part.toString(16).toUpperCase().padStart(8, "0"))
    .join("");
}

/** The place of a segment by its name; undefined for any other text, also for a number that no segment of this size has. */
export function parseSegmentName(name: string, segmentBytes: number): SegmentPlace | undefined {
  if (!/^[0-9A-F]{24}$/.test(name)) return undefined;
  const timeline = Number.parseInt(name.slice(0, 8), 16);
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes);
  const low = BigInt(`0x${name.slice(16)}`);
  if (timeline === 0 || low >= perFile) return undefined;
  const start = (BigInt(`0x${name.slice(8, 16)}`) * perFile + low) * BigInt(segmentBytes);
  return { timeline: timeline as Timeline, start: start as Lsn };
}

/** The name of a timeline's history file. */
export function historyName(timeline: Timeline): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, "0")}.history`;
}

/** The timeline of a history file by its name; undefined for any other text. */
export function parseHistoryName(name: string): Timeline | undefined {
  const match = /^([0-9A-F]{8})\.history$/.exec(name);
  const timeline = match === null ? 0 : Number.parseInt(match[1] ?? "", 16);
  return timeline === 0 ? undefined : (timeline as Timeline);
}
