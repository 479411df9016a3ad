import { formatDuration } from "@tidemark/kernel/duration";
import type { FindingRule } from "../finding.ts";
import { sayBytes } from "../seen-words.ts";
import { settingOf } from "../server-survey.ts";

/** The last attempt failed: PostgreSQL repeats it for ever, keeps all WAL meanwhile, and point-in-time recovery ends before it. */
export const archiverFailing: FindingRule = {
  name: "archiver-failing",
  code: "TM-FINDING-ARCHIVER-FAILING",
  severity: "critical",
  title: "WAL is not archived: the archiver fails",
  judge(survey) {
    if (!survey.archiver.known || settingOf(survey, "archive_mode") === "off") return undefined;
    const { failed, lastFailedWal, lastFailedAgoMs, lastArchivedAgoMs, missingBytes } = survey.archiver.value;
    if (lastFailedAgoMs === null || (lastArchivedAgoMs !== null && lastArchivedAgoMs <= lastFailedAgoMs)) return undefined;
    return {
      evidence: [
        `${lastFailedWal ?? "a file"} failed ${formatDuration(lastFailedAgoMs)} ago; ${failed} failed attempts since the statistics began`,
        lastArchivedAgoMs === null
          ? "nothing was archived since the statistics began"
          : `last archived: ${formatDuration(lastArchivedAgoMs)} ago`,
        ...(missingBytes === null ? [] : [`${sayBytes(missingBytes)} of WAL are not in the archive`]),
      ],
      fix: [
        "look into the server's log for the command's own words",
        "run archive_command by hand as PostgreSQL's user",
        "SHOW archive_command;",
      ],
    };
  },
};
