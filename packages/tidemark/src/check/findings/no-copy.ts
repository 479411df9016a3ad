import type { FindingRule } from "../finding.ts";
import { settingOf, wholeCopies } from "../server-survey.ts";

/** Nothing leaves this machine continuously: whatever is written since the last dump or snapshot exists once. */
export const noCopy: FindingRule = {
  name: "no-copy",
  code: "TM-FINDING-NO-COPY",
  severity: "critical",
  title: "No copy was found: no replica, no receiver, no archive",
  judge(survey) {
    if (!survey.replicas.known || wholeCopies(survey.replicas.value).length > 0) return undefined;
    if (survey.server.inRecovery || settingOf(survey, "archive_mode") !== "off") return undefined;
    return {
      evidence: [
        survey.replicas.value.length === 0 ? "pg_stat_replication is empty" : "only subscriptions stream: they take tables, not the whole",
        "archive_mode is off",
        "dumps and storage snapshots cannot be seen from here; they would be as old as they are",
      ],
      fix: ["archive WAL (archive_mode, archive_command) and take a base backup", "run a standby on another machine"],
    };
  },
};
