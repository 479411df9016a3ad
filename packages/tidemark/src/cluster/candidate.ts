// Who may be promoted on the votes that are there, and what has to happen before. Pure; the counting is quorum.ts.
import { parseLsn } from "@tidemark/kernel/lsn";
import type { ClusterRecord } from "./cluster-record.ts";
import type { Candidate, Completion, DecisionSettings, FailoverState, Vote } from "./failover-state.ts";
import { completionKey } from "./failover-state.ts";
import { judgeLineage } from "./lineage.ts";
import { judge } from "./quorum.ts";

export type Choice =
  /** More votes may come. */
  | { readonly kind: "wait" }
  /** Nothing acknowledged can be missing. */
  | { readonly kind: "promote"; readonly candidate: Candidate }
  /** The candidate lacks WAL that a vault has. */
  | { readonly kind: "complete"; readonly candidate: Candidate; readonly completion: Completion }
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
  const candidates = highestFirst(votes, settings.promotable);
  const [best] = candidates;
  const [top] = highestFirst(votes, settings.nodes);
  const others = settings.nodes.filter((node) => node !== record.primary);
  const heardAll = state.waitOver || others.every((node) => node in state.votes || node in state.refusals);
  const incumbent = (why: string): Choice => ({
    kind: "incumbent",
    candidate: { node: record.primary, target: "0/0", incumbent: true },
    why,
  });

  if (verdict.covered && top !== undefined) {
    if (best === undefined) return heardAll ? incumbent("no voter can be promoted") : { kind: "wait" };
    // Of equal votes the one that can be promoted as it is: a completion costs time.
    if (parseLsn(best.end) >= parseLsn(top.end)) return { kind: "promote", candidate: standby(best, top.end) };
    const completion = complete(state, candidates, highestFirst(votes, sourcesOf(settings)), parseLsn(top.end));
    if (completion !== undefined) return completion;
    if (!heardAll) return { kind: "wait" };
    if (state.acceptance !== undefined) return { kind: "give-up-some", candidate: standby(best, best.end) };
    const why = Object.values(state.notCompleted).map((failed) => `${completionKey(failed.node, failed.from)}: ${failed.why}`);
    return incumbent(`no candidate has the WAL up to ${top.end}: ${why.join("; ") || `${top.node} cannot give it`}`);
  }
  if (!heardAll) return { kind: "wait" };
  if (best === undefined) return incumbent("no other node can be promoted");
  if (state.acceptance === undefined) {
    if (verdict.onlyIncumbent) return incumbent("nobody else is known to hold every acknowledged commit");
    if (!verdict.revoked) return incumbent(`votes are missing: ${verdict.missing.join(" and ")}${refusalsOf(state)}`);
  }
  // Whatever a vault has beyond the best candidate need not be given up.
  const completion = complete(state, candidates, highestFirst(votes, sourcesOf(settings)), parseLsn(best.end) + 1n);
  return completion ?? { kind: "give-up-some", candidate: standby(best, best.end) };
}

/** Whether the votes cover every commit that was acknowledged under the recorded sets. */
export function isCovered(state: FailoverState): boolean {
  const identities = new Set(Object.values(state.votes).map((vote) => vote.identity));
  return state.record !== undefined && judge(state.record.sets, identities).covered;
}

/** Who did not vote, and why, for the operator. */
function refusalsOf({ refusals, votes }: FailoverState): string {
  const words = Object.entries(refusals).flatMap(([node, why]) => (node in votes ? [] : [`${node}: ${why}`]));
  return words.length === 0 ? "" : ` (${words.join("; ")})`;
}

function standby(vote: Vote, target: string): Candidate {
  return { node: vote.node, target, incumbent: false };
}

/** Those who keep WAL for others: a node that can be promoted serves none. */
function sourcesOf(settings: DecisionSettings): string[] {
  return settings.nodes.filter((node) => !settings.promotable.includes(node));
}

/** The first pair of candidate and vault that reaches `atLeast` and has not failed since everybody was last asked. */
function complete(state: FailoverState, candidates: readonly Vote[], sources: readonly Vote[], atLeast: bigint): Choice | undefined {
  for (const candidate of candidates) {
    for (const source of sources) {
      if (parseLsn(source.end) < atLeast || completionKey(candidate.node, source.node) in state.notCompleted) continue;
      const { node: from, end: target, timeline } = source;
      return { kind: "complete", candidate: standby(candidate, target), completion: { from, target, timeline } };
    }
  }
  return undefined;
}

/** The votes of `nodes`, the highest first; of equal ones in the configuration's order. All are on one line, so positions compare. */
function highestFirst(votes: readonly Vote[], nodes: readonly string[]): Vote[] {
  const cast = nodes.flatMap((node) => votes.find((vote) => vote.node === node) ?? []);
  return cast.sort((a, b) => Number(parseLsn(b.end) > parseLsn(a.end)) - Number(parseLsn(b.end) < parseLsn(a.end)));
}
