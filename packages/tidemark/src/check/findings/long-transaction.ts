import { formatDuration } from "@tidemark/kernel/duration";
import type { FindingRule } from "../finding.ts";
import { count } from "../seen-words.ts";
import { seenList } from "../server-survey.ts";

/** An old transaction holds back vacuum everywhere, keeps logical slots from moving, and all of its work is lost in a failover. */
export const longTransaction: FindingRule = {
  name: "long-transaction",
  code: "TM-FINDING-LONG-TRANSACTION",
  severity: "warning",
  title: "A transaction has been open for long",
  judge(survey, { transactionAgeMs }) {
    const old = seenList(survey.transactions).filter(({ ageMs }) => ageMs >= transactionAgeMs);
    const shown = old.slice(0, 3);
    if (shown.length === 0) return undefined;
    return {
      evidence: [
        ...(old.length > shown.length ? [`${count(old.length, "transaction")}; the oldest:`] : []),
        ...shown.map(
          ({ pid, user, database, application, state, ageMs }) =>
            `pid ${pid}: ${formatDuration(ageMs)}, ${state ?? "unknown state"}, ${user ?? "?"} in ${database ?? "?"}${application === "" ? "" : ` (${application})`}`,
        ),
      ],
      fix: [
        ...shown.map(({ pid }) => `SELECT pg_terminate_backend(${pid});  -- undoes its work`),
        "and bound it: idle_in_transaction_session_timeout, from 17 on transaction_timeout",
      ],
    };
  },
};
