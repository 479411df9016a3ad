import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { segmentName } from "@tidemark/postgres/wal/segment-name";

/** Bytes that are told by their position alone, and never zero: what stands in a file can be judged without a copy. */
export function knownByte(lsn: number): number {
  return 1 + ((Math.imul(lsn + 1, 2_654_435_761) >>> 8) % 255);
}

export function knownWal(from: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index++) bytes[index] = knownByte(from + index);
  return bytes;
}

export interface FoundWal {
  /** Right bytes without a gap from the beginning of `from` to here, through sealed segments and then partial ones. */
  readonly end: number;
  /** End of the last sealed segment. */
  readonly sealedEnd: number;
  /** What breaks the rules: a wrong byte in a sealed segment, or a sealed one after a gap. */
  readonly faults: readonly string[];
}

/** Reads what a folder of known WAL holds, by the content of its files. */
export function findKnownWal(
  files: { list(): string[]; content(name: string): Buffer | undefined },
  place: { timeline: Timeline; from: number; segmentBytes: number },
): FoundWal {
  const faults: string[] = [];
  const names = new Set(files.list());
  const { from, segmentBytes } = place;
  let end = from;
  let sealedEnd = from;
  let broken = false;
  const count = names.size + 2;
  for (let at = from; at < from + count * segmentBytes; at += segmentBytes) {
    const name = segmentName({ timeline: place.timeline, lsn: BigInt(at) as Lsn }, segmentBytes);
    const sealed = names.has(name);
    const bytes = files.content(sealed ? name : `${name}.partial`);
    let right = 0;
    while (bytes !== undefined && right < segmentBytes && bytes[right] === knownByte(at + right)) right++;
    if (sealed && right < segmentBytes) faults.push(`${name} is sealed and wrong at ${right}`);
    if (sealed && broken) faults.push(`${name} is sealed after a gap`);
    if (sealed && names.has(`${name}.partial`)) faults.push(`${name} is there sealed and partial`);
    if (!broken) end = at + right;
    if (sealed) sealedEnd = at + segmentBytes;
    if (right < segmentBytes) broken = true;
  }
  return { end, sealedEnd, faults };
}
