import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import type { ObjectStoreWorld } from "../object-stores/object-store-world.ts";

/** What object stores and keys are given of the world by a command: what they say is in the errors, not in a log. */
export function walWorld(): ObjectStoreWorld {
  return { clock: systemClock, random: systemRandom, logger: silentLogger, environment: process.env };
}
