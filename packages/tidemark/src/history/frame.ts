// All series of one second, as bytes: what is written every second, in one row, until the minutes are written per series.
//
//   frame  = *sample
//   sample = series(4) value(8)     the top bit of series: not known, the value is NaN
const SAMPLE_BYTES = 12;
const UNKNOWN_BIT = 0x8000_0000;

export interface FrameSample {
  readonly series: number;
  /** Undefined: looked at and not known. */
  readonly value: number | undefined;
}

export function encodeFrame(samples: readonly FrameSample[]): Uint8Array {
  const bytes = new Uint8Array(samples.length * SAMPLE_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, { series, value }] of samples.entries()) {
    view.setUint32(index * SAMPLE_BYTES, value === undefined ? (series | UNKNOWN_BIT) >>> 0 : series, true);
    view.setFloat64(index * SAMPLE_BYTES + 4, value ?? Number.NaN, true);
  }
  return bytes;
}

export function* decodeFrame(bytes: Uint8Array): Generator<FrameSample> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + SAMPLE_BYTES <= bytes.length; at += SAMPLE_BYTES) {
    const word = view.getUint32(at, true);
    const value = view.getFloat64(at + 4, true);
    yield { series: word & ~UNKNOWN_BIT, value: word >= UNKNOWN_BIT || !Number.isFinite(value) ? undefined : value };
  }
}
