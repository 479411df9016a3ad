import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** Nothing is flushed to disk: after a power cut the data directory may be damaged beyond recovery. */
export const fsyncOff: FindingRule = {
  name: "fsync-off",
  code: "TM-FINDING-FSYNC-OFF",
  severity: "critical",
  title: "A crash of the machine can destroy the whole database",
  judge(survey) {
    if (settingOf(survey, "fsync") !== "off") return undefined;
    return {
      evidence: ["fsync is off"],
      fix: [
        "ALTER SYSTEM SET fsync = 'on'; SELECT pg_reload_conf();",
        "take a new base backup: what was written meanwhile may be damaged on disk already",
      ],
    };
  },
};
