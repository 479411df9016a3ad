import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";
import { parseStandbyNames } from "../standby-names.ts";

/** Trap 21: with `*` whatever connects for replication counts, also a pg_receivewal that somebody runs on a laptop. */
export const standbyNamesAny: FindingRule = {
  name: "standby-names-any",
  code: "TM-FINDING-STANDBY-NAMES-ANY",
  severity: "warning",
  title: "Any client that streams WAL counts as a synchronous copy",
  judge(survey) {
    const text = settingOf(survey, "synchronous_standby_names") ?? "";
    if (parseStandbyNames(text)?.names.includes("*") !== true) return undefined;
    return {
      evidence: [`synchronous_standby_names is ${text}: a copy that nobody chose may be the only one that has a commit`],
      fix: ["name the replicas: ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (a, b)'; SELECT pg_reload_conf();"],
    };
  },
};
