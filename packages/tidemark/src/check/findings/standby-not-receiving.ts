import type { FindingRule } from "../finding.ts";

/** Without a WAL receiver a standby ages, unless it restores from an archive. */
export const standbyNotReceiving: FindingRule = {
  name: "standby-not-receiving",
  code: "TM-FINDING-STANDBY-NOT-RECEIVING",
  severity: "critical",
  title: "This standby receives no WAL",
  judge(survey) {
    if (survey.recovery?.known !== true || survey.recovery.value.receiver !== null) return undefined;
    return {
      evidence: ["no WAL receiver runs: the standby holds what it had, or what restore_command brings it"],
      fix: [
        "check primary_conninfo, primary_slot_name and the server's log",
        "SELECT status, sender_host, slot_name FROM pg_stat_wal_receiver;",
      ],
    };
  },
};
