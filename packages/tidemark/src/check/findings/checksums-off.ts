import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** Without checksums a page that the disk spoilt is served as if it were right. */
export const checksumsOff: FindingRule = {
  name: "checksums-off",
  code: "TM-FINDING-CHECKSUMS-OFF",
  severity: "warning",
  title: "Damaged pages are not noticed, and are replicated and backed up",
  judge(survey) {
    if (settingOf(survey, "data_checksums") !== "off") return undefined;
    return {
      evidence: ["data_checksums is off"],
      fix: [
        "pg_checksums --enable -D …  # with the server shut down; standbys as well",
        "a new cluster has them from initdb --data-checksums (the default from 18 on)",
      ],
    };
  },
};
