// What of a vault's report somebody has to look at. Pure. One line each, with the code where there is one and the range of WAL that it is
// about, so that the whole of it can be read at one place and by a machine.
import type { FaultStatus, HoleStatus, StoreStatus, WalRangeStatus } from "../vault/archive/archive-status.ts";
import type { VaultFault } from "../vault/vault-status.ts";
import type { StoreSurveyed, VaultReport, VaultSays } from "./wal-status-report.ts";

/** The troubles of one vault, the gravest first. */
export function troublesOf(report: VaultReport): string[] {
  const { vault, status, why } = report;
  const found =
    status === undefined ? [`does not answer: ${why ?? "no reason is known"}`, ...report.stores.flatMap(ofSurvey)] : ofStatus(status);
  return [...new Set(found)].map((line) => `vault ${vault}: ${line}`);
}

function ofStatus(status: VaultSays): string[] {
  return [
    // A vault's faults hold those of its archive, its holes, its gaps and its slot.
    ...(status.faults ?? []).map(ofFault),
    ...(status.baseBackupWanted === undefined
      ? []
      : [`a new base backup is needed: none from before ${status.baseBackupWanted.from.lsn} can be brought forward to now`]),
    ...(status.archive?.stores ?? []).flatMap(ofStore),
    ...(status.state === "streaming"
      ? []
      : [`it is ${status.state ?? "in an unknown state"}${status.detail === undefined ? "" : `: ${status.detail}`}`]),
    ...(status.recoveryPoint === undefined ? ["what it could restore to is not known"] : []),
    ...(status.faults === undefined ? ["its faults are not known"] : []),
  ];
}

function ofFault(fault: VaultFault): string {
  const range =
    fault.range === undefined ? "" : `, timeline ${fault.range.to.timeline} from ${fault.range.from.lsn} to ${fault.range.to.lsn}`;
  return `${fault.code} (${fault.part}${range}): ${fault.what}`;
}

function ofArchiveFault(fault: FaultStatus): string {
  return `${fault.code} (${fault.where}${fault.range === undefined ? "" : `, ${rangeText(fault.range)}`}): ${fault.message}`;
}

function ofHole(hole: HoleStatus): string {
  return hole.kind === "history"
    ? `hole in ${hole.where}: the history of timeline ${hole.timeline} is missing; without it ${hole.start} to ${hole.end} cannot be read`
    : `hole in ${hole.where}: ${rangeText(hole)} is missing`;
}

function reason(text: string | undefined): string {
  return text === undefined ? "" : ` (${text})`;
}

function ofStore({ name, state, lastError, recoveryPoint }: StoreStatus): string[] {
  if (state !== "held" && state !== "stopped") {
    return recoveryPoint === undefined ? [`store ${name}: what it could restore to is not known yet`] : [];
  }
  return [`store ${name} is ${state}${lastError === undefined ? "" : `: ${lastError.message} (${lastError.code})`}`];
}

function ofSurvey(surveyed: StoreSurveyed): string[] {
  if (!surveyed.known) return [`store ${surveyed.store} cannot be read: ${surveyed.why}${reason(surveyed.code)}`];
  if (surveyed.systems.length > 1)
    return [
      `store ${surveyed.store} has WAL of ${surveyed.systems.length} clusters: ${surveyed.systems.map(({ systemIdentifier }) => systemIdentifier).join(", ")}`,
      ...surveyed.systems.flatMap(ofSystem),
    ];
  return surveyed.systems.flatMap(ofSystem);
}

function ofSystem({ holes, faults }: { holes: readonly HoleStatus[]; faults: readonly FaultStatus[] }): string[] {
  return [...faults.map(ofArchiveFault), ...holes.map(ofHole)];
}

function rangeText({ timeline, start, end }: WalRangeStatus): string {
  return `timeline ${timeline} from ${start} to ${end}`;
}
