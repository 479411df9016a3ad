// Every rule that needs the whole configuration, in alphabetical order. A test holds files, rules, pages and tests to each other.
import type { DoctorRule } from "./doctor-rule.ts";
import { backupUnusable } from "./findings/backup-unusable.ts";
import { backupUnverified } from "./findings/backup-unverified.ts";
import { backupsSameAccount } from "./findings/backups-same-account.ts";
import { copiesOneDomain } from "./findings/copies-one-domain.ts";
import { copyUnnamed } from "./findings/copy-unnamed.ts";
import { diskLow } from "./findings/disk-low.ts";
import { exposureAboveObjective } from "./findings/exposure-above-objective.ts";
import { exposureUnknown } from "./findings/exposure-unknown.ts";
import { objectiveBelowRoundTrip } from "./findings/objective-below-round-trip.ts";
import { objectiveBeyondNeed } from "./findings/objective-beyond-need.ts";
import { otherCluster } from "./findings/other-cluster.ts";
import { retentionShort } from "./findings/retention-short.ts";
import { storeWithoutCopy } from "./findings/store-without-copy.ts";
import { targetAway } from "./findings/target-away.ts";
import { twoPrimaries } from "./findings/two-primaries.ts";

export const DOCTOR_RULES: readonly DoctorRule[] = [
  backupUnusable,
  backupUnverified,
  backupsSameAccount,
  copiesOneDomain,
  copyUnnamed,
  diskLow,
  exposureAboveObjective,
  exposureUnknown,
  objectiveBelowRoundTrip,
  objectiveBeyondNeed,
  otherCluster,
  retentionShort,
  storeWithoutCopy,
  targetAway,
  twoPrimaries,
];
