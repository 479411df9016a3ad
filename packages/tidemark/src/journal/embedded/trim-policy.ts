/** What trimming looks at in a segment. */
export interface TrimCandidate {
  readonly lastSequence: number;
  /** Acceptance time of its newest record. */
  readonly newestAcceptedAtMs: number;
}

/**
 * How many of the oldest segments may be forgotten: whole ones that are safe in the database (TRIM-SAFE, R11) and whose
 * newest record was accepted at least `windowMs` ago (the healing window; 0 at the quota, R18). The newest segment stays:
 * it is being written. Pure.
 */
export function trimmableSegments(
  segments: readonly TrimCandidate[],
  limits: { trimSafe: number; nowMs: number; windowMs: number },
): number {
  let count = 0;
  while (count < segments.length - 1) {
    const segment = segments[count];
    if (segment === undefined || segment.lastSequence > limits.trimSafe) break;
    if (limits.windowMs > 0 && segment.newestAcceptedAtMs + limits.windowMs > limits.nowMs) break;
    count++;
  }
  return count;
}
