// A copy that has to be restored to be used, and was not restored for too long, or never (PROVEN-OR-NOT).
import { formatDuration } from "@tidemark/kernel/duration";
import type { CopyKind } from "../../probes/probe-result.ts";
import type { StoreRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

/** A standby shows every second that it works; what lies still does not. */
const NEEDS_PROOF: ReadonlySet<CopyKind> = new Set(["vault", "archive", "backup", "snapshot"]);

/** A copy that is new may be proven within a day. */
const NEVER_PROVEN_MS = 86_400_000;

export const proofTooOld: StoreRule = {
  name: "proof-too-old",
  scope: "store",
  severity: "ticket",
  forMs: 0,
  keepMs: 0,
  judge({ nowMs, facts, mostProofAgeMs }) {
    return facts.copies
      .filter(({ kind }) => NEEDS_PROOF.has(kind))
      .map((copy) => {
        const subject = { copy: copy.name };
        const { proof } = copy;
        if (proof !== undefined && nowMs - proof.atMs <= mostProofAgeMs) return { subject, verdict: CLEAR };
        const what = `${facts.store}: the ${copy.kind} ${copy.name}`;
        return {
          subject,
          verdict: {
            kind: "holds" as const,
            ...(proof === undefined ? { forMs: NEVER_PROVEN_MS } : {}),
            summary:
              proof === undefined
                ? `${what} was never restored and checked`
                : `${what} was restored and checked ${formatDuration(nowMs - proof.atMs)} ago, ${formatDuration(mostProofAgeMs)} are allowed`,
            evidence: { kind: copy.kind, mostProofAgeMs, ...(proof === undefined ? { proof: "never" } : { provenAtMs: proof.atMs }) },
          },
        };
      });
  },
};
