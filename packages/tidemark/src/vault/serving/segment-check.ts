// Whether a WAL file holds what its place says, up to the end that is known. A flipped bit in the middle would end a recovery
// there, silently (trap 34), so each segment's records are read, with their checksums, before it is given. What cannot be seen
// in one segment alone: the rest of a record that began in the one before, and the start of one that goes on in the next.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { WalReader } from "@tidemark/postgres/wal/wal-reader";

export interface CheckedPlace {
  readonly timeline: Timeline;
  readonly start: Lsn;
  /** The WAL that must be whole ends here, exclusive: the segment's end, or the end of a record. */
  readonly upTo: Lsn;
  readonly systemIdentifier: string;
}

/** Says what is wrong, with its position; undefined when nothing is. `bytes` is a whole segment. */
export type SegmentCheck = (bytes: Uint8Array, place: CheckedPlace) => Promise<string | undefined>;

/** Read without letting others run: a few milliseconds. */
const SLICE_BYTES = 1_048_576;

/** Reads the records. `breathe` lets the event loop go on between two slices. */
export function segmentCheck(breathe: () => Promise<void>): SegmentCheck {
  return async (bytes, place) => {
    const length = Number(place.upTo - place.start);
    const reader = new WalReader(
      {
        segmentBytes: bytes.length,
        start: place.start,
        atRecord: false,
        checkCrc: true,
        timeline: place.timeline,
        systemIdentifier: BigInt(place.systemIdentifier),
        collect: [],
      },
      () => undefined,
    );
    for (let at = 0; at < length; at += SLICE_BYTES) {
      if (at > 0) await breathe();
      const stop = reader.push(bytes, at, Math.min(at + SLICE_BYTES, length));
      if (stop !== undefined)
        return `the WAL breaks at ${formatLsn(stop.lsn)} (${stop.reason}), before its end at ${formatLsn(place.upTo)}`;
    }
    if (length < bytes.length && reader.lengthInWork > 0) return `a record is cut at ${formatLsn(place.upTo)}`;
    return undefined;
  };
}
