import { formatDuration } from "@tidemark/kernel/duration";
import type { FindingRule } from "../finding.ts";

/** Recovery to a time takes the server's clock by its word. */
export const clockSkew: FindingRule = {
  name: "clock-skew",
  code: "TM-FINDING-CLOCK-SKEW",
  severity: "warning",
  title: "The server's clock and this machine's differ",
  judge(survey, { clockSkewMs }) {
    if (!survey.clock.known) return undefined;
    const { offsetMs, errorMs } = survey.clock.value;
    if (Math.abs(offsetMs) - errorMs <= clockSkewMs) return undefined;
    return {
      evidence: [
        `the server is ${formatDuration(Math.abs(offsetMs))} ${offsetMs > 0 ? "ahead of" : "behind"} this machine (±${formatDuration(errorMs)}); which of them is right cannot be seen`,
      ],
      fix: ["timedatectl; chronyc tracking  # on both machines"],
    };
  },
};
