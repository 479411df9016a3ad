import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";
import { matches, parseStandbyNames } from "../standby-names.ts";

/** Trap 21: with two replicas of one name nobody can say which of them holds what was acknowledged. */
export const standbyNamesAmbiguous: FindingRule = {
  name: "standby-names-ambiguous",
  code: "TM-FINDING-STANDBY-NAMES-AMBIGUOUS",
  severity: "critical",
  title: "A name in synchronous_standby_names matches more than one replica",
  judge(survey) {
    const names = parseStandbyNames(settingOf(survey, "synchronous_standby_names") ?? "");
    if (names === undefined || !survey.replicas.known) return undefined;
    const replicas = survey.replicas.value;
    const doubled = names.names
      .filter((name) => name !== "*")
      .map((name) => ({ name, found: replicas.filter((replica) => matches(name, replica.name)) }))
      .filter(({ found }) => found.length > 1);
    if (doubled.length === 0) return undefined;
    return {
      evidence: doubled.map(
        ({ name, found }) =>
          `${name}: ${found.map(({ address, pid, syncState }) => `${address ?? "socket"} (pid ${pid}, ${syncState})`).join(", ")}`,
      ),
      fix: ["give each replica an application_name (or cluster_name) of its own; it is taken up when it connects again"],
    };
  },
};
