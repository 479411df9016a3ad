import type { FindingRule } from "../finding.ts";

/** What is asked through a pooler may be answered by another server a moment later. */
export const poolerBetween: FindingRule = {
  name: "pooler-between",
  code: "TM-FINDING-POOLER-BETWEEN",
  severity: "notice",
  title: "Something between here and the server shares its connections",
  judge({ server }) {
    if (!server.pooled) return undefined;
    return {
      evidence: ["another process answers than the one that was logged in to: a pooler or proxy, which may switch servers unnoticed"],
      fix: ["check PostgreSQL itself, at its own port"],
    };
  },
};
