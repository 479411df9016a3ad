// The primary does not say what it has acknowledged: either the service is down, or the measurement is blind.
import { formatDuration } from "@tidemark/kernel/duration";
import type { StoreRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

export const primarySilent: StoreRule = {
  name: "primary-silent",
  scope: "store",
  severity: "page",
  forMs: 30_000,
  keepMs: 15_000,
  judge({ nowMs, facts }) {
    const newest = facts.newestCommit;
    if (newest.known) return [{ subject: {}, verdict: CLEAR }];
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${facts.store}: the primary has not answered for ${formatDuration(Math.max(0, nowMs - newest.sinceMs))}: ${newest.why}`,
          evidence: { why: newest.why, unknownSinceMs: newest.sinceMs },
        },
      },
    ];
  },
};
