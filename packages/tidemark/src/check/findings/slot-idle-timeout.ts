import type { FindingRule } from "../finding.ts";
import { count } from "../seen-words.ts";
import { seenList, settingOf } from "../server-survey.ts";

/** Trap 6: from PostgreSQL 18 on a slot may be given up only because its consumer was down. */
export const slotIdleTimeout: FindingRule = {
  name: "slot-idle-timeout",
  code: "TM-FINDING-SLOT-IDLE-TIMEOUT",
  severity: "warning",
  title: "Slots are given up when their consumer is away for long",
  judge(survey) {
    const timeout = settingOf(survey, "idle_replication_slot_timeout");
    const slots = seenList(survey.slots).filter(({ temporary, synced }) => !temporary && !synced);
    if (timeout === undefined || timeout === "0" || slots.length === 0) return undefined;
    const unit = survey.settings.known ? (survey.settings.value["idle_replication_slot_timeout"]?.unit ?? "") : "";
    return {
      evidence: [
        `idle_replication_slot_timeout is ${timeout} ${unit}`.trimEnd(),
        `${count(slots.length, "slot")}: ${slots.map(({ name }) => name).join(", ")}`,
      ],
      fix: ["ALTER SYSTEM SET idle_replication_slot_timeout = '0'; SELECT pg_reload_conf();  -- and bound WAL with max_slot_wal_keep_size"],
    };
  },
};
