import type { FindingRule } from "../finding.ts";
import { seenList, settingOf } from "../server-survey.ts";
import { parseStandbyNames } from "../standby-names.ts";

/** Trap 20: remote_apply waits for replay, and a receiver (pg_receivewal, a WAL vault) never replays: commits hang without end. */
export const remoteApplyReceiver: FindingRule = {
  name: "remote-apply-receiver",
  code: "TM-FINDING-REMOTE-APPLY-RECEIVER",
  severity: "critical",
  title: "Commits wait to be replayed by a copy that never replays",
  judge(survey) {
    if ((settingOf(survey, "synchronous_standby_names") ?? "") === "" || !survey.replicas.known) return undefined;
    const applies =
      settingOf(survey, "synchronous_commit") === "remote_apply" ||
      seenList(survey.overrides).some(({ name, value }) => name === "synchronous_commit" && value === "remote_apply");
    const waitedFor = survey.replicas.value.filter(({ syncState }) => syncState === "sync" || syncState === "quorum");
    const receivers = waitedFor.filter(({ receiverOnly }) => receiverOnly);
    // A quorum that replaying standbys can fill goes on; every member of a priority list has to confirm.
    const needed = parseStandbyNames(settingOf(survey, "synchronous_standby_names") ?? "")?.needed ?? 1;
    const replaying = waitedFor.length - receivers.length;
    const needsReceiver = receivers.some(({ syncState }) => syncState === "sync" || needed > replaying);
    if (!applies || !needsReceiver) return undefined;
    return {
      evidence: [`synchronous_commit is remote_apply, and ${receivers.map(({ name }) => name).join(", ")} reports no replay`],
      fix: [
        "ALTER SYSTEM SET synchronous_commit = 'on'; SELECT pg_reload_conf();",
        "or let a standby that replays be the one that is waited for",
      ],
    };
  },
};
