// What the system calls of a folder store mean to who uses it.
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: "TM-OBJECT-MISSING",
  ENOSPC: "TM-OBJECT-STORE-FULL",
  EDQUOT: "TM-OBJECT-STORE-FULL",
  EFBIG: "TM-OBJECT-TOO-LARGE",
  EACCES: "TM-OBJECT-STORE-DENIED",
  EPERM: "TM-OBJECT-STORE-DENIED",
  EROFS: "TM-OBJECT-STORE-DENIED",
  // A symbolic link where an object should be: nothing of ours, and never followed.
  ELOOP: "TM-OBJECT-STORE-DENIED",
  ENOTDIR: "TM-OBJECT-KEY",
  EISDIR: "TM-OBJECT-KEY",
  EEXIST: "TM-OBJECT-KEY",
  ENOTEMPTY: "TM-OBJECT-KEY",
  // The limits of the process, and network file systems that went away.
  EMFILE: "TM-OBJECT-STORE-AWAY",
  ENFILE: "TM-OBJECT-STORE-AWAY",
  ETIMEDOUT: "TM-OBJECT-STORE-AWAY",
  EHOSTDOWN: "TM-OBJECT-STORE-AWAY",
  EHOSTUNREACH: "TM-OBJECT-STORE-AWAY",
  ENOTCONN: "TM-OBJECT-STORE-AWAY",
  ESTALE: "TM-OBJECT-NO-STORE",
};

/** `error` as TM-OBJECT-*, or as it is when it is one, or no failed system call. */
export function folderError(error: unknown, attempt: string): unknown {
  if (error instanceof TidemarkError) return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  // EIO, a failed fsync with it, and whatever else: unknown effect, somebody has to look.
  if (typeof code !== "string" || (error as NodeJS.ErrnoException).syscall === undefined) return error;
  return new TidemarkError(CODES[code] ?? "TM-OBJECT-STORE-FAULT", `could not ${attempt}: ${code}`, { cause: error });
}

/** Whether `error` is a failed system call with `code`. */
export function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException | undefined)?.code ?? "");
}
