import { open } from "node:fs/promises";
import { join } from "node:path";
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";

/** DBState of src/include/catalog/pg_control.h, in its order. */
export const CLUSTER_STATES = [
  "starting-up",
  "shut-down",
  "shut-down-in-recovery",
  "shutting-down",
  "in-crash-recovery",
  "in-archive-recovery",
  "in-production",
] as const;
export type ClusterState = (typeof CLUSTER_STATES)[number];

/** The part of global/pg_control that stands at the same place in every version from 8.3 to 18. */
export interface ControlFile {
  readonly systemIdentifier: SystemIdentifier;
  /** PG_CONTROL_VERSION, such as 1300 or 1800. */
  readonly controlVersion: number;
  readonly catalogVersion: number;
  readonly state: ClusterState;
}

/** u64 system_identifier, u32 pg_control_version, u32 catalog_version_no, u32 state, in the machine's byte order. */
const LENGTH = 20;

/**
 * Reads the head of pg_control. Its checksum is not checked: its place differs between versions, the server itself refuses
 * a damaged file, and a write of it is far below a sector. Only little-endian machines (all that npm has binaries for).
 * Rejects with TM-PG-CONTROL-FILE.
 */
export async function readControlFile(dataDir: string): Promise<ControlFile> {
  const path = join(dataDir, "global", "pg_control");
  const buffer = Buffer.alloc(LENGTH);
  try {
    const file = await open(path, "r");
    try {
      const { bytesRead } = await file.read(buffer, 0, LENGTH, 0);
      if (bytesRead < LENGTH) throw new Error(`it has ${bytesRead} bytes`);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new TidemarkError("TM-PG-CONTROL-FILE", `could not read ${path}`, { cause });
  }
  return parseControlFile(buffer);
}

/** Throws TM-PG-CONTROL-FILE when the bytes cannot be the head of a pg_control. */
export function parseControlFile(buffer: Buffer): ControlFile {
  if (buffer.length < LENGTH) throw new TidemarkError("TM-PG-CONTROL-FILE", `pg_control is cut at ${buffer.length} bytes`);
  const state = CLUSTER_STATES[buffer.readUInt32LE(16)];
  const controlVersion = buffer.readUInt32LE(8);
  if (state === undefined || controlVersion < 800 || controlVersion > 9_999)
    throw new TidemarkError("TM-PG-CONTROL-FILE", "pg_control has neither a known state nor a plausible version");
  return {
    systemIdentifier: buffer.readBigUInt64LE(0).toString() as SystemIdentifier,
    controlVersion,
    catalogVersion: buffer.readUInt32LE(12),
    state,
  };
}

/** The identity of the cluster that a data directory belongs to. The server need not run. */
export async function readSystemIdentifier(dataDir: string): Promise<SystemIdentifier> {
  return (await readControlFile(dataDir)).systemIdentifier;
}
