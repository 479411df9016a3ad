import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** FAIL-STOP: after a failed fsync the kernel may have dropped the bytes; a second fsync that succeeds says nothing. */
export const dataSyncRetryOn: FindingRule = {
  name: "data-sync-retry-on",
  code: "TM-FINDING-DATA-SYNC-RETRY-ON",
  severity: "critical",
  title: "After a failed flush PostgreSQL goes on as if it had worked",
  judge(survey) {
    if (settingOf(survey, "data_sync_retry") !== "on") return undefined;
    return {
      evidence: ["data_sync_retry is on"],
      fix: ["ALTER SYSTEM SET data_sync_retry = 'off';  -- needs a restart"],
    };
  },
};
