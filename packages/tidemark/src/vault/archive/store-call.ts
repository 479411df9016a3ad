// One call to an object store, bounded in time: a store that hangs must hold up nothing but itself.
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";

/**
 * Rejects with TM-OBJECT-STORE-AWAY when `work` has not settled after `timeoutMs`, and with the reason of `signal` when that
 * aborts; `work` is told by its own signal, and what it does after that is nobody's concern.
 */
export async function storeCall<T>(
  bounds: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal; readonly what: string },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  bounds.signal.throwIfAborted();
  const own = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const end = (error: Error): void => {
      own.abort(error);
      reject(error);
    };
    const onAbort = (): void => end(bounds.signal.reason as Error);
    bounds.signal.addEventListener("abort", onAbort, { once: true });
    const timer = bounds.clock.setTimer(bounds.timeoutMs, () =>
      end(new TidemarkError("TM-OBJECT-STORE-AWAY", `could not ${bounds.what}: no answer after ${bounds.timeoutMs} ms`)),
    );
    work(own.signal)
      .then(resolve, reject)
      .finally(() => {
        timer.clear();
        bounds.signal.removeEventListener("abort", onAbort);
      });
  });
}
