// Every rule, by scope. tools/tidy holds this list, the files of rules/ and the pages of docs/runbooks/ against each other.
import { archiveHole } from "./rules/archive-hole.ts";
import { archiveStalled } from "./rules/archive-stalled.ts";
import { burnRate1d } from "./rules/burn-rate-1d.ts";
import { burnRate1h } from "./rules/burn-rate-1h.ts";
import { burnRate3d } from "./rules/burn-rate-3d.ts";
import { burnRate6h } from "./rules/burn-rate-6h.ts";
import { commitsReleasedWithoutCopies } from "./rules/commits-released-without-copies.ts";
import { copyCorrupt } from "./rules/copy-corrupt.ts";
import { copyLost } from "./rules/copy-lost.ts";
import { deliveryStalled } from "./rules/delivery-stalled.ts";
import { exposureAboveObjective } from "./rules/exposure-above-objective.ts";
import { exposureRising } from "./rules/exposure-rising.ts";
import { exposureUnknownTooLong } from "./rules/exposure-unknown-too-long.ts";
import { lastCopyLost } from "./rules/last-copy-lost.ts";
import { primarySilent } from "./rules/primary-silent.ts";
import { proofTooOld } from "./rules/proof-too-old.ts";
import { provenExposureAboveObjective } from "./rules/proven-exposure-above-objective.ts";
import { recoveryTimeAboveObjective } from "./rules/recovery-time-above-objective.ts";
import type { ReceiverRule, Rule, ScenarioRule, StoreRule, VaultRule } from "./rules/rule.ts";
import { slotLosingWal } from "./rules/slot-losing-wal.ts";
import { storeWithoutCopy } from "./rules/store-without-copy.ts";
import { vaultFull } from "./rules/vault-full.ts";
import { vaultRefusing } from "./rules/vault-refusing.ts";
import { walGap } from "./rules/wal-gap.ts";

export const SCENARIO_RULES: readonly ScenarioRule[] = [
  exposureAboveObjective,
  exposureRising,
  exposureUnknownTooLong,
  recoveryTimeAboveObjective,
  provenExposureAboveObjective,
  burnRate1h,
  burnRate6h,
  burnRate1d,
  burnRate3d,
];

export const STORE_RULES: readonly StoreRule[] = [
  copyLost,
  lastCopyLost,
  storeWithoutCopy,
  proofTooOld,
  commitsReleasedWithoutCopies,
  primarySilent,
];

export const VAULT_RULES: readonly VaultRule[] = [
  walGap,
  archiveHole,
  copyCorrupt,
  vaultFull,
  slotLosingWal,
  archiveStalled,
  vaultRefusing,
];

export const RECEIVER_RULES: readonly ReceiverRule[] = [deliveryStalled];

export const RULES: readonly Rule[] = [...SCENARIO_RULES, ...STORE_RULES, ...VAULT_RULES, ...RECEIVER_RULES];
