import { formatDuration } from "@tidemark/kernel/duration";
import type { FindingRule } from "../finding.ts";
import { sayBytes, sqlText } from "../seen-words.ts";
import { seenList } from "../server-survey.ts";

/** Nobody reads from a slot: its consumer falls behind, and its WAL fills the disk or is given up. */
export const slotInactive: FindingRule = {
  name: "slot-inactive",
  code: "TM-FINDING-SLOT-INACTIVE",
  severity: "warning",
  title: "A replication slot is used by nobody",
  judge(survey) {
    const idle = seenList(survey.slots).filter(
      ({ active, synced, walStatus, invalidationReason }) => !active && !synced && walStatus !== "lost" && invalidationReason === null,
    );
    if (idle.length === 0) return undefined;
    return {
      evidence: idle.map(
        ({ name, type, retainedBytes, inactiveForMs }) =>
          `${name} (${type})${inactiveForMs === null ? "" : `, for ${formatDuration(inactiveForMs)}`}, keeps ${retainedBytes === null ? "no WAL yet" : `${sayBytes(retainedBytes)} of WAL`}`,
      ),
      fix: [
        "start its consumer again; or, when it is gone for good:",
        ...idle.map(({ name }) => `SELECT pg_drop_replication_slot(${sqlText(name)});`),
      ],
    };
  },
};
