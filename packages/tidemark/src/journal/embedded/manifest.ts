import { join } from "node:path";
import type { JournalId } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { crc32c } from "@tidemark/kernel/crc32c";
import { FORMAT_VERSION } from "../segment-format.ts";
import { readWhole, systemCode, type Files } from "./files.ts";

/**
 * journal.json: the journal's identity and which segments exist, so that a missing file is an error and not an empty
 * journal (NO-HOLE, R12). Order: a segment is durable, then the manifest names it, then it takes a record; the manifest
 * forgets a segment, then the file is removed. docs/journal-format.md is the specification.
 */
export interface Manifest {
  readonly journal: JournalId;
  readonly seed: number;
  readonly createdAtMs: number;
  readonly firstSegment: number;
  readonly firstSequence: number;
  /** 0 in the moment between the making of the manifest and that of the first segment. */
  readonly lastSegment: number;
  /** Size of that file: a shorter one has been cut off. */
  readonly lastSegmentBytes: number;
}

export const MANIFEST_NAME = "journal.json";
export const LOCK_NAME = "journal.lock";
export const NEW_MANIFEST_NAME = "journal.json.new";

function encodeManifest(manifest: Manifest): string {
  const content = {
    format: FORMAT_VERSION,
    journal: manifest.journal,
    seed: manifest.seed,
    createdAtMs: manifest.createdAtMs,
    firstSegment: manifest.firstSegment,
    firstSequence: String(manifest.firstSequence),
    lastSegment: manifest.lastSegment,
    lastSegmentBytes: manifest.lastSegmentBytes,
  };
  return `${JSON.stringify({ ...content, check: checkOf(content) })}\n`;
}

/** Throws TM-JOURNAL-VERSION or TM-JOURNAL-DAMAGED. `path` is for the message. */
function decodeManifest(text: string, path: string): Manifest {
  const fields = parseObject(text, path);
  if (typeof fields["format"] === "number" && fields["format"] !== FORMAT_VERSION) {
    throw new TidemarkError("TM-JOURNAL-VERSION", `${path} has format ${fields["format"]}, this version knows ${FORMAT_VERSION}`, {
      details: { format: fields["format"] },
    });
  }
  const { check, ...content } = fields;
  if (check !== checkOf(content)) throw new TidemarkError("TM-JOURNAL-DAMAGED", `${path} does not match its own checksum`);
  return {
    journal: content["journal"] as JournalId,
    seed: content["seed"] as number,
    createdAtMs: content["createdAtMs"] as number,
    firstSegment: content["firstSegment"] as number,
    firstSequence: Number(content["firstSequence"]),
    lastSegment: content["lastSegment"] as number,
    lastSegmentBytes: content["lastSegmentBytes"] as number,
  };
}

/** The manifest of a folder, or undefined when it has none. */
export async function readManifest(files: Files, directory: string): Promise<Manifest | undefined> {
  const path = join(directory, MANIFEST_NAME);
  try {
    return decodeManifest((await readWhole(files, path)).toString("utf8"), path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Replaces the manifest as a whole; durable when it resolves. */
export async function writeManifest(files: Files, directory: string, manifest: Manifest): Promise<void> {
  const bytes = Buffer.from(encodeManifest(manifest), "utf8");
  const temporary = join(directory, NEW_MANIFEST_NAME);
  if ((await files.list(directory)).includes(NEW_MANIFEST_NAME)) await files.remove(temporary);
  const file = await files.open(temporary, "create");
  try {
    await file.write(bytes, bytes.length, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, join(directory, MANIFEST_NAME));
  await files.syncDirectory(directory);
}

function parseObject(text: string, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    throw new TidemarkError("TM-JOURNAL-DAMAGED", `${path} is not JSON`, { cause: error });
  }
  throw new TidemarkError("TM-JOURNAL-DAMAGED", `${path} is not a manifest`);
}

function checkOf(content: object): string {
  const bytes = Buffer.from(JSON.stringify(content), "utf8");
  return crc32c(bytes, 0, bytes.length).toString(16).padStart(8, "0");
}
