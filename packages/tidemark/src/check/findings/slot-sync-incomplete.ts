import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** Trap 32: a standby copies logical slots only with all of four settings; with one missing it does not, and says so in its log only. */
export const slotSyncIncomplete: FindingRule = {
  name: "slot-sync-incomplete",
  code: "TM-FINDING-SLOT-SYNC-INCOMPLETE",
  severity: "warning",
  title: "Logical slots are to be copied to this standby, and cannot be",
  judge(survey) {
    if (!survey.server.inRecovery || settingOf(survey, "sync_replication_slots") !== "on") return undefined;
    const missing = [
      ...(settingOf(survey, "hot_standby_feedback") === "off" ? ["hot_standby_feedback is off"] : []),
      ...(settingOf(survey, "primary_slot_name") === "" ? ["primary_slot_name is empty"] : []),
      ...(settingOf(survey, "primary_conninfo") === "names no database" ? ["primary_conninfo names no dbname"] : []),
    ];
    if (missing.length === 0) return undefined;
    return {
      evidence: missing,
      fix: [
        "ALTER SYSTEM SET hot_standby_feedback = 'on';  -- primary_slot_name and a dbname in primary_conninfo likewise",
        "SELECT pg_reload_conf();",
      ],
    };
  },
};
