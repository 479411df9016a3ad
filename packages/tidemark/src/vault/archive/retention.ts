/**
 * Which sealed segments may leave the vault's folder. Pure. From the oldest on and never past one that has to stay, so that
 * what is here is one stretch: one goes only if every store has it, read again and compared, if what stays is at least
 * `keepBytes`, and if nobody in the vault still has to read it. Without a store nothing goes: the vault is the only copy.
 */
import type { Lsn } from "@tidemark/kernel/lsn";
import type { SegmentPlace } from "./local-wal.ts";

export interface RetentionView {
  /** The oldest sealed segments, in order; the first of them are enough. */
  readonly oldest: readonly (SegmentPlace & { readonly archived: boolean })[];
  /** Of all sealed segments here. */
  readonly segments: number;
  readonly segmentBytes: number;
  readonly keepBytes: number;
  readonly stores: number;
  /** Still to be read by somebody from here on; undefined: by nobody. */
  readonly neededFrom: Lsn | undefined;
}

export function mayLeave(view: RetentionView): SegmentPlace[] {
  if (view.stores === 0) return [];
  let surplus = Math.floor((view.segments * view.segmentBytes - view.keepBytes) / view.segmentBytes);
  const leaving: SegmentPlace[] = [];
  for (const segment of view.oldest) {
    const end = segment.start + BigInt(view.segmentBytes);
    const needed = view.neededFrom !== undefined && end > view.neededFrom;
    if (surplus <= 0 || !segment.archived || needed) break;
    leaving.push({ timeline: segment.timeline, start: segment.start });
    surplus--;
  }
  return leaving;
}
