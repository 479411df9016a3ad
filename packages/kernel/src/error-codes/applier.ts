import type { ErrorEntry } from "../errors.ts";

/** Errors of the applier. */
export const applierErrors = {} satisfies Record<string, ErrorEntry>;
