import { existsSync } from "node:fs";
import type { WalFiles } from "../wal-files.ts";

export type WalFilesCall = "create" | "write" | "sync" | "syncLater" | "rename" | "syncDirectory" | "syncDirectoryLater";

/** What goes wrong with real files. */
export type FilesFault =
  /** SIGKILL to this process at the n-th such call: before it, in the middle of it (half of what is written), or after it. */
  | { readonly kind: "kill"; readonly call: WalFilesCall; readonly nth: number; readonly when: "before" | "half" | "after" }
  /** The n-th such call fails, and only that one. */
  | { readonly kind: "error"; readonly call: WalFilesCall; readonly nth: number; readonly code: string }
  /** There is no room for anything while the file `while` exists. */
  | { readonly kind: "no-room"; readonly while: string };

/** The real files, with a fault. */
export function faultyWalFiles(files: WalFiles, fault: FilesFault | undefined): WalFiles {
  let calls = 0;
  const around = <T>(call: WalFilesCall, work: () => T, half: () => unknown = () => undefined): T => {
    if (fault === undefined || fault.kind === "no-room" || fault.call !== call || ++calls !== fault.nth) return work();
    if (fault.kind === "error") throw failure(fault.code);
    if (fault.when === "half") half();
    if (fault.when !== "after") die();
    const result = work();
    if (result instanceof Promise) return result.then(die) as T;
    die();
    return result;
  };
  const checkRoom = (): void => {
    if (fault?.kind === "no-room" && existsSync(fault.while)) throw failure("ENOSPC");
  };
  return {
    ...files,
    open(path, mode) {
      if (mode === "update") return files.open(path, mode);
      checkRoom();
      return around("create", () => files.open(path, mode));
    },
    write(fd, bytes, range) {
      checkRoom();
      const half = { ...range, length: range.length >> 1 };
      return around(
        "write",
        () => files.write(fd, bytes, range),
        () => half.length > 0 && files.write(fd, bytes, half),
      );
    },
    sync: (fd) => around("sync", () => files.sync(fd)),
    syncLater: (fd) => around("syncLater", () => files.syncLater(fd)),
    rename: (from, to) => around("rename", () => files.rename(from, to)),
    syncDirectory: (path) => around("syncDirectory", () => files.syncDirectory(path)),
    syncDirectoryLater: (path) => around("syncDirectoryLater", () => files.syncDirectoryLater(path)),
  };
}

/** kill -9, from within: no handler runs, nothing is flushed. */
function die(): void {
  process.kill(process.pid, "SIGKILL");
  for (;;) continue;
}

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
