// The vault's disk is full: it acknowledges nothing, so commits that wait for it stand still.
import type { VaultRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

export const vaultFull: VaultRule = {
  name: "vault-full",
  scope: "vault",
  severity: "page",
  forMs: 0,
  keepMs: 30_000,
  judge({ status }) {
    if (status.state !== "full") return [{ subject: {}, verdict: CLEAR }];
    const disk = status.disk;
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${status.store}: the disk of vault ${status.vault} is full, it receives nothing and commits may wait for it`,
          evidence: disk === undefined ? {} : { freeBytes: disk.freeBytes, walBytes: disk.walBytes, divergedBytes: disk.divergedBytes },
        },
      },
    ];
  },
};
