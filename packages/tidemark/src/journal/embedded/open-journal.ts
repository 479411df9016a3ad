import { join } from "node:path";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { JournalConfig } from "../../config/config.ts";
import type { Journal, JournalReader } from "../journal.ts";
import { LEAST_SEGMENT_BYTES, SECTOR_BYTES } from "../segment-format.ts";
import { EmbeddedJournal } from "./embedded-journal.ts";
import { FilesReader } from "./files-reader.ts";
import type { Files } from "./files.ts";
import { LOCK_NAME, readManifest } from "./manifest.ts";
import { nodeFiles } from "./node-files.ts";
import { recover } from "./recovery.ts";

export interface OpenJournalOptions {
  readonly config: JournalConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Default: the real file system. */
  readonly files?: Files;
  /** Default: setImmediate, so that the appends of one turn of the event loop share a group. */
  readonly defer?: (run: () => void) => void;
}

/**
 * Opens the journal in `config.directory` for writing, or makes a new one there; recovers it first (docs/journal-format.md).
 * Rejects with TM-JOURNAL-LOCKED, -DAMAGED (FAIL-STOP, with the range), -FOREIGN, -VERSION or -LIMITS.
 */
export async function openJournal(options: OpenJournalOptions): Promise<Journal> {
  const { config, clock, random, logger } = options;
  const files = options.files ?? nodeFiles;
  checkLimits(config);
  await files.makeDirectory(config.directory);
  const lock = await files.lock(join(config.directory, LOCK_NAME));
  let journal: EmbeddedJournal | undefined;
  try {
    const recovered = await recover(files, config.directory, { clock, random, segmentBytes: config.segmentBytes });
    for (const torn of recovered.torn)
      logger.warn(
        { ...torn, directory: config.directory },
        "the journal ended in a torn group, which nobody was told to be safe; it was cut off",
      );
    journal = new EmbeddedJournal({ files, clock, logger, defer: options.defer ?? ((run) => void setImmediate(run)) }, config, {
      recovered,
      lock,
    });
    await journal.begin(recovered);
    return journal;
  } catch (error) {
    if (journal === undefined) lock.release();
    else await journal.close();
    throw error;
  }
}

/** Opens a journal for reading, beside the process that writes it. Rejects with TM-JOURNAL-MISSING when there is none. */
export async function openJournalReader(options: { directory: string; files?: Files }): Promise<JournalReader> {
  const files = options.files ?? nodeFiles;
  const manifest = await readManifest(files, options.directory);
  if (manifest === undefined)
    throw new TidemarkError("TM-JOURNAL-MISSING", `${options.directory} has no journal.json`, {
      details: { directory: options.directory },
    });
  return new FilesReader(files, options.directory, manifest);
}

function checkLimits(config: JournalConfig): void {
  const { segmentBytes, quotaBytes } = config;
  if (segmentBytes < LEAST_SEGMENT_BYTES || segmentBytes % SECTOR_BYTES !== 0 || quotaBytes < 2 * segmentBytes) {
    throw new TidemarkError("TM-JOURNAL-LIMITS", `segments of ${segmentBytes} bytes do not go with a quota of ${quotaBytes} bytes`, {
      details: { segmentBytes, quotaBytes },
    });
  }
}
