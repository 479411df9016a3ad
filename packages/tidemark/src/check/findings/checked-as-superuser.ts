import type { FindingRule } from "../finding.ts";

/** What only looks needs no right to destroy. */
export const checkedAsSuperuser: FindingRule = {
  name: "checked-as-superuser",
  code: "TM-FINDING-CHECKED-AS-SUPERUSER",
  severity: "notice",
  title: "This check used a superuser",
  judge({ self }) {
    if (!self.superuser) return undefined;
    return {
      evidence: [`${self.user} is a superuser; pg_monitor is enough`],
      fix: ["tidemark grants | psql …  # a role with pg_monitor, and no more"],
    };
  },
};
