import type { CopyKind } from "../probes/probe-result.ts";

/** Copies that are kept as they were, and hold the whole: what restores are made from. */
export const KEPT_WHOLE: ReadonlySet<CopyKind> = new Set(["backup", "snapshot", "inventory"]);
