import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** A page that was written by half when the power went is not made whole again by WAL. */
export const fullPageWritesOff: FindingRule = {
  name: "full-page-writes-off",
  code: "TM-FINDING-FULL-PAGE-WRITES-OFF",
  severity: "critical",
  title: "A power cut can leave torn pages that recovery does not repair",
  judge(survey) {
    if (settingOf(survey, "full_page_writes") !== "off") return undefined;
    return {
      evidence: ["full_page_writes is off"],
      fix: ["ALTER SYSTEM SET full_page_writes = 'on'; SELECT pg_reload_conf();"],
    };
  },
};
