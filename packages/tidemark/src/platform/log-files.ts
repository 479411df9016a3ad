// What the roles print, in `<stateDir>/logs/<role>.log`. A role holds its log's file itself, opened for appending, so that
// its last words are kept when the supervisor dies. For that reason a log is rotated by copying and emptying it: lines
// written in between the two are lost, which may happen to a log and to nothing else.
import { copyFile, rename, stat, truncate } from "node:fs/promises";
import { join } from "node:path";

/** Size at which a log is put aside as `.1`, and how many of those are kept. */
const LOG_LIMIT_BYTES = 8_388_608;
const KEPT_LOGS = 3;

export function logPath(stateDir: string, role: string): string {
  return join(stateDir, "logs", `${role}.log`);
}

/** Puts a log aside when it is larger than `limitBytes`; answers whether it did. */
export async function rotateLog(file: string, limitBytes = LOG_LIMIT_BYTES): Promise<boolean> {
  const facts = await stat(file).catch(() => undefined);
  if (facts === undefined || facts.size <= limitBytes) return false;
  for (let kept = KEPT_LOGS; kept > 1; kept--) {
    await rename(`${file}.${kept - 1}`, `${file}.${kept}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
  await copyFile(file, `${file}.1`);
  await truncate(file, 0);
  return true;
}
