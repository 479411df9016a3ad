// Every rule, in alphabetical order. A test holds files, rules and pages to each other.
import type { FindingRule } from "./finding.ts";
import { archiveCommandHollow } from "./findings/archive-command-hollow.ts";
import { archiveOff } from "./findings/archive-off.ts";
import { archiveTimeoutOff } from "./findings/archive-timeout-off.ts";
import { archiverFailing } from "./findings/archiver-failing.ts";
import { checkedAsSuperuser } from "./findings/checked-as-superuser.ts";
import { checksumsOff } from "./findings/checksums-off.ts";
import { clockSkew } from "./findings/clock-skew.ts";
import { commitTimestampsOff } from "./findings/commit-timestamps-off.ts";
import { dataSyncRetryOn } from "./findings/data-sync-retry-on.ts";
import { fsyncOff } from "./findings/fsync-off.ts";
import { fullPageWritesOff } from "./findings/full-page-writes-off.ts";
import { logicalSequences } from "./findings/logical-sequences.ts";
import { logicalSlotNoFailover } from "./findings/logical-slot-no-failover.ts";
import { longTransaction } from "./findings/long-transaction.ts";
import { noCopy } from "./findings/no-copy.ts";
import { oneFailureDomain } from "./findings/one-failure-domain.ts";
import { poolerBetween } from "./findings/pooler-between.ts";
import { preparedTransactionOld } from "./findings/prepared-transaction-old.ts";
import { remoteApplyReceiver } from "./findings/remote-apply-receiver.ts";
import { replayDelayed } from "./findings/replay-delayed.ts";
import { replayPaused } from "./findings/replay-paused.ts";
import { replicaBehind } from "./findings/replica-behind.ts";
import { rightsMissing } from "./findings/rights-missing.ts";
import { slotIdleTimeout } from "./findings/slot-idle-timeout.ts";
import { slotInactive } from "./findings/slot-inactive.ts";
import { slotLosingWal } from "./findings/slot-losing-wal.ts";
import { slotLost } from "./findings/slot-lost.ts";
import { slotSyncIncomplete } from "./findings/slot-sync-incomplete.ts";
import { slotsUnbounded } from "./findings/slots-unbounded.ts";
import { standbyNamesAmbiguous } from "./findings/standby-names-ambiguous.ts";
import { standbyNamesAny } from "./findings/standby-names-any.ts";
import { standbyNamesUnmatched } from "./findings/standby-names-unmatched.ts";
import { standbyNotReceiving } from "./findings/standby-not-receiving.ts";
import { standbyQuorumShort } from "./findings/standby-quorum-short.ts";
import { synchronousCommitOff } from "./findings/synchronous-commit-off.ts";
import { unloggedTables } from "./findings/unlogged-tables.ts";
import { versionUnsupported } from "./findings/version-unsupported.ts";
import { walLevelMinimal } from "./findings/wal-level-minimal.ts";
import { walPilingUp } from "./findings/wal-piling-up.ts";

export const FINDING_RULES: readonly FindingRule[] = [
  archiveCommandHollow,
  archiveOff,
  archiveTimeoutOff,
  archiverFailing,
  checkedAsSuperuser,
  checksumsOff,
  clockSkew,
  commitTimestampsOff,
  dataSyncRetryOn,
  fsyncOff,
  fullPageWritesOff,
  logicalSequences,
  logicalSlotNoFailover,
  longTransaction,
  noCopy,
  oneFailureDomain,
  poolerBetween,
  preparedTransactionOld,
  remoteApplyReceiver,
  replayDelayed,
  replayPaused,
  replicaBehind,
  rightsMissing,
  slotIdleTimeout,
  slotInactive,
  slotLosingWal,
  slotLost,
  slotSyncIncomplete,
  slotsUnbounded,
  standbyNamesAmbiguous,
  standbyNamesAny,
  standbyNamesUnmatched,
  standbyNotReceiving,
  standbyQuorumShort,
  synchronousCommitOff,
  unloggedTables,
  versionUnsupported,
  walLevelMinimal,
  walPilingUp,
];
