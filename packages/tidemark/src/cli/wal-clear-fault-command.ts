import { userInfo } from "node:os";
import { join } from "node:path";
import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import { TidemarkError } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { openAuditLog } from "../audit/audit-log.ts";
import { EXIT } from "../platform/exit-codes.ts";
import { VaultWalClient } from "../vault/serving/vault-wal-client.ts";
import { wrap, type Terminal } from "./terminal.ts";
import { findWalPlace, walToken, type WalPlaceOptions } from "./wal-place.ts";

/**
 * Clears the recorded faults of a code in every vault that was meant; 1 when none had any. The audit log has it before a vault
 * is asked: nothing is cleared that nobody answers for. Rejects with TM-VAULT-FAULT-CODE, TM-VAULT-AWAY and TM-PROOF-AUDIT-*.
 */
export async function runClearFault(terminal: Terminal, code: string, options: WalPlaceOptions & { reason: string }): Promise<number> {
  const { out, paint, columns } = terminal;
  if (!(code in errorCatalogue)) throw new TidemarkError("TM-VAULT-FAULT-CODE", `"${code.slice(0, 80)}" is the code of no fault`);
  if (options.reason.trim() === "") throw new TidemarkError("TM-VAULT-FAULT-CODE", "no reason was given for clearing a fault");
  const place = await findWalPlace(options);
  const token = await walToken(place.config);
  const log = await openAuditLog({ file: join(place.config.stateDir, "audit", "audit.jsonl"), clock: systemClock });
  const who = `user:${userInfo().username}`;
  let total = 0;
  try {
    for (const vault of place.vaults) {
      const entry = { who, subject: `${place.store}/${vault.name} ${code}`, reason: options.reason };
      await log.append({ ...entry, action: "clear-fault" });
      let cleared: number;
      try {
        cleared = await new VaultWalClient(vault, token).clearFaults(code);
      } catch (error) {
        await log.append({
          ...entry,
          action: "clear-fault-failed",
          facts: { why: error instanceof Error ? error.message : String(error) },
        });
        throw error;
      }
      total += cleared;
      const words =
        cleared === 0 ? `vault ${vault.name} has no recorded fault ${code}` : `vault ${vault.name} forgot ${cleared} recorded ${code}`;
      out(`${cleared === 0 ? paint.warn("–") : paint.good("✓")} ${wrap(words, columns - 2, "  ")}`);
    }
  } finally {
    await log.close();
  }
  return total > 0 ? EXIT.ok : EXIT.failed;
}
