// The manifest of a base backup (PostgreSQL documentation, "Backup Manifest Format"): every file but WAL with its size and
// checksum, the range of WAL that the backup needs, and a SHA-256 over itself. Version 1 up to PostgreSQL 16, 2 from 17.
import { createHash } from "node:crypto";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";

export interface BackupManifest {
  readonly files: ReadonlyMap<string, FileFacts>;
  readonly walRanges: readonly WalRange[];
  /** From version 2 on. */
  readonly systemIdentifier?: SystemIdentifier;
}

export interface FileFacts {
  readonly sizeBytes: number;
  /** SHA-256, lower-case hexadecimal. */
  readonly sha256: string;
}

export interface WalRange {
  readonly timeline: Timeline;
  readonly startLsn: Lsn;
  readonly endLsn: Lsn;
}

/** The largest manifest that is read, bytes; enough for some millions of files. Beyond it: TM-PG-BACKUP. */
export const LARGEST_MANIFEST_BYTES = 512 * 1024 * 1024;

/** How many faults an error names; the rest is counted. */
const FAULTS_NAMED = 5;

/** Reads a manifest and checks its own checksum. Throws TM-PG-BACKUP. */
export function parseBackupManifest(bytes: Buffer): BackupManifest {
  const mark = bytes.lastIndexOf('"Manifest-Checksum"');
  // The checksum covers all bytes up to the line that holds it.
  const covered = bytes.subarray(0, bytes.lastIndexOf(0x0a, mark) + 1);
  const text = bytes.toString("utf8");
  const json = parseJson(text);
  if (mark === -1 || json["Manifest-Checksum"] !== sha256(covered)) throw refused("the manifest does not have the checksum that it states");
  const version = json["PostgreSQL-Backup-Manifest-Version"];
  if (version !== 1 && version !== 2) throw refused(`the manifest has version ${String(version)}; 1 and 2 are known`);
  // The identifier has 64 bits, more than a number of JSON keeps: it is taken from the text.
  const systemIdentifier = /"System-Identifier":\s*(\d{1,20})/.exec(text)?.[1] as SystemIdentifier | undefined;
  return {
    files: new Map(list(json["Files"]).map(readFileEntry)),
    walRanges: list(json["WAL-Ranges"]).map(readWalRange),
    ...(systemIdentifier === undefined ? {} : { systemIdentifier }),
  };
}

/**
 * Compares what was unpacked (path to facts, without the manifest itself) with the manifest: files that are missing, that
 * nobody listed, of another size or checksum, and WAL segments that its ranges need. Throws TM-PG-BACKUP naming them.
 */
export function checkAgainstManifest(manifest: BackupManifest, unpacked: ReadonlyMap<string, FileFacts>): void {
  const faults: string[] = [];
  for (const [path, wanted] of manifest.files) {
    const found = unpacked.get(path);
    if (found === undefined) faults.push(`${path} is missing`);
    else if (found.sizeBytes !== wanted.sizeBytes) faults.push(`${path} has ${found.sizeBytes} bytes, not ${wanted.sizeBytes}`);
    else if (found.sha256 !== wanted.sha256) faults.push(`${path} has another checksum`);
  }
  for (const path of unpacked.keys()) {
    if (!manifest.files.has(path) && !path.startsWith(WAL_FOLDER)) faults.push(`${path} is not in the manifest`);
  }
  faults.push(...walFaults(manifest.walRanges, unpacked));
  if (faults.length === 0) return;
  const more = faults.length > FAULTS_NAMED ? ` and ${faults.length - FAULTS_NAMED} more` : "";
  throw refused(faults.slice(0, FAULTS_NAMED).join(", ") + more);
}

const WAL_FOLDER = "pg_wal/";
const SEGMENT = /^pg_wal\/[0-9A-F]{24}$/;

/** WAL is not in the manifest's list of files; its ranges say which segments must be there, all of one size (NO-HOLE). */
function walFaults(ranges: readonly WalRange[], unpacked: ReadonlyMap<string, FileFacts>): string[] {
  const sizes = new Set([...unpacked].filter(([path]) => SEGMENT.test(path)).map(([, facts]) => facts.sizeBytes));
  const [segmentBytes] = sizes;
  if (sizes.size !== 1 || segmentBytes === undefined || !isSegmentSize(segmentBytes))
    return [`the WAL segments have the sizes ${[...sizes].join(", ") || "(none there)"}`];
  const faults: string[] = [];
  for (const { timeline, startLsn, endLsn } of ranges) {
    const size = BigInt(segmentBytes);
    for (let segment = startLsn / size; segment * size < endLsn; segment++) {
      const path = WAL_FOLDER + walSegmentName(timeline, segment, segmentBytes);
      if (!unpacked.has(path)) faults.push(`${path} is missing`);
    }
  }
  return faults;
}

/** The name of a WAL segment: timeline and segment number, the number in two halves. Source: XLogFileName in xlog_internal.h. */
export function walSegmentName(timeline: Timeline, segment: bigint, segmentBytes: number): string {
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes);
  const hex = (value: bigint | number): string => value.toString(16).toUpperCase().padStart(8, "0");
  return hex(timeline) + hex(segment / perFile) + hex(segment % perFile);
}

function isSegmentSize(bytes: number): boolean {
  return bytes >= 1_048_576 && bytes <= 1_073_741_824 && (bytes & (bytes - 1)) === 0;
}

type Json = Readonly<Record<string, unknown>>;

function parseJson(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Json;
    throw new Error("it is not an object");
  } catch (cause) {
    throw new TidemarkError("TM-PG-BACKUP", "checked a base backup: its manifest is not JSON", { cause });
  }
}

function list(value: unknown): readonly Json[] {
  if (!Array.isArray(value)) throw refused("the manifest lacks a list");
  return value as Json[];
}

function readFileEntry(entry: Json): [string, FileFacts] {
  const { Path: plain, "Encoded-Path": encoded, Size: size, Checksum: checksum, "Checksum-Algorithm": algorithm } = entry;
  // A name that is not UTF-8 stands in hexadecimal; PostgreSQL makes no such names, somebody may have put one there.
  const path = typeof encoded === "string" ? Buffer.from(encoded, "hex").toString("utf8") : plain;
  if (typeof path !== "string" || typeof size !== "number" || algorithm !== "SHA256" || typeof checksum !== "string")
    throw refused("the manifest has an entry without path, size or SHA-256");
  return [path, { sizeBytes: size, sha256: checksum.toLowerCase() }];
}

function readWalRange(entry: Json): WalRange {
  const { Timeline: timeline, "Start-LSN": start, "End-LSN": end } = entry;
  if (typeof timeline !== "number" || typeof start !== "string" || typeof end !== "string")
    throw refused("the manifest has a WAL range without timeline or bounds");
  return { timeline: timeline as Timeline, startLsn: parseLsn(start), endLsn: parseLsn(end) };
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function refused(what: string): TidemarkError {
  return new TidemarkError("TM-PG-BACKUP", `checked a base backup: ${what}`);
}
