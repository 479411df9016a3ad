// What a vault can promise about its WAL (R4): the end of the last whole record, on a timeline of the recorded line, contiguous
// from somewhere that it can name. When it cannot, it abstains: the promise holds, and nothing is claimed.
import type { Epoch } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { ClusterRecord } from "../cluster/cluster-record.ts";
import { judgeLineage } from "../cluster/lineage.ts";
import type { VaultFile, VaultVote } from "./vault-file.ts";
import { stored } from "./vault-file.ts";
import type { WalReach } from "./wal-reach.ts";

/** To be called when nothing is received any more. Rejects with TM-CLUSTER-ABSTAINED. */
export async function castVote(order: {
  file: VaultFile;
  epoch: Epoch;
  reach: WalReach;
  record: ClusterRecord | undefined;
}): Promise<VaultVote> {
  const { file, epoch, reach, record } = order;
  const { run, repair } = file;
  if (run === undefined) throw abstained("this vault has no WAL yet");
  if (repair !== undefined)
    throw abstained(
      `WAL from ${repair.from.lsn} to ${repair.to.lsn} of timeline ${repair.to.timeline} was damaged here and is not whole again`,
    );
  if (reach.doubts() === undefined) throw abstained("the archive is not open: whether a segment here is damaged is not known");
  refuseDamage(reach);
  const scan = await reach.scan();
  if (scan === undefined) throw abstained("this vault has no WAL yet");
  if (scan.damage !== undefined) throw abstained(`local WAL is damaged from ${formatLsn(scan.damage.from.lsn)} on: ${scan.damage.what}`);
  const here = reach.position();
  // The files say less than what was acknowledged: somebody took them away.
  if (here === undefined || scan.frontier.timeline < here.timeline)
    throw abstained(`timeline ${here?.timeline ?? "unknown"} was received and its files are gone`);
  const { whole } = scan;
  if (record !== undefined && judgeLineage(record, whole.timeline, whole.lsn) === "diverged")
    throw abstained(`timeline ${whole.timeline} at ${formatLsn(whole.lsn)} is not on the recorded line`);
  // It may have been found while the newest file was read.
  refuseDamage(reach);
  const hole = scan.holes.at(-1)?.to;
  return {
    node: file.vault,
    identity: file.identity,
    epoch,
    timeline: whole.timeline,
    end: formatLsn(whole.lsn),
    contiguousFrom: hole === undefined ? run.from : stored(hole),
  };
}

/** A vote is not given, and not given again, over WAL that is known to be damaged. Throws TM-CLUSTER-ABSTAINED. */
export function refuseDamage(reach: WalReach): void {
  const [doubt] = reach.doubts() ?? [];
  if (doubt !== undefined)
    throw abstained(
      `WAL from ${formatLsn(doubt.start)} to ${formatLsn(doubt.end)} of timeline ${doubt.timeline} is damaged or gone here and not mended yet`,
    );
}

function abstained(why: string): TidemarkError {
  return new TidemarkError("TM-CLUSTER-ABSTAINED", `does not vote: ${why}`);
}
