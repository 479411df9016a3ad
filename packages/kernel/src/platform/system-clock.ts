import type { Clock, Timer } from "../clock.ts";

/** The machine's clock: `Date` for wall time, `performance` for monotonic time. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs: number, callback: () => void, options?: { keepAlive?: boolean }): Timer {
    const handle = setTimeout(callback, delayMs);
    if (options?.keepAlive === false) handle.unref();
    return { clear: () => clearTimeout(handle) };
  },
};
