import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { ClusterRecord, SynchronousSet } from "../cluster-record.ts";

/** A record of two nodes, `a` reigning and `s` synchronous, but for what is given. */
export function sampleRecord(change: Partial<ClusterRecord> = {}): ClusterRecord {
  return {
    formatVersion: 1,
    store: "orders",
    systemIdentifier: "7000000000000000001" as SystemIdentifier,
    epoch: 1 as Epoch,
    primary: "a",
    timeline: 1 as Timeline,
    forkLsn: "0/0",
    sets: [sampleSet(1, "s")],
    nextTimeline: 2,
    reigns: [],
    beganAtMs: 0,
    ...change,
  };
}

/** `required` of members whose identity is their node's name with `_1`. */
export function sampleSet(required: number, ...nodes: string[]): SynchronousSet {
  return { required, members: nodes.map((node) => ({ node, identity: `${node}_1` })) };
}
