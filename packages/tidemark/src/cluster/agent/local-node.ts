import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { ClusterRecord } from "../cluster-record.ts";
import type { NodeProbe } from "./node-probe.ts";
import type { LocalNode } from "./node-role.ts";
import type { PostgresNode } from "./postgres-node.ts";
import type { StandbyDuties } from "./standby-duties.ts";

/** Looks at the node's files and its server, for the decision what to do next. */
export async function lookAtNode(at: {
  node: PostgresNode;
  probe: NodeProbe;
  standby: StandbyDuties;
  record: ClusterRecord | undefined;
  /** When PostgreSQL ended by itself, monotonic. */
  crashedMs: number | undefined;
}): Promise<LocalNode> {
  const { node, probe, record } = at;
  const data = await node.load();
  const running = node.server.pid !== undefined;
  if (running && probe.last === undefined) await probe.look();
  const facts = probe.last?.facts;
  let position: { timeline: Timeline; lsn: Lsn } | undefined;
  if (running && facts?.inRecovery === true && record !== undefined) position = await at.standby.position(facts);
  const { file } = node;
  return {
    data: data.present ? "present" : "absent",
    ...(data.systemIdentifier === undefined ? {} : { systemIdentifier: data.systemIdentifier }),
    bootstrapping: file?.bootstrapping === true,
    ...(file?.promise === undefined ? {} : { promised: file.promise.epoch }),
    heldBack: file?.heldBack === true,
    server: running ? "running" : "stopped",
    markedStandby: !running && data.present && (await node.isMarkedStandby()),
    ...(running && facts !== undefined ? { inRecovery: facts.inRecovery } : {}),
    ...(position === undefined ? {} : { timeline: position.timeline, replayed: position.lsn }),
    ...(at.crashedMs === undefined ? {} : { crashedForMs: node.world.clock.monotonicMs() - at.crashedMs }),
    ...(node.follows === undefined ? {} : { follows: node.follows }),
  };
}
