import type { ErrorEntry } from "./errors.ts";
import { alertErrors } from "./error-codes/alerts.ts";
import { applierErrors } from "./error-codes/applier.ts";
import { checkErrors } from "./error-codes/check.ts";
import { clusterErrors } from "./error-codes/cluster.ts";
import { configErrors } from "./error-codes/config.ts";
import { gatewayErrors } from "./error-codes/gateway.ts";
import { historyErrors } from "./error-codes/history.ts";
import { initErrors } from "./error-codes/init.ts";
import { journalErrors } from "./error-codes/journal.ts";
import { objectStoreErrors } from "./error-codes/object-store.ts";
import { platformErrors } from "./error-codes/platform.ts";
import { postgresErrors } from "./error-codes/postgres.ts";
import { probeErrors } from "./error-codes/probes.ts";
import { proofErrors } from "./error-codes/proof.ts";
import { proveErrors } from "./error-codes/prove.ts";
import { vaultArchiveErrors } from "./error-codes/vault-archive.ts";
import { vaultCommitErrors } from "./error-codes/vault-commits.ts";
import { vaultReceiverErrors } from "./error-codes/vault-receiver.ts";
import { vaultServingErrors } from "./error-codes/vault-serving.ts";
import { vaultSealingErrors } from "./error-codes/vault-sealing.ts";
import { vaultStreamErrors } from "./error-codes/vault-stream.ts";

const catalogue = {
  ...alertErrors,
  ...applierErrors,
  ...checkErrors,
  ...clusterErrors,
  ...configErrors,
  ...gatewayErrors,
  ...historyErrors,
  ...initErrors,
  ...journalErrors,
  ...objectStoreErrors,
  ...platformErrors,
  ...postgresErrors,
  ...probeErrors,
  ...proofErrors,
  ...proveErrors,
  ...vaultArchiveErrors,
  ...vaultCommitErrors,
  ...vaultReceiverErrors,
  ...vaultServingErrors,
  ...vaultSealingErrors,
  ...vaultStreamErrors,
};

/** A code of the catalogue: `TM-<AREA>-<WHAT>`. Codes are never renamed or reused. */
export type ErrorCode = keyof typeof catalogue;

/** Every code with its meaning, whether it is normal, whether to retry, and what to do. */
export const errorCatalogue: Readonly<Record<ErrorCode, ErrorEntry>> = catalogue;
