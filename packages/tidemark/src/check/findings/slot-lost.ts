import type { FindingRule } from "../finding.ts";
import { sqlText } from "../seen-words.ts";
import { seenList } from "../server-survey.ts";

/** The slot is invalid: its consumer has a hole that only a new base backup or a new synchronisation closes. */
export const slotLost: FindingRule = {
  name: "slot-lost",
  code: "TM-FINDING-SLOT-LOST",
  severity: "critical",
  title: "A replication slot has lost WAL that its consumer needed",
  judge(survey) {
    const lost = seenList(survey.slots).filter(({ walStatus, invalidationReason }) => walStatus === "lost" || invalidationReason !== null);
    if (lost.length === 0) return undefined;
    return {
      evidence: lost.map(
        ({ name, type, invalidationReason }) => `${name} (${type}) is lost${invalidationReason === null ? "" : `: ${invalidationReason}`}`,
      ),
      fix: [
        "make its consumer anew from a base backup (or a new initial copy), then:",
        ...lost.map(({ name }) => `SELECT pg_drop_replication_slot(${sqlText(name)});`),
      ],
    };
  },
};
