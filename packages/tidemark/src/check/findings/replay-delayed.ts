import { formatDuration } from "@tidemark/kernel/duration";
import type { FindingRule } from "../finding.ts";
import { settingOf } from "../server-survey.ts";

/** A delayed standby is a help against a wrong DELETE, and a slow one in a failover: both should be meant. */
export const replayDelayed: FindingRule = {
  name: "replay-delayed",
  code: "TM-FINDING-REPLAY-DELAYED",
  severity: "notice",
  title: "This standby replays with a delay",
  judge(survey) {
    const delayMs = Number(settingOf(survey, "recovery_min_apply_delay") ?? "0");
    if (!survey.server.inRecovery || !(delayMs > 0)) return undefined;
    return {
      evidence: [`recovery_min_apply_delay is ${formatDuration(delayMs)}: a failover to it has to replay that much first`],
      fix: [
        "if it is meant for failover: ALTER SYSTEM SET recovery_min_apply_delay = '0'; SELECT pg_reload_conf();",
        "if it is meant against wrong writes: keep it out of the failover",
      ],
    };
  },
};
