import type { Timeline } from "@tidemark/kernel/brands";
import type { AgentStatus, NodeState } from "../agent-status.ts";
import type { NodeFacts } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";
import type { Seen } from "../record-watch.ts";

export interface NodeView {
  readonly state: NodeState;
  readonly detail: string | undefined;
  readonly seen: Seen | undefined;
  readonly facts: NodeFacts | undefined;
  readonly open: boolean;
  readonly standbyTimeline: Timeline | undefined;
  readonly warnings: readonly string[];
  readonly promotionMs: Readonly<Record<string, number>> | undefined;
}

/** The status of a node from what its agent knows. What is not known is left out. */
export function describeNode(node: PostgresNode, view: NodeView): AgentStatus {
  const { facts, seen } = view;
  const pid = node.server.pid;
  const timeline = facts === undefined || facts.timeline > 0 ? facts?.timeline : view.standbyTimeline;
  return {
    node: node.world.node.name,
    store: node.world.storeName,
    state: view.state,
    open: view.open,
    heldBack: node.file?.heldBack === true,
    atMs: node.world.clock.wallMs(),
    warnings: [...view.warnings],
    ...(view.detail === undefined ? {} : { detail: view.detail }),
    ...(node.file === undefined ? {} : { identity: node.file.identity }),
    ...(node.promised === undefined ? {} : { promised: node.promised }),
    ...(seen?.record === undefined ? {} : { epoch: seen.record.epoch, revision: seen.revision }),
    ...(pid === undefined ? {} : { postmasterPid: pid }),
    ...(facts === undefined
      ? {}
      : {
          systemIdentifier: facts.systemIdentifier,
          inRecovery: facts.inRecovery,
          lsn: facts.lsn,
          streaming: facts.streaming,
          members: facts.members,
        }),
    ...(typeof facts?.receivedLsn === "string" ? { receivedLsn: facts.receivedLsn } : {}),
    ...(timeline === undefined ? {} : { timeline }),
    ...(view.promotionMs === undefined ? {} : { promotionMs: view.promotionMs }),
  };
}
