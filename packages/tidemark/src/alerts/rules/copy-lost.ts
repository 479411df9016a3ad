// A copy that counted is not there, or cannot say how far it reaches. One accident less can be survived.
import { formatDuration } from "@tidemark/kernel/duration";
import type { StoreRule, SubjectVerdict } from "./rule.ts";
import { CLEAR, UNKNOWN } from "./rule.ts";

export const copyLost: StoreRule = {
  name: "copy-lost",
  scope: "store",
  severity: "ticket",
  forMs: 60_000,
  keepMs: 30_000,
  judge({ nowMs, facts, seen }) {
    const verdicts: SubjectVerdict[] = [];
    const named = new Set<string>();
    for (const copy of facts.copies) {
      named.add(copy.name);
      if (copy.kind === "primary") continue;
      const subject = { copy: copy.name };
      if (copy.recoveryPoint.known) {
        verdicts.push({ subject, verdict: CLEAR });
        continue;
      }
      const { why, sinceMs } = copy.recoveryPoint;
      verdicts.push({
        subject,
        verdict: {
          kind: "holds",
          summary: `${facts.store}: the ${copy.kind} ${copy.name} cannot be counted on for ${formatDuration(Math.max(0, nowMs - sinceMs))}: ${why}`,
          evidence: { kind: copy.kind, why, unknownSinceMs: sinceMs, everSeen: seen.has(copy.name) },
        },
      });
    }
    for (const [name, lastMs] of seen) {
      if (named.has(name)) continue;
      const subject = { copy: name };
      // Copies are found through the primary too: while that does not answer, their absence says nothing.
      if (!facts.newestCommit.known) verdicts.push({ subject, verdict: UNKNOWN });
      else
        verdicts.push({
          subject,
          verdict: {
            kind: "holds",
            summary: `${facts.store}: the copy ${name} is gone, last seen ${formatDuration(Math.max(0, nowMs - lastMs))} ago`,
            evidence: { why: "nothing tells of it any more", lastSeenMs: lastMs, everSeen: true },
          },
        });
    }
    // A server that turned out to be the primary, after a start or a failover, is no copy that is lost.
    for (const { kind, name } of facts.copies) if (kind === "primary") verdicts.push({ subject: { copy: name }, verdict: CLEAR });
    return verdicts;
  },
};
