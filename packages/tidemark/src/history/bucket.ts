// What many seconds come to. Seconds in which the value was not known are counted and have no part in the numbers; a bucket
// without either is a gap: nobody looked (HONEST-NUMBER).

export interface Bucket {
  /** Seconds with a value. */
  readonly known: number;
  /** Seconds that were looked at without a value. */
  readonly unknown: number;
  /** Absent without a value. */
  readonly values?: { readonly min: number; readonly max: number; readonly sum: number };
}

export const EMPTY_BUCKET: Bucket = { known: 0, unknown: 0 };

export function mergeBuckets(one: Bucket, other: Bucket): Bucket {
  const counts = { known: one.known + other.known, unknown: one.unknown + other.unknown };
  const values = one.values === undefined || other.values === undefined ? (one.values ?? other.values) : join(one.values, other.values);
  return values === undefined ? counts : { ...counts, values };
}

/** A single second; undefined: it was not known. */
export function bucketOf(value: number | undefined): Bucket {
  return value === undefined ? { known: 0, unknown: 1 } : { known: 1, unknown: 0, values: { min: value, max: value, sum: value } };
}

type Values = NonNullable<Bucket["values"]>;

function join(one: Values, other: Values): Values {
  return { min: Math.min(one.min, other.min), max: Math.max(one.max, other.max), sum: one.sum + other.sum };
}
