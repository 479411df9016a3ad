import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** A command that cannot have copied the file (it does not name it), or none: WAL is thrown away, or kept until the disk is full. */
export const archiveCommandHollow: FindingRule = {
  name: "archive-command-hollow",
  code: "TM-FINDING-ARCHIVE-COMMAND-HOLLOW",
  severity: "critical",
  title: "archive_mode is on, and archive_command archives nothing",
  judge(survey) {
    const mode = settingOf(survey, "archive_mode");
    const command = settingOf(survey, "archive_command");
    if (mode === undefined || mode === "off" || command === undefined || command.includes("%p")) return undefined;
    if ((settingOf(survey, "archive_library") ?? "") !== "") return undefined;
    const empty = command === "" || command === "(disabled)";
    // Of a command that fails each time the archiver tells; nothing is thrown away then.
    const fails = /^(\/(usr\/)?bin\/)?false$/.test(command.trim());
    return {
      evidence: [
        empty
          ? "archive_command is empty: WAL is kept, and archived nowhere"
          : fails
            ? `archive_command (${command}) always fails: WAL is kept, and archived nowhere`
            : `archive_command (${command}) does not name %p: it says done and has copied nothing`,
      ],
      fix: [
        "set archive_command to one that copies %p durably and fails when it cannot, such as tidemark wal push %p",
        "SELECT pg_reload_conf();",
      ],
    };
  },
};
