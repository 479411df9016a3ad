import type { Clock } from "@tidemark/kernel/clock";
import type { Announcer } from "./announcer.ts";

/** A transaction that has no answer after so long is shown as waiting, ms. It is not cancelled (R14). */
export const COMMIT_WAITS_AFTER_MS = 2_000;

/** Waits for a transaction and shows when it hangs. `what` names it: `the transaction of partition 3`. */
export async function watched<T>(world: { clock: Clock; announcer: Announcer }, what: string, transaction: Promise<T>): Promise<T> {
  const { clock, announcer } = world;
  const sinceMs = clock.wallMs();
  const message = `${what} has had no answer for ${COMMIT_WAITS_AFTER_MS} ms: no copy confirms it, or it waits for a lock`;
  const timer = clock.setTimer(
    COMMIT_WAITS_AFTER_MS,
    () => announcer.state({ state: "waiting", code: "TM-APPLIER-COMMIT-WAITS", message, sinceMs }),
    { keepAlive: false },
  );
  try {
    return await transaction;
  } finally {
    timer.clear();
  }
}
