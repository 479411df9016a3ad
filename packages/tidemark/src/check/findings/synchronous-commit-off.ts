import type { FindingRule } from "../finding.ts";
import { sqlName } from "../seen-words.ts";
import { seenList, settingOf, type SettingOverride } from "../server-survey.ts";

/** Trap 19: commits are acknowledged before they are on disk (`off`), or before a replica has them although one is waited for (`local`). */
export const synchronousCommitOff: FindingRule = {
  name: "synchronous-commit-off",
  code: "TM-FINDING-SYNCHRONOUS-COMMIT-OFF",
  severity: "warning",
  title: "Commits are acknowledged before they are safe",
  judge(survey) {
    const waits = (settingOf(survey, "synchronous_standby_names") ?? "") !== "";
    const risky = (value: string): boolean => /^(off|false|no|0)$/i.test(value) || (waits && value.toLowerCase() === "local");
    const server = settingOf(survey, "synchronous_commit");
    const others = seenList(survey.overrides).filter(({ name, value }) => name === "synchronous_commit" && risky(value));
    const serverRisky =
      server !== undefined && risky(server) && others.every(({ role, database }) => role !== survey.self.user && database === null);
    if (!serverRisky && others.length === 0) return undefined;
    return {
      evidence: [
        ...(serverRisky ? [`synchronous_commit is ${server} for the server`] : []),
        ...others.map((entry) => `synchronous_commit is ${entry.value} for ${whom(entry)}`),
      ],
      fix: [
        ...(serverRisky ? ["ALTER SYSTEM SET synchronous_commit = 'on'; SELECT pg_reload_conf();"] : []),
        ...others.map((entry) => `${alter(entry)} RESET synchronous_commit;`),
      ],
    };
  },
};

function whom({ role, database }: SettingOverride): string {
  return (
    [role === null ? undefined : `role ${role}`, database === null ? undefined : `database ${database}`].filter(Boolean).join(" in ") ||
    "all roles"
  );
}

function alter({ role, database }: SettingOverride): string {
  if (role === null) return database === null ? "ALTER ROLE ALL" : `ALTER DATABASE ${sqlName(database)}`;
  return `ALTER ROLE ${sqlName(role)}${database === null ? "" : ` IN DATABASE ${sqlName(database)}`}`;
}
