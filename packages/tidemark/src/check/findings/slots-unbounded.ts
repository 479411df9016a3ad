import type { FindingRule } from "../finding.ts";
import { count, sayBytes } from "../seen-words.ts";
import { seenList, settingOf } from "../server-survey.ts";

/** Trap 5: without a limit one consumer that stays away fills the disk and stops the primary. */
export const slotsUnbounded: FindingRule = {
  name: "slots-unbounded",
  code: "TM-FINDING-SLOTS-UNBOUNDED",
  severity: "notice",
  title: "Slots may keep WAL until the disk is full",
  judge(survey) {
    const slots = seenList(survey.slots).filter(({ temporary, walStatus }) => !temporary && walStatus !== "lost");
    if (slots.length === 0 || settingOf(survey, "max_slot_wal_keep_size") !== "-1") return undefined;
    const kept = Math.max(...slots.map(({ retainedBytes }) => retainedBytes ?? 0));
    return {
      evidence: [`max_slot_wal_keep_size is -1, with ${count(slots.length, "slot")}; the furthest behind keeps ${sayBytes(kept)}`],
      fix: [
        "ALTER SYSTEM SET max_slot_wal_keep_size = '…';  -- less than the free space, more than the longest outage writes",
        "SELECT pg_reload_conf();",
      ],
    };
  },
};
