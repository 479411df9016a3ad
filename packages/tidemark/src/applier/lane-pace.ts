/**
 * How often a partition begins a transaction. Each costs a commit, its flush here and on every demanded copy, so under load a
 * partition gathers a good batch first; alone, or with somebody waiting for the outcome, it begins at once.
 */

/** While other partitions are at work, a partition begins so often at most, ms: so much later may its writes take effect. */
export const PACE_MS = 10;
/** With so many writes in hand it begins at once: more of them make each write hardly cheaper. */
export const GOOD_BATCH_WRITES = 64;

/** What the pace depends on. */
export interface PacedLane {
  /** When its last transaction began, on the monotonic clock. */
  readonly beganMs: number;
  /** Records in hand. */
  readonly length: number;
  /** Records in hand whose writer waits until they are applied. */
  readonly awaited: number;
  /** It has a write to find, to judge or to bury. */
  readonly troubled: boolean;
}

/** When the lane may begin, on the monotonic clock. */
export function beginsAtMs(lane: PacedLane, othersAtWork: boolean): number {
  const atOnce = !othersAtWork || lane.troubled || lane.awaited > 0 || lane.length >= GOOD_BATCH_WRITES;
  return atOnce ? 0 : lane.beganMs + PACE_MS;
}
