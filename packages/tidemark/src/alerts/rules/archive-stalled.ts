// An object store takes nothing: what the vault has and the store has not is lost with the vault's machine.
import { formatDuration } from "@tidemark/kernel/duration";
import type { VaultRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

export const archiveStalled: VaultRule = {
  name: "archive-stalled",
  scope: "vault",
  severity: "ticket",
  forMs: 5 * 60_000,
  keepMs: 60_000,
  judge({ status }) {
    return (status.archive?.stores ?? []).map((store) => {
      const subject = { archive: store.name };
      if (store.state !== "held" && store.state !== "stopped") return { subject, verdict: CLEAR };
      const least = store.lagIsLowerBound ? "at least " : "";
      return {
        subject,
        verdict: {
          kind: "holds" as const,
          summary: `${status.store}: vault ${status.vault} cannot archive to ${store.name}, ${least}${formatDuration(store.lagSeconds * 1_000)} behind`,
          evidence: {
            state: store.state,
            lagSeconds: store.lagSeconds,
            lagBytes: store.lagBytes,
            ...(store.lastError === undefined ? {} : { code: store.lastError.code, error: store.lastError.message }),
          },
        },
      };
    });
  },
};
