import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";

/** What an object store is given of the world. */
export interface ObjectStoreWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Credentials may be named variables of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** `read`: nothing is written, not even to probe; `put` and `delete` reject with TM-OBJECT-STORE-DENIED. */
export type StoreAccess = "read" | "read-write";
