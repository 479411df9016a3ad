import type { ErrorEntry } from "../errors.ts";

/** Errors of the gateway's HTTP API and acceptance. */
export const gatewayErrors = {} satisfies Record<string, ErrorEntry>;
