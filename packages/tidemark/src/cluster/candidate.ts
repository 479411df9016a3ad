// Who may be promoted on the votes that are there, and what has to happen before. Pure; the counting is quorum.ts.
import { parseLsn } from "@tidemark/kernel/lsn";
import type { ClusterRecord } from "./cluster-record.ts";
import type { Candidate, DecisionSettings, FailoverState, Vote } from "./failover-state.ts";
import { judgeLineage } from "./lineage.ts";
import { judge } from "./quorum.ts";

export type Choice =
  /** More votes may come. */
  | { readonly kind: "wait" }
  /** Nothing acknowledged can be missing. */
  | { readonly kind: "promote"; readonly candidate: Candidate }
  | { readonly kind: "complete"; readonly candidate: Candidate; readonly from: string }
  /** Commits may be missing: the incumbent must be stopped, and the loss be stated and accepted, first. */
  | { readonly kind: "give-up-some"; readonly candidate: Candidate }
  /** Nobody else: the incumbent goes on (R8). */
  | { readonly kind: "incumbent"; readonly candidate: Candidate; readonly why: string };

/** Whether a vote's data lies on the record's line (R4); others abstain. */
export function admissible(record: ClusterRecord, vote: Vote): boolean {
  return judgeLineage(record, vote.timeline, parseLsn(vote.end)) !== "diverged";
}

export function choose(state: FailoverState, settings: DecisionSettings): Choice {
  const record = state.record;
  if (record === undefined) return { kind: "wait" };
  const votes = Object.values(state.votes);
  const verdict = judge(record.sets, new Set(votes.map((vote) => vote.identity)));
  const best = highest(votes, settings.promotable);
  const top = highest(votes, settings.nodes);
  const others = settings.nodes.filter((node) => node !== record.primary);
  const heardAll = state.waitOver || others.every((node) => node in state.votes || node in state.refusals);
  const incumbent = (why: string): Choice => ({
    kind: "incumbent",
    candidate: { node: record.primary, target: "0/0", incumbent: true },
    why,
  });

  if (verdict.covered && top !== undefined) {
    if (best === undefined) return heardAll ? incumbent("no voter can be promoted") : { kind: "wait" };
    const candidate = { node: best.node, target: top.end, incumbent: false };
    return parseLsn(best.end) < parseLsn(top.end) ? { kind: "complete", candidate, from: top.node } : { kind: "promote", candidate };
  }
  if (!heardAll) return { kind: "wait" };
  if (best === undefined) return incumbent("no other node can be promoted");
  const givingUp: Choice = { kind: "give-up-some", candidate: { node: best.node, target: best.end, incumbent: false } };
  if (state.acceptance !== undefined) return givingUp;
  if (verdict.onlyIncumbent) return incumbent("nobody else is known to hold every acknowledged commit");
  if (!verdict.revoked) return incumbent(`votes are missing: ${verdict.missing.join(" and ")}`);
  return givingUp;
}

/** The highest vote among `nodes`; of equal ones the first in the configuration. All are on one line, so positions compare. */
function highest(votes: readonly Vote[], nodes: readonly string[]): Vote | undefined {
  let found: Vote | undefined;
  for (const node of nodes) {
    const vote = votes.find((one) => one.node === node);
    if (vote !== undefined && (found === undefined || parseLsn(vote.end) > parseLsn(found.end))) found = vote;
  }
  return found;
}
