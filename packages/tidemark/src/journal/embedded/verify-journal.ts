import { join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Files } from "./files.ts";
import { LOCK_NAME, MANIFEST_NAME, readManifest, type Manifest } from "./manifest.ts";
import { nodeFiles } from "./node-files.ts";
import { followSegments, type SegmentChain } from "./segment-chain.ts";
import { segmentNumbers } from "./segment-file.ts";

/** What `tidemark journal verify` found. Sequences are decimal text, because JSON numbers end at 2^53. */
export interface VerifyReport {
  readonly directory: string;
  readonly journal: string;
  /** Nothing durable is wrong. A torn tail is no damage: nobody was told that it is safe. */
  readonly whole: boolean;
  /** Whether a process writes it now; then the tail may be a group that is being written. */
  readonly open: boolean;
  readonly segments: number;
  /** Prepared segments that have not begun. */
  readonly prepared: number;
  readonly bytes: number;
  readonly records: number;
  readonly oldest: string;
  /** The newest whole record; 0 when there is none. */
  readonly newest: string;
  readonly oldestAcceptedAtMs?: number;
  readonly newestAcceptedAtMs?: number;
  readonly partitions?: number;
  readonly generation: number;
  readonly torn: readonly { readonly segment: number; readonly offset: number; readonly bytes: number; readonly sequence: string }[];
  readonly damage: readonly DamageReport[];
}

export interface DamageReport {
  readonly code: string;
  readonly message: string;
  readonly segment?: number;
  readonly offset?: number;
  /** First record that cannot be read. */
  readonly from?: string;
  /** The last one; absent when nothing whole follows. Smaller than `from` when no record is lost. */
  readonly upTo?: string;
}

/** A living journal changes while it is read; what looks wrong is looked at so many times before it is believed. */
const LOOKS_AT_LIVING = 4;

/**
 * Reads and checks every record of the journal in `directory`, also while it is being written, and writes nothing.
 * Rejects with TM-JOURNAL-MISSING when there is none, TM-JOURNAL-VERSION on a newer format.
 */
export async function verifyJournal(options: { directory: string; files?: Files }): Promise<VerifyReport> {
  const files = options.files ?? nodeFiles;
  const { directory } = options;
  for (let look = 1; ; look++) {
    const open = await files.isLocked(join(directory, LOCK_NAME));
    try {
      const report = await verifyOnce(files, directory, open);
      if (report.whole || !open || look >= LOOKS_AT_LIVING) return report;
    } catch (error) {
      // A file that was there a moment ago was trimmed.
      if (!open || error instanceof TidemarkError || look >= LOOKS_AT_LIVING) throw error;
    }
  }
}

async function verifyOnce(files: Files, directory: string, open: boolean): Promise<VerifyReport> {
  const damage: TidemarkError[] = [];
  const manifest = await manifestOf(files, directory);
  let chain: SegmentChain | undefined;
  try {
    chain = await followSegments(files, directory, manifest, {
      checkedBytes: Number.POSITIVE_INFINITY,
      onDamage: (found) => damage.push(found),
    });
  } catch (error) {
    if (!(error instanceof TidemarkError) || error.code !== "TM-JOURNAL-FOREIGN") throw error;
    damage.push(error);
  }
  const oldest = chain?.kept[0];
  const newest = chain?.kept.at(-1);
  const hasRecords = chain !== undefined && chain.checkedRecords > 0;
  return {
    directory,
    journal: manifest.journal,
    whole: damage.length === 0,
    open,
    segments: chain?.kept.length ?? 0,
    prepared: chain?.ready.length ?? 0,
    bytes: [...(chain?.kept ?? []), ...(chain?.ready ?? [])].reduce((sum, segment) => sum + segment.bytes, 0),
    records: chain?.checkedRecords ?? 0,
    oldest: String(manifest.firstSequence),
    newest: String((chain?.nextSequence ?? manifest.firstSequence) - 1),
    ...(hasRecords && oldest !== undefined && newest !== undefined
      ? { oldestAcceptedAtMs: oldest.firstAcceptedAtMs, newestAcceptedAtMs: newest.newestAcceptedAtMs }
      : {}),
    ...(chain?.partitions === undefined ? {} : { partitions: chain.partitions }),
    generation: chain?.generation ?? 1,
    torn: (chain?.torn ?? []).map((tail) => ({ ...tail, sequence: String(tail.sequence) })),
    damage: damage.map(reportDamage),
  };
}

async function manifestOf(files: Files, directory: string): Promise<Manifest> {
  const manifest = await readManifest(files, directory);
  if (manifest !== undefined) return manifest;
  const segments = segmentNumbers(await files.list(directory), directory).length;
  if (segments > 0)
    throw new TidemarkError(
      "TM-JOURNAL-DAMAGED",
      `${directory} has ${segments} segments but no ${MANIFEST_NAME}: the journal's identity is lost`,
    );
  throw new TidemarkError("TM-JOURNAL-MISSING", `${directory} has no ${MANIFEST_NAME}`, { details: { directory } });
}

function reportDamage(error: TidemarkError): DamageReport {
  const { segment, offset, from, upTo } = error.details;
  return {
    code: error.code,
    message: error.message,
    ...(typeof segment === "number" ? { segment } : {}),
    ...(typeof offset === "number" ? { offset } : {}),
    ...(from === undefined ? {} : { from: String(from) }),
    ...(upTo === undefined ? {} : { upTo: String(upTo) }),
  };
}
