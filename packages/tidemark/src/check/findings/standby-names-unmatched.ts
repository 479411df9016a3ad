import type { FindingRule } from "../finding.ts";
import { count } from "../seen-words.ts";
import { settingOf } from "../server-survey.ts";
import { matches, parseStandbyNames } from "../standby-names.ts";

/** Trap 21: names are compared with application_name. One that nobody bears protects nothing, and may hold up every commit. */
export const standbyNamesUnmatched: FindingRule = {
  name: "standby-names-unmatched",
  code: "TM-FINDING-STANDBY-NAMES-UNMATCHED",
  severity: "warning",
  title: "A name in synchronous_standby_names matches no replica",
  judge(survey) {
    const names = parseStandbyNames(settingOf(survey, "synchronous_standby_names") ?? "");
    if (survey.server.inRecovery || names === undefined || !survey.replicas.known) return undefined;
    const replicas = survey.replicas.value;
    const alone = names.names.filter((name) => !replicas.some((replica) => matches(name, replica.name)));
    if (alone.length === 0) return undefined;
    return {
      evidence: [
        ...alone.map((name) => (name === "*" ? "* matches nothing: no replica streams" : `${name} matches no replica`)),
        `${count(replicas.length, "replica")} here${replicas.length === 0 ? "" : `: ${replicas.map(({ name }) => name || "(no name)").join(", ")}`}`,
      ],
      fix: [
        "set application_name in the replica's primary_conninfo to the name that is waited for, or start that replica",
        "or correct the list: ALTER SYSTEM SET synchronous_standby_names = '…'; SELECT pg_reload_conf();",
      ],
    };
  },
};
