import type { FindingRule } from "../finding.ts";
import { sayBytes } from "../seen-words.ts";
import { settingOf } from "../server-survey.ts";

/** The archive gets whole files only: on a quiet server the newest commits may wait for hours. */
export const archiveTimeoutOff: FindingRule = {
  name: "archive-timeout-off",
  code: "TM-FINDING-ARCHIVE-TIMEOUT-OFF",
  severity: "warning",
  title: "WAL reaches the archive only when a file is full",
  judge(survey) {
    const mode = settingOf(survey, "archive_mode");
    if (survey.server.inRecovery || mode === undefined || mode === "off" || settingOf(survey, "archive_timeout") !== "0") return undefined;
    if (!survey.replicas.known || survey.replicas.value.length > 0) return undefined;
    const segment = Number(settingOf(survey, "wal_segment_size"));
    return {
      evidence: [
        `archive_timeout is 0 and nothing streams: the newest WAL file${segment > 0 ? `, up to ${sayBytes(segment)},` : ""} is in no archive for as long as it is not full`,
      ],
      fix: ["ALTER SYSTEM SET archive_timeout = '60s'; SELECT pg_reload_conf();"],
    };
  },
};
