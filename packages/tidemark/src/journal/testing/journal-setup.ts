import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JournalConfig } from "../../config/config.ts";

/** A journal's configuration for tests: small segments, no healing window, 4 partitions. */
export function journalConfig(directory: string, changes: Partial<JournalConfig> = {}): JournalConfig {
  return {
    kind: "embedded",
    directory,
    domain: { machine: "test" },
    partitions: 4,
    segmentBytes: 4 * 1024 * 1024,
    quotaBytes: 16 * 1024 * 1024,
    minimumFreeBytes: 0,
    healing: { windowMs: 3_600_000, atQuota: "shorten" },
    ...changes,
  };
}

/** A folder of its own that is removed by `remove`. */
export async function temporaryDirectory(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "tidemark-journal-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
