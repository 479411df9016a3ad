import type { Sequence } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { JournalRecord } from "../journal.ts";
import { FilesReader } from "./files-reader.ts";
import type { Files } from "./files.ts";
import { readManifest } from "./manifest.ts";
import { nodeFiles } from "./node-files.ts";
import { followSegments } from "./segment-chain.ts";

/** Of one read. */
const LIMITS = { records: 4_096, bytes: 4_194_304 };
/** Newest bytes that are looked through for the end of the journal. */
const END_BYTES = 1;

export interface DumpOptions {
  readonly directory: string;
  /** Default: the oldest kept. */
  readonly from?: bigint;
  /** Default: the newest whole record, which in a living journal may not have been acknowledged yet. */
  readonly upTo?: bigint;
  readonly partition?: number;
  readonly files?: Files;
}

/**
 * The records of a journal in order, also while it is being written. Throws like JournalReader.read when it meets what was
 * trimmed or is damaged; what stands before has been given out by then.
 */
export async function* dumpJournal(options: DumpOptions): AsyncGenerator<JournalRecord> {
  const files = options.files ?? nodeFiles;
  const { directory } = options;
  const manifest = await readManifest(files, directory);
  if (manifest === undefined) throw new TidemarkError("TM-JOURNAL-MISSING", `${directory} has no journal.json`, { details: { directory } });
  const chain = await followSegments(files, directory, manifest, { checkedBytes: END_BYTES, onDamage: () => undefined }); // Met again, with its range, when it is read.
  const newest = BigInt(chain.nextSequence - 1);
  const upTo = options.upTo !== undefined && options.upTo < newest ? options.upTo : newest;
  const reader = new FilesReader(files, directory, manifest);
  try {
    for (let next = options.from ?? BigInt(manifest.firstSequence); next <= upTo;) {
      const records = await reader.read(next as Sequence, upTo as Sequence, LIMITS);
      for (const record of records) if (options.partition === undefined || record.partition === options.partition) yield record;
      next += BigInt(records.length);
    }
  } finally {
    await reader.close();
  }
}
