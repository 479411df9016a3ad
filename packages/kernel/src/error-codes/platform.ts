import type { ErrorEntry } from "../errors.ts";

/** Errors of the processes, files and the command line. */
export const platformErrors = {} satisfies Record<string, ErrorEntry>;
