// A standby that is held back receives nothing: for game days and proofs that need one that lags. Kept over restarts.
import { TidemarkError } from "@tidemark/kernel/errors";
import { signalProcess } from "@tidemark/postgres/process-table";
import type { NodeFacts } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";

/** Rejects with TM-CLUSTER-NOT-READY when there is no data, or the node is a primary. */
export async function setHoldingBack(node: PostgresNode, hold: boolean, facts: NodeFacts | undefined): Promise<void> {
  const { file } = node;
  if (file === undefined) throw new TidemarkError("TM-CLUSTER-NOT-READY", "this node has no data");
  if (facts?.inRecovery === false) throw new TidemarkError("TM-CLUSTER-NOT-READY", "a primary cannot be held back");
  const { heldBack: _former, ...kept } = file;
  await node.write(hold ? { ...kept, heldBack: true } : kept);
  if (!hold) return;
  await node.followNobody();
  // The receiver does not end by the setting alone (R3).
  for (const pid of facts?.receivers ?? []) signalProcess(pid, "SIGTERM");
}

/** To be called when the node was promoted. */
export async function forgetHoldingBack(node: PostgresNode): Promise<void> {
  const { file } = node;
  if (file?.heldBack !== true) return;
  const { heldBack: _over, ...kept } = file;
  await node.write(kept);
}
