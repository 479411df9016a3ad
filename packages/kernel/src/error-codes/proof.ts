import type { ErrorEntry } from "../errors.ts";

/** Errors of proofs, the audit log and their keys. */
export const proofErrors = {} satisfies Record<string, ErrorEntry>;
