import type { FindingRule } from "../finding.ts";
import { sayBytes } from "../seen-words.ts";

/** The standby receives and does not replay: nothing is lost, and a failover to it takes as long as the backlog. */
export const replayPaused: FindingRule = {
  name: "replay-paused",
  code: "TM-FINDING-REPLAY-PAUSED",
  severity: "warning",
  title: "This standby's replay is paused",
  judge(survey) {
    if (survey.recovery?.known !== true || !survey.recovery.value.replayPaused) return undefined;
    const { unreplayedBytes } = survey.recovery.value;
    return {
      evidence: [`paused${unreplayedBytes === null ? "" : `, with ${sayBytes(unreplayedBytes)} received and not replayed`}`],
      fix: ["SELECT pg_wal_replay_resume();"],
    };
  },
};
