import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** Without an archive and without a synchronous replica, what an asynchronous replica has not received yet exists once. */
export const archiveOff: FindingRule = {
  name: "archive-off",
  code: "TM-FINDING-ARCHIVE-OFF",
  severity: "warning",
  title: "WAL is not archived, and no commit waits for a replica",
  judge(survey) {
    if (survey.server.inRecovery || settingOf(survey, "archive_mode") !== "off" || !survey.replicas.known) return undefined;
    const replicas = survey.replicas.value;
    if (replicas.some(({ syncState }) => syncState === "sync" || syncState === "quorum")) return undefined;
    return {
      evidence: [
        "archive_mode is off",
        replicas.length === 0 ? "no replica streams" : `${replicas.length} replicas stream, none of them synchronous`,
      ],
      fix: [
        "ALTER SYSTEM SET archive_mode = 'on';  -- and archive_command; needs a restart",
        "or make one replica synchronous with synchronous_standby_names",
      ],
    };
  },
};
