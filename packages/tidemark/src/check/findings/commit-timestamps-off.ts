import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** With commit timestamps one can ask afterwards which rows were written after a recovery point. */
export const commitTimestampsOff: FindingRule = {
  name: "commit-timestamps-off",
  code: "TM-FINDING-COMMIT-TIMESTAMPS-OFF",
  severity: "notice",
  title: "When a row was committed is not recorded",
  judge(survey) {
    if (survey.server.inRecovery || settingOf(survey, "track_commit_timestamp") !== "off") return undefined;
    return {
      evidence: ["track_commit_timestamp is off: after a loss it is harder to say which rows it took"],
      fix: ["ALTER SYSTEM SET track_commit_timestamp = 'on';  -- needs a restart"],
    };
  },
};
