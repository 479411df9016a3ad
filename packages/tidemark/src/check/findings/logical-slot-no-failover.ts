import type { FindingRule } from "../finding.ts";
import { sqlText } from "../seen-words.ts";
import { seenList, wholeCopies } from "../server-survey.ts";

/** Trap 32: a logical slot is not on the standby; after a failover its consumer has a hole or starts anew. */
export const logicalSlotNoFailover: FindingRule = {
  name: "logical-slot-no-failover",
  code: "TM-FINDING-LOGICAL-SLOT-NO-FAILOVER",
  severity: "warning",
  title: "A logical slot is lost in a failover",
  judge(survey) {
    const standbys = wholeCopies(seenList(survey.replicas)).filter(({ receiverOnly }) => !receiverOnly);
    const logical = seenList(survey.slots).filter(
      ({ type, temporary, failover, walStatus }) => type === "logical" && !temporary && failover !== true && walStatus !== "lost",
    );
    if (survey.server.inRecovery || standbys.length === 0 || logical.length === 0) return undefined;
    const settable = survey.server.major >= 17;
    return {
      evidence: logical.map(
        ({ name, plugin, database }) => `${name} (${plugin ?? "?"} in ${database ?? "?"})${settable ? ": failover is false" : ""}`,
      ),
      fix: settable
        ? [
            "for a subscription's slot, on the subscriber: ALTER SUBSCRIPTION … SET (failover = true);  -- while it is disabled",
            ...logical
              .slice(0, 3)
              .map(
                ({ name }) =>
                  `for others create anew: SELECT pg_create_logical_replication_slot(${sqlText(name)}, '…', false, false, true);`,
              ),
            "on the standby: sync_replication_slots = on; on the primary: synchronized_standby_slots",
          ]
        : [`PostgreSQL ${survey.server.major} cannot keep logical slots on standbys: upgrade to 17 or later, or plan to copy anew`],
    };
  },
};
