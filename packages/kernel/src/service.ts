import type { Clock } from "./clock.ts";
import { sleep } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** Something that lives long. `run` resolves when `signal` aborts and it has drained; it rejects on a fault that a restart may cure. */
export interface Service {
  readonly name: string;
  run(signal: AbortSignal): Promise<void>;
}

/** How long to wait before the next attempt: doubling from `firstMs` to `mostMs`, reset after `healthyMs` without a fault. */
export interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
  readonly healthyMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { firstMs: 50, mostMs: 5_000, healthyMs: 10_000 };

/**
 * Runs `service` until `signal` aborts, and starts it again with backoff when it fails. Faults that `isFinal` claims
 * (FAIL-STOP) are rethrown: restarting must not paper over them.
 */
export async function keepRunning(
  service: Service,
  signal: AbortSignal,
  world: { clock: Clock; logger: Logger; backoff?: Backoff; isFinal?: (error: unknown) => boolean },
): Promise<void> {
  const backoff = world.backoff ?? DEFAULT_BACKOFF;
  let delayMs = backoff.firstMs;
  while (!signal.aborted) {
    const startedMs = world.clock.monotonicMs();
    try {
      await service.run(signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (world.isFinal?.(error) === true) throw error;
      if (world.clock.monotonicMs() - startedMs >= backoff.healthyMs) delayMs = backoff.firstMs;
      world.logger.warn({ service: service.name, err: error, delayMs }, "service failed, starting it again");
      await sleep(world.clock, delayMs, signal).catch(() => undefined);
      delayMs = Math.min(delayMs * 2, backoff.mostMs);
    }
  }
}
