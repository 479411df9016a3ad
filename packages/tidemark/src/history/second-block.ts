// The seconds of one series in one minute, as bytes: runs of seconds with the same value, since most series stand still most of
// the time. A second may come more than once, after a clock was set back.
//
//   block = version(1) *run
//   run   = offset(1) length(1) kind(1) [value(8)]    kind 0: a number follows; 1: not known, nothing follows
import { assert } from "@tidemark/kernel/errors";

const VERSION = 1;
const HEAD_BYTES = 1;
const RUN_BYTES = 3;
const VALUE_BYTES = 8;
const KNOWN = 0;
const UNKNOWN = 1;

/** Seconds of a minute with their values, in the order in which they were recorded; undefined: looked at and not known. */
export interface SecondBlock {
  /** Second of the minute, 0 to 59. */
  readonly offsets: readonly number[];
  readonly values: readonly (number | undefined)[];
}

export function encodeBlock({ offsets, values }: SecondBlock): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + offsets.length * (RUN_BYTES + VALUE_BYTES));
  bytes[0] = VERSION;
  let at = HEAD_BYTES;
  for (let first = 0; first < offsets.length;) {
    const offset = offsets[first] ?? 0;
    assert(offset >= 0 && offset < 60, "a second of a minute");
    const value = values[first];
    let length = 1;
    while (first + length < offsets.length && offsets[first + length] === offset + length && Object.is(values[first + length], value))
      length++;
    bytes[at] = offset;
    bytes[at + 1] = length;
    bytes[at + 2] = value === undefined ? UNKNOWN : KNOWN;
    at += RUN_BYTES;
    if (value !== undefined) at = bytes.writeDoubleLE(value, at);
    first += length;
  }
  return bytes.subarray(0, at);
}

/** Undefined: the bytes are of another version, or damaged. */
export function decodeBlock(bytes: Uint8Array): SecondBlock | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes[0] !== VERSION) return undefined;
  const offsets: number[] = [];
  const values: (number | undefined)[] = [];
  for (let at = HEAD_BYTES; at < bytes.length;) {
    const [offset, length, kind] = [bytes[at], bytes[at + 1], bytes[at + 2]];
    at += RUN_BYTES;
    if (offset === undefined || length === undefined || length === 0 || offset + length > 60) return undefined;
    let value: number | undefined;
    if (kind === KNOWN) {
      if (at + VALUE_BYTES > bytes.length) return undefined;
      value = view.getFloat64(at, true);
      if (!Number.isFinite(value)) return undefined;
      at += VALUE_BYTES;
    } else if (kind !== UNKNOWN) return undefined;
    for (let second = offset; second < offset + length; second++) {
      offsets.push(second);
      values.push(value);
    }
  }
  return { offsets, values };
}
