import type { FindingRule } from "../finding.ts";
import { count } from "../seen-words.ts";

/** Unlogged tables are emptied by a crash and are on no replica and in no archive. */
export const unloggedTables: FindingRule = {
  name: "unlogged-tables",
  code: "TM-FINDING-UNLOGGED-TABLES",
  severity: "warning",
  title: "Unlogged tables are empty after a crash or a failover",
  judge(survey) {
    if (!survey.database.known || survey.database.value.unloggedTables === 0) return undefined;
    const { name, unloggedTables: tables, unloggedExamples } = survey.database.value;
    return {
      evidence: [
        `${count(tables, "unlogged table")} in ${name}: ${unloggedExamples.join(", ")}${tables > unloggedExamples.length ? ", …" : ""}`,
      ],
      fix: [
        "if they may not be lost:",
        ...unloggedExamples.map((table) => `ALTER TABLE ${table} SET LOGGED;  -- rewrites it under a lock`),
      ],
    };
  },
};
