/** A timer that was set on a {@link Clock}; clearing it twice, or after it fired, does nothing. */
export interface Timer {
  clear(): void;
}

/**
 * What time it is. Wall time is for people and for records; monotonic time is for durations and deadlines, because a
 * wall clock may jump. Code takes its clock from the constructor so that a test owns time.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. May go backwards. */
  wallMs(): number;
  /** Milliseconds since an arbitrary start, fractional, never going backwards. Not comparable between processes. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs`. The timer does not keep the process alive when `keepAlive` is false (default true). */
  setTimer(delayMs: number, callback: () => void, options?: { keepAlive?: boolean }): Timer;
}

/** Waits `delayMs` on `clock`; rejects with the signal's reason when aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      timer.clear();
      reject(signal?.reason as Error);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
