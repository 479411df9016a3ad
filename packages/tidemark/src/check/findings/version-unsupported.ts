import type { FindingRule } from "../finding.ts";

/** Last day of corrections, UTC. https://www.postgresql.org/support/versioning/ */
const ENDS: Readonly<Record<number, string>> = {
  12: "2024-11-21",
  13: "2025-11-13",
  14: "2026-11-12",
  15: "2027-11-11",
  16: "2028-11-09",
  17: "2029-11-08",
  18: "2030-11-14",
};
const DAY_MS = 86_400_000;

/** Faults that destroy data are found and corrected every year, in supported versions only. */
export const versionUnsupported: FindingRule = {
  name: "version-unsupported",
  code: "TM-FINDING-VERSION-UNSUPPORTED",
  severity: "warning",
  title: "This version of PostgreSQL gets no corrections any more",
  judge({ server, atMs }) {
    const end = ENDS[server.major];
    if (end === undefined || atMs < Date.parse(end) + DAY_MS) return undefined;
    return {
      evidence: [`PostgreSQL ${server.major} had its last corrections on ${end}`],
      fix: ["upgrade: pg_upgrade, or logical replication to a new cluster"],
    };
  },
};
