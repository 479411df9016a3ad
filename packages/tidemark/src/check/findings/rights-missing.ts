import type { FindingRule } from "../finding.ts";
import { sqlName } from "../seen-words.ts";

/** Without pg_monitor the most important parts are hidden: unknown is not good. */
export const rightsMissing: FindingRule = {
  name: "rights-missing",
  code: "TM-FINDING-RIGHTS-MISSING",
  severity: "warning",
  title: "The user of this check may not see enough",
  judge({ self }) {
    if (self.superuser || self.monitor) return undefined;
    return {
      evidence: [`${self.user} is not in pg_monitor: replicas, transactions and WAL files are hidden from it`],
      fix: [`GRANT pg_monitor TO ${sqlName(self.user)};`],
    };
  },
};
