import type { ErrorEntry } from "../errors.ts";

/** Errors of the journal. */
export const journalErrors = {} satisfies Record<string, ErrorEntry>;
