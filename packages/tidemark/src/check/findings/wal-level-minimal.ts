import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** WAL at this level cannot rebuild the database anywhere else. */
export const walLevelMinimal: FindingRule = {
  name: "wal-level-minimal",
  code: "TM-FINDING-WAL-LEVEL-MINIMAL",
  severity: "critical",
  title: "Neither replicas nor an archive are possible",
  judge(survey) {
    if (settingOf(survey, "wal_level") !== "minimal") return undefined;
    return {
      evidence: ["wal_level is minimal"],
      fix: ["ALTER SYSTEM SET wal_level = 'replica';  -- needs a restart", "take a base backup after the restart"],
    };
  },
};
