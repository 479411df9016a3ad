// The server that answers is none that the vault may follow: another cluster, an old primary, another history.
import type { VaultRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

export const vaultRefusing: VaultRule = {
  name: "vault-refusing",
  scope: "vault",
  severity: "page",
  // A failover passes through this for a moment.
  forMs: 30_000,
  keepMs: 30_000,
  judge({ status }) {
    if (status.state !== "refusing") return [{ subject: {}, verdict: CLEAR }];
    const why = status.detail ?? "it does not say why";
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${status.store}: vault ${status.vault} refuses to follow the server that answers: ${why}`,
          evidence: { why, ...(status.primary === undefined ? {} : { primary: status.primary.node, epoch: Number(status.primary.epoch) }) },
        },
      },
    ];
  },
};
