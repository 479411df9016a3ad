// WAL is missing for good between what the vault has and what came after: no backup from before can be brought forward to now.
import type { VaultRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

export const walGap: VaultRule = {
  name: "wal-gap",
  scope: "vault",
  severity: "page",
  forMs: 0,
  keepMs: 0,
  judge({ status }) {
    const wanted = status.baseBackupWanted;
    const gap = status.gaps.at(-1);
    if (wanted === undefined) return [{ subject: {}, verdict: CLEAR }];
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${status.store}: WAL is missing in vault ${status.vault}, no backup from before ${wanted.from.lsn} can be brought forward: ${wanted.why}`,
          evidence: {
            backupNeededFrom: `${wanted.from.timeline}/${wanted.from.lsn}`,
            why: wanted.why,
            ...(gap === undefined ? {} : { gapFrom: gap.from.lsn, gapTo: gap.to.lsn, foundAtMs: gap.foundAtMs }),
          },
        },
      },
    ];
  },
};
