// The server's log is a plain file that the postmaster holds open itself, so that it goes on when the agent dies. It is
// kept within a limit: at a start the full file moves aside, while the server runs its content is copied away and the
// file is cut (the postmaster appends, so it goes on at the new end; lines written during the copy may be missing).
import { chown, copyFile, open, rename, rm, stat, truncate } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { PostgresUser } from "./unprivileged-user.ts";

/** Size at which a log moves aside, bytes. */
export const DEFAULT_LOG_LIMIT_BYTES = 32 * 1024 * 1024;

/** How many full logs are kept beside the current one, as `<file>.1` (newest) and up; the oldest is removed. */
export const LOGS_KEPT = 3;

/** Opens the log for a postmaster to append to, after moving a full one aside. Mode 0600. */
export async function openServerLog(path: string, limitBytes: number, user: PostgresUser): Promise<FileHandle> {
  if ((await sizeOf(path)) >= limitBytes) {
    await shiftFullLogs(path);
    await rename(path, `${path}.1`);
  }
  const file = await open(path, "a", 0o600);
  if (user.switches) await chown(path, user.uid, user.gid);
  return file;
}

/** Cuts the log of a running server when it is over the limit; says whether it did. */
export async function rotateServerLog(path: string, limitBytes: number): Promise<boolean> {
  if ((await sizeOf(path)) < limitBytes) return false;
  await shiftFullLogs(path);
  await copyFile(path, `${path}.1`);
  await truncate(path, 0);
  return true;
}

/** Up to `mostBytes` of the log from byte `from` on, the end of it when there is more. */
export async function readLogFrom(path: string, from: number, mostBytes = 16_384): Promise<string> {
  const size = await sizeOf(path);
  const start = Math.max(from > size ? 0 : from, size - mostBytes);
  const file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return "";
  try {
    const buffer = Buffer.alloc(Math.max(0, size - start));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** 0 when the file is not there. */
export async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (facts) => facts.size,
    () => 0,
  );
}

async function shiftFullLogs(path: string): Promise<void> {
  await rm(`${path}.${LOGS_KEPT}`, { force: true });
  for (let index = LOGS_KEPT - 1; index >= 1; index--) {
    if ((await sizeOf(`${path}.${index}`)) > 0) await rename(`${path}.${index}`, `${path}.${index + 1}`);
  }
}
