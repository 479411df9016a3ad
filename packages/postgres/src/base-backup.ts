// A copy of a running server's data directory, taken over the replication protocol. The order is what makes it safe:
// unpack beside the target, check against the manifest, sync everything, rename. Until the rename there is no data
// directory at the target, whatever dies.
import { writeFile, chown } from "node:fs/promises";
import { join } from "node:path";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError, hasCode } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { LARGEST_MANIFEST_BYTES, checkAgainstManifest, parseBackupManifest } from "./backup-manifest.ts";
import { BackupUnpacker, syncTree } from "./backup-unpacker.ts";
import type { ReplicationLogin } from "./connection.ts";
import { readSystemIdentifier } from "./control-file.ts";
import { beginPartialFolder } from "./partial-folder.ts";
import type { BaseBackupEvent } from "./protocol/base-backup-stream.ts";
import { ReplicationClient } from "./replication-client.ts";
import type { PostgresUser } from "./unprivileged-user.ts";

export interface BaseBackupRequest {
  readonly from: ReplicationLogin;
  /** Absent or empty; absolute; reachable by `user`. */
  readonly targetDir: string;
  /** Appears in the server's log and in backup_label. */
  readonly label: string;
  readonly user: PostgresUser;
  /** A physical slot to make on the server first, keeping the WAL that a standby made from this backup will need. One that exists is used as it is. */
  readonly slot?: string;
  /**
   * Called with the folder when its content is checked, before it is synced and takes its place: what turns it into a standby
   * belongs here, because a copy without standby.signal would start as a second primary.
   */
  readonly prepare?: (folder: string) => Promise<void>;
  /** Kilobytes a second at most. Default no limit. */
  readonly maxRateKb?: number;
  /** Called for each progress message of the server, about every 64 KB and at least once a second. */
  readonly onProgress?: (progress: { doneBytes: number; totalBytes: number }) => void;
  /** Ends the backup; nothing of it is kept. */
  readonly signal?: AbortSignal;
}

export interface BaseBackupResult {
  readonly systemIdentifier: SystemIdentifier;
  readonly timeline: Timeline;
  readonly startLsn: Lsn;
  /** The backup is consistent from here on. */
  readonly endLsn: Lsn;
  readonly files: number;
  readonly bytes: number;
}

/**
 * Takes a base backup with the WAL that it needs; resolves when it stands at `targetDir`, checked and durable. Rejects with
 * TM-PG-DATA-DIR (target not empty), TM-PG-TABLESPACE, TM-PG-BACKUP (does not agree with its manifest), or the errors
 * of the connection; then nothing stands at the target.
 */
export async function takeBaseBackup(request: BaseBackupRequest): Promise<BaseBackupResult> {
  const partial = await beginPartialFolder(request.targetDir, request.user);
  let client: ReplicationClient | undefined;
  try {
    client = await ReplicationClient.connect({ ...request.from, ...(request.signal === undefined ? {} : { signal: request.signal }) });
    const { systemIdentifier } = await client.identifySystem();
    if (request.slot !== undefined) await ensureSlot(client, request.slot);
    const received = await receive(client, partial.path, request);
    await check(partial.path, { ...received, systemIdentifier });
    await writeManifest(partial.path, received.manifest, request.user);
    await request.prepare?.(partial.path);
    await syncTree(partial.path);
    request.signal?.throwIfAborted();
    await partial.publish();
    const bytes = [...received.unpacker.files.values()].reduce((sum, file) => sum + file.sizeBytes, 0);
    return {
      systemIdentifier,
      timeline: received.timeline,
      startLsn: received.startLsn,
      endLsn: received.endLsn,
      files: received.unpacker.files.size,
      bytes,
    };
  } catch (error) {
    await partial.discard();
    throw error;
  } finally {
    client?.close();
  }
}

async function ensureSlot(client: ReplicationClient, name: string): Promise<void> {
  try {
    await client.createPhysicalSlot(name, { reserveWal: true });
  } catch (error) {
    if (!(hasCode(error, "TM-PG-SERVER") && error.details["sqlstate"] === "42710")) throw error;
  }
}

interface Received {
  readonly unpacker: BackupUnpacker;
  readonly manifest: Buffer;
  readonly startLsn: Lsn;
  readonly endLsn: Lsn;
  readonly timeline: Timeline;
}

/** Which of the parts of the stream the data belongs to. */
type Part = "nothing" | "archive" | "manifest";

async function receive(client: ReplicationClient, folder: string, request: BaseBackupRequest): Promise<Received> {
  const unpacker = new BackupUnpacker(folder, request.user);
  const manifest: Buffer[] = [];
  let part: Part = "nothing";
  let manifestBytes = 0;
  let start: Extract<BaseBackupEvent, { kind: "start" }> | undefined;
  let end: Extract<BaseBackupEvent, { kind: "end" }> | undefined;
  try {
    for await (const event of client.baseBackup({
      label: request.label,
      checkpoint: "fast",
      ...(request.maxRateKb === undefined ? {} : { maxRateKb: request.maxRateKb }),
    })) {
      switch (event.kind) {
        case "start":
          start = event;
          refuseTablespaces(event);
          break;
        case "archive":
          if (event.location !== "" || part !== "nothing")
            throw new TidemarkError("TM-PG-BACKUP", `took a base backup: an archive ${event.name} too many`);
          part = "archive";
          break;
        case "manifest":
          await unpacker.finish();
          part = "manifest";
          break;
        case "data":
          if (part === "archive") await unpacker.write(event.bytes);
          else if ((manifestBytes += event.bytes.length) <= LARGEST_MANIFEST_BYTES) manifest.push(event.bytes);
          else throw new TidemarkError("TM-PG-BACKUP", `took a base backup: its manifest has more than ${LARGEST_MANIFEST_BYTES} bytes`);
          break;
        case "progress":
          request.onProgress?.({ doneBytes: Number(event.bytes), totalBytes: (start?.totalKb ?? 0) * 1024 });
          break;
        case "end":
          end = event;
          break;
      }
    }
  } finally {
    await unpacker.abandon();
  }
  if (start === undefined || end === undefined || part !== "manifest")
    throw new TidemarkError("TM-PG-BACKUP", "took a base backup: the server sent only a part");
  return { unpacker, manifest: Buffer.concat(manifest), startLsn: start.startLsn, endLsn: end.endLsn, timeline: end.timeline };
}

function refuseTablespaces(start: Extract<BaseBackupEvent, { kind: "start" }>): void {
  if (start.tablespaces.length === 0) return;
  const where = start.tablespaces.map((tablespace) => tablespace.location).join(", ");
  throw new TidemarkError("TM-PG-TABLESPACE", `asked for a base backup of a server with tablespaces at ${where}`, {
    details: { count: start.tablespaces.length },
  });
}

/** The files agree with the manifest, and all of it is of the cluster that was asked (trap 9). */
async function check(folder: string, received: Received & { systemIdentifier: SystemIdentifier }): Promise<void> {
  const manifest = parseBackupManifest(received.manifest);
  checkAgainstManifest(manifest, received.unpacker.files);
  const found = [await readSystemIdentifier(folder), manifest.systemIdentifier ?? received.systemIdentifier];
  if (found.some((identifier) => identifier !== received.systemIdentifier)) {
    throw new TidemarkError(
      "TM-PG-BACKUP",
      `checked a base backup: it is of cluster ${found.join(" and ")}, the server of ${received.systemIdentifier}`,
    );
  }
}

async function writeManifest(folder: string, bytes: Buffer, user: PostgresUser): Promise<void> {
  const path = join(folder, "backup_manifest");
  await writeFile(path, bytes, { mode: 0o600, flag: "wx" });
  if (user.switches) await chown(path, user.uid, user.gid);
}
