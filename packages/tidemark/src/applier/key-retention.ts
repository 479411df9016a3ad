import { sleep, type Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Database } from "./database.ts";
import type { PrimaryLocator } from "./primary-locator.ts";

/** Between rounds, ms; rows of one delete, at most; deletes of one round, at most: beyond it the next round goes on. */
export const RETENTION_EVERY_MS = 60_000;
export const MOST_ROWS_OF_A_DELETE = 2_000;
const MOST_DELETES_OF_A_ROUND = 50;

/** Forgets idempotency keys that are older than their window (R15), in small deletes on a connection of its own. */
export class KeyRetention {
  readonly #world: { database: Database; locator: PrimaryLocator; windowMs: number; clock: Clock; logger: Logger };

  constructor(world: { database: Database; locator: PrimaryLocator; windowMs: number; clock: Clock; logger: Logger }) {
    this.#world = world;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#world.clock, RETENTION_EVERY_MS, signal).catch(() => undefined);
      if (!signal.aborted) await this.round();
    }
  }

  /** One round; answers how many keys it forgot. A fault ends the round: the next one goes on. */
  async round(): Promise<number> {
    const { database, locator, windowMs, logger } = this.#world;
    const route = locator.current;
    if (route?.state !== "open") return 0;
    let forgotten = 0;
    try {
      const session = await database.open(route);
      try {
        for (let i = 0; i < MOST_DELETES_OF_A_ROUND; i++) {
          const count = await session.forgetKeys(windowMs, MOST_ROWS_OF_A_DELETE);
          forgotten += count;
          if (count < MOST_ROWS_OF_A_DELETE) break;
        }
      } finally {
        session.abandon();
      }
    } catch (error) {
      logger.debug({ err: error }, "forgetting old idempotency keys stopped; the next round goes on");
    }
    return forgotten;
  }
}
