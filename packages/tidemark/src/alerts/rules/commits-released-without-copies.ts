// Commits that waited for copies were acknowledged without them: the standby list was emptied, or waiting was cancelled (trap 16).
import { formatDuration } from "@tidemark/kernel/duration";
import type { StoreRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

/** It is told for so long; what was released stays unsafe until a copy has it. */
const TOLD_MS = 60 * 60_000;

export const commitsReleasedWithoutCopies: StoreRule = {
  name: "commits-released-without-copies",
  scope: "store",
  severity: "page",
  forMs: 0,
  keepMs: 0,
  judge({ nowMs, facts }) {
    const at = facts.releasedWithoutCopiesAtMs;
    if (at === undefined || nowMs - at >= TOLD_MS) return [{ subject: {}, verdict: CLEAR }];
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${facts.store}: commits were acknowledged without the copies that they had to wait for, ${formatDuration(Math.max(0, nowMs - at))} ago`,
          evidence: { releasedAtMs: at },
        },
      },
    ];
  },
};
