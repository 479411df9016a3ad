import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import type { ObjectStoreWorld } from "../object-store-world.ts";

/** The real world, with a log that is kept. */
export function storeWorld(
  environment: Readonly<Record<string, string>> = {},
): ObjectStoreWorld & { readonly lines: string[]; readonly facts: object[] } {
  const lines: string[] = [];
  const facts: object[] = [];
  const write = (given: object, message: string): void => {
    lines.push(message);
    facts.push(given);
  };
  const logger: Logger = { debug: write, info: write, warn: write, error: write, child: () => logger };
  return { clock: systemClock, random: systemRandom, logger, environment, lines, facts };
}

/** A folder of its own that is removed by `remove`. */
export async function temporaryFolder(): Promise<{ readonly path: string; readonly remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "tidemark-objects-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The code with which `work` rejects. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no error",
    (error: unknown) => String((error as { code?: unknown }).code ?? error),
  );
}
