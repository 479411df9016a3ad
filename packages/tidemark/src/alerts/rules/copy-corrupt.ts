// Bytes of a copy are not what was stored: it cannot be relied on, and its disk or store may be failing.
import type { ErrorCode } from "@tidemark/kernel/errors";
import type { VaultStatus } from "../../vault/vault-status.ts";
import type { VaultRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

const CORRUPTION: ReadonlySet<string> = new Set<ErrorCode>([
  "TM-VAULT-CORRUPT",
  "TM-VAULT-DAMAGED",
  "TM-VAULT-OTHER-BYTES",
  "TM-VAULT-HISTORY-CONFLICT",
  "TM-VAULT-WAL-UNREADABLE",
  "TM-VAULT-SEGMENT-UNREADABLE",
  "TM-VAULT-SEGMENT-MISSING",
  "TM-VAULT-ARCHIVE-DAMAGED",
  "TM-VAULT-ARCHIVE-MISSING",
  "TM-VAULT-ARCHIVE-NOT-KEPT",
  "TM-SEAL-DAMAGED",
  "TM-SEAL-TRUNCATED",
  "TM-SEAL-TOO-LONG",
  "TM-SEAL-FORGED",
]);

export const copyCorrupt: VaultRule = {
  name: "copy-corrupt",
  scope: "vault",
  severity: "page",
  forMs: 0,
  keepMs: 0,
  judge({ status }) {
    const faults = corruptionOf(status);
    const first = faults[0];
    if (first === undefined) return [{ subject: {}, verdict: CLEAR }];
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${status.store}: vault ${status.vault} found bytes that are not what was stored (${first.where}): ${first.what}`,
          evidence: { faults: faults.length, code: first.code, where: first.where, what: first.what },
        },
      },
    ];
  },
};

function corruptionOf(status: VaultStatus): { code: string; where: string; what: string }[] {
  const own = status.faults.filter(({ code }) => CORRUPTION.has(code)).map(({ code, part, what }) => ({ code, where: part, what }));
  const archived = (status.archive?.faults ?? [])
    .filter(({ code }) => CORRUPTION.has(code))
    .map(({ code, where, message }) => ({ code, where, what: message }));
  return [...own, ...archived];
}
