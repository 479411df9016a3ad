// The primary is about to remove WAL that the vault does not have yet, or has done so.
import type { VaultRule } from "./rule.ts";
import { CLEAR, UNKNOWN } from "./rule.ts";

/** So much WAL, four segments of the usual size, may be written in seconds. */
const LITTLE_BYTES = 64 * 1_024 * 1_024;

export const slotLosingWal: VaultRule = {
  name: "slot-losing-wal",
  scope: "vault",
  severity: "page",
  forMs: 0,
  keepMs: 30_000,
  judge({ status }) {
    const slot = status.slot;
    if (slot?.walStatus === undefined) return [{ subject: {}, verdict: UNKNOWN }];
    const gone = slot.walStatus === "lost" || slot.walStatus === "unreserved" || slot.invalidationReason !== undefined;
    const near = slot.safeWalBytes !== undefined && slot.safeWalBytes < LITTLE_BYTES && slot.active !== true;
    if (!gone && !near) return [{ subject: {}, verdict: CLEAR }];
    const words = slot.walStatus === "lost" ? "may have removed WAL" : "is about to remove WAL";
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${status.store}: the primary ${words} that vault ${status.vault} does not have yet`,
          evidence: {
            walStatus: slot.walStatus,
            ...(slot.safeWalBytes === undefined ? {} : { safeWalBytes: slot.safeWalBytes }),
            ...(slot.restartLsn === undefined ? {} : { restartLsn: slot.restartLsn }),
            ...(slot.invalidationReason === undefined ? {} : { invalidationReason: slot.invalidationReason }),
          },
        },
      },
    ];
  },
};
