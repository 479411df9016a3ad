import { formatDuration } from "@tidemark/kernel/duration";
import type { FindingRule } from "../finding.ts";
import { seenList } from "../server-survey.ts";
import { sqlText } from "../seen-words.ts";

/** Prepared and never decided: it survives crashes and failovers, holds its locks, and nobody may know whether it was promised. */
export const preparedTransactionOld: FindingRule = {
  name: "prepared-transaction-old",
  code: "TM-FINDING-PREPARED-TRANSACTION-OLD",
  severity: "warning",
  title: "A prepared transaction was never decided",
  judge(survey, { transactionAgeMs }) {
    const old = seenList(survey.prepared).filter(({ ageMs }) => ageMs >= transactionAgeMs);
    if (old.length === 0) return undefined;
    return {
      evidence: old.map(({ gid, owner, database, ageMs }) => `${sqlText(gid)}: ${formatDuration(ageMs)}, ${owner} in ${database}`),
      fix: [
        "ask its transaction manager what was decided, then in that database one of:",
        ...old.slice(0, 3).map(({ gid }) => `COMMIT PREPARED ${sqlText(gid)};  /  ROLLBACK PREPARED ${sqlText(gid)};`),
      ],
    };
  },
};
