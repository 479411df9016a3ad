import type { FindingRule } from "../finding.ts";
import { count } from "../seen-words.ts";
import { settingOf } from "../server-survey.ts";
import { matches, parseStandbyNames } from "../standby-names.ts";

/** Fewer replicas than asked for: each commit waits, for ever; whoever cancels the wait has a commit that is on one machine only (trap 15). */
export const standbyQuorumShort: FindingRule = {
  name: "standby-quorum-short",
  code: "TM-FINDING-STANDBY-QUORUM-SHORT",
  severity: "critical",
  title: "Commits wait for more replicas than there are",
  judge(survey) {
    const text = settingOf(survey, "synchronous_standby_names") ?? "";
    const names = parseStandbyNames(text);
    if (survey.server.inRecovery || names === undefined || !survey.replicas.known) return undefined;
    const able = survey.replicas.value.filter(
      ({ name, state }) => (state === "streaming" || state === "stopping") && names.names.some((wanted) => matches(wanted, name)),
    );
    if (able.length >= names.needed) return undefined;
    return {
      evidence: [
        `synchronous_standby_names is ${text}: ${count(names.needed, "replica")} needed, ${able.length} of these names streaming`,
        "commits hang; statement_timeout does not end such a wait",
      ],
      fix: [
        "start the missing replica",
        "SELECT application_name, state, sync_state FROM pg_stat_replication;",
        "taking it out of the list releases the waiting commits as successful although one machine alone has them",
      ],
    };
  },
};
