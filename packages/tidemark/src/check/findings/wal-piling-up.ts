import type { FindingRule } from "../finding.ts";
import { sayBytes } from "../seen-words.ts";
import { settingOf } from "../server-survey.ts";

/** PostgreSQL keeps about max_wal_size; beyond twice that something else holds WAL back. */
const TIMES_MAX_WAL_SIZE = 2;
const MIB = 1024 * 1024;

/** A full WAL disk stops the primary: the archiver, a slot or wal_keep_size holds the files. */
export const walPilingUp: FindingRule = {
  name: "wal-piling-up",
  code: "TM-FINDING-WAL-PILING-UP",
  severity: "warning",
  title: "pg_wal is much larger than it should be",
  judge(survey) {
    const most = Number(settingOf(survey, "max_wal_size")) * MIB;
    const keep = Number(settingOf(survey, "wal_keep_size") ?? "0") * MIB;
    if (!survey.walDirectory.known || !(most > 0) || Number.isNaN(keep)) return undefined;
    const { files, bytes } = survey.walDirectory.value;
    if (bytes <= most * TIMES_MAX_WAL_SIZE + keep) return undefined;
    return {
      evidence: [
        `${sayBytes(bytes)} in ${files} files, with max_wal_size ${sayBytes(most)}${keep > 0 ? ` and wal_keep_size ${sayBytes(keep)}` : ""}`,
      ],
      fix: [
        "find what holds it: SELECT * FROM pg_stat_archiver; SELECT slot_name, restart_lsn, active FROM pg_replication_slots;",
        "never delete files of pg_wal by hand",
      ],
    };
  },
};
