import type { ErrorEntry } from "../errors.ts";

/** Errors of agents, the lease store and failover. */
export const clusterErrors = {} satisfies Record<string, ErrorEntry>;
