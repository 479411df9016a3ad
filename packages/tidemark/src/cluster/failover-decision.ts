// The coordinator's decision: revoke, then promote. A complete table over phases and inputs; no clock, no I/O. The shell
// (src/control/coordinator.ts) performs the effects and feeds back what came of them. docs/failover-protocol.md has the
// rules that are cited here.
import type { Epoch } from "@tidemark/kernel/brands";
import { admissible, choose, isCovered } from "./candidate.ts";
import type { Claim, ClusterRecord, StatedLoss } from "./cluster-record.ts";
import type {
  Candidate,
  Decision,
  DecisionSettings,
  Effect,
  FailoverState,
  Input,
  InputType,
  LossEstimate,
  Phase,
} from "./failover-state.ts";
import { completionKey } from "./failover-state.ts";
import { isAsynchronous } from "./quorum.ts";

type Handler<T extends InputType> = (state: FailoverState, input: Extract<Input, { type: T }>, settings: DecisionSettings) => Decision;
type Row = { readonly [T in InputType]: Handler<T> };

/** The coordinator waits so much longer than the lease, because clocks of two machines do not run equally fast (R5). */
export const LEASE_MARGIN = 1.1;

export function decide(state: FailoverState, input: Input, settings: DecisionSettings): Decision {
  const handler = TABLE[state.phase][input.type] as Handler<InputType>;
  return handler(state, input, settings);
}

const stay = (state: FailoverState, ...effects: Effect[]): Decision => ({ state, effects });
const ignore = (state: FailoverState): Decision => stay(state);
const read = (state: FailoverState): Decision => stay(state, { type: "read" });

/** The epoch of our open claim. */
function claimEpoch(state: FailoverState): Epoch | undefined {
  return state.record?.claim?.epoch;
}

// ── The record ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Every phase hears of the record in the same way: the record decides what we are in, not what we had hoped for. */
const observed: Handler<"observed"> = (state, input, settings) => {
  if (input.revision < state.revision) return stay(state);
  const { record, revision } = input;
  if (record === undefined) return stay({ ...cleared(state), phase: "unknown", revision });
  if (record.claim === undefined) return settled(state, record, revision);
  if (record.claim.coordinator === settings.coordinator) return ours(state, { record, revision, claim: record.claim }, settings);
  if (state.phase === "watching" && state.revision === revision) return stay(state);
  const watching: FailoverState = { ...cleared(state), phase: "watching", record, revision };
  return stay(watching, { type: "timer", name: "take-over", token: revision, delayMs: settings.takeOverAfterMs });
};

/** No claim is open. The old incumbent is fenced once another one stands in the record. */
function settled(state: FailoverState, record: ClusterRecord, revision: number): Decision {
  const before = state.record;
  const sameReign = before?.epoch === record.epoch && (state.phase === "steady" || state.phase === "opening");
  if (sameReign) return stay({ ...state, record, revision });
  const next: FailoverState = { ...cleared(state), phase: "opening", record, revision };
  const replaced = before !== undefined && before.primary !== record.primary;
  return replaced ? stay(next, { type: "fence", node: before.primary, epoch: record.epoch }) : stay(next);
}

function ours(state: FailoverState, seen: { record: ClusterRecord; revision: number; claim: Claim }, settings: DecisionSettings): Decision {
  const { record, revision, claim } = seen;
  const next = { ...state, record, revision };
  if (!WORKING.has(state.phase)) return beginRevoking({ ...cleared(next), phase: "revoking" }, settings);
  if (state.phase === "stating" && claim.loss !== undefined && state.candidate !== undefined) return promote(next, state.candidate);
  return stay(next);
}

/** The phases in which our claim is known to stand. */
const WORKING: ReadonlySet<Phase> = new Set(["revoking", "fencing", "stating", "completing", "promoting", "blocked"]);

/** Forgets what belonged to a claim. */
function cleared(state: FailoverState): FailoverState {
  return {
    phase: state.phase,
    revision: state.revision,
    votes: {},
    refusals: {},
    notCompleted: {},
    waitOver: false,
    fenced: false,
    ...(state.record === undefined ? {} : { record: state.record }),
    ...(state.reason === undefined ? {} : { reason: state.reason }),
  };
}

// ── Claim ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A suspicion alone changes nothing while nobody could answer: the incumbent's agent starts PostgreSQL again. */
const suspected: Handler<"suspected"> = (state, input, settings) => {
  if (state.record?.primary !== input.node || input.standbys.length === 0) return stay(state);
  return claim({ ...state, reason: input.reason }, settings);
};

function claim(state: FailoverState, settings: DecisionSettings): Decision {
  const record = state.record;
  if (record === undefined) return stay(state, { type: "read" });
  const epoch = (Math.max(record.epoch, record.claim?.epoch ?? 0) + 1) as Epoch;
  // The wall time is for people; the shell fills it in, because this function has no clock.
  const mine: Claim = {
    epoch,
    coordinator: settings.coordinator,
    reason: state.reason ?? record.claim?.reason ?? "taken over",
    claimedAtMs: 0,
  };
  return stay({ ...state, phase: "claiming" }, { type: "compare-and-set", expected: state.revision, record: { ...record, claim: mine } });
}

/** In `claiming` a record without our claim means that somebody else changed it first: decide anew on what it says now. */
const observedWhileClaiming: Handler<"observed"> = (state, input, settings) => {
  const { record, revision } = input;
  const unclaimed = record !== undefined && record.claim === undefined && record.epoch === state.record?.epoch;
  if (unclaimed && revision > state.revision) return claim({ ...state, record, revision }, settings);
  // The revision that we claimed on, seen again: our compare-and-set is still on its way, or was lost.
  if (unclaimed) return stay(state);
  return observed(state, input, settings);
};

const reread: Handler<"away"> = (state, _input, settings) =>
  stay(state, { type: "timer", name: "retry", token: claimEpoch(state) ?? state.record?.epoch ?? 0, delayMs: settings.retryMs });

/** The outcome of our compare-and-set was unknown: claim on what stands there; if it was done, the conflict shows it. */
const claimAgain: Handler<"timer"> = (state, input, settings) => {
  if (input.name !== "retry") return stay(state);
  const again = claim(state, settings);
  return stay(again.state, { type: "read" }, ...again.effects);
};

const takeOver: Handler<"timer"> = (state, input, settings) =>
  input.name === "take-over" && input.token === state.revision ? claim(state, settings) : stay(state);

// ── Revoke ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function beginRevoking(state: FailoverState, settings: DecisionSettings): Decision {
  const epoch = claimEpoch(state);
  if (epoch === undefined || state.record === undefined) return stay(state, { type: "read" });
  return stay(
    { ...state, phase: "revoking", waitOver: false, refusals: {}, notCompleted: {} },
    ...asked(state, settings),
    { type: "timer", name: "vote-wait", token: epoch, delayMs: settings.voteWaitMs },
    // Counted from the answer to our claim: a lease was read before that (R5).
    ...(state.fenced ? [] : [{ type: "timer" as const, name: "lease" as const, token: epoch, delayMs: settings.leaseMs * LEASE_MARGIN }]),
  );
}

/** A revocation for every node but the incumbent that has not voted yet. */
function asked(state: FailoverState, settings: DecisionSettings): Effect[] {
  const { record } = state;
  const epoch = claimEpoch(state);
  if (record === undefined || epoch === undefined) return [];
  const silent = settings.nodes.filter((node) => node !== record.primary && !(node in state.votes));
  return silent.map((node) => ({ type: "revoke", node, epoch }));
}

const vote: Handler<"vote"> = (state, input, settings) => {
  const cast = input.vote;
  if (cast.epoch !== claimEpoch(state) || state.record === undefined) return stay(state);
  if (!admissible(state.record, cast)) {
    return weigh({ ...state, refusals: { ...state.refusals, [cast.node]: "its data is not on the recorded line" } }, settings);
  }
  return weigh({ ...state, votes: { ...state.votes, [cast.node]: cast } }, settings);
};

const refused: Handler<"refused"> = (state, input, settings) =>
  input.epoch === claimEpoch(state) ? weigh({ ...state, refusals: { ...state.refusals, [input.node]: input.why } }, settings) : stay(state);

const waited: Handler<"timer"> = (state, input, settings) => {
  if (input.token !== claimEpoch(state)) return stay(state);
  if (input.name === "vote-wait") return weigh({ ...state, waitOver: true }, settings);
  return input.name === "lease" ? weigh(leaseOver(state), settings) : stay(state);
};

/**
 * The time of the lease fences only where an agent enforces the lease: in an asynchronous reign (R5). Elsewhere nothing
 * stops an incumbent that nobody reaches but the votes, or its agent's own word.
 */
function leaseOver(state: FailoverState): FailoverState {
  return state.record !== undefined && isAsynchronous(state.record) ? { ...state, fenced: true } : state;
}

/** What follows from the votes that are there. */
function weigh(state: FailoverState, settings: DecisionSettings): Decision {
  const epoch = claimEpoch(state);
  if (epoch === undefined || state.record === undefined) return stay(state);
  const choice = choose(state, settings);
  switch (choice.kind) {
    case "wait":
      return stay({ ...state, phase: "revoking" });
    case "promote":
      return promote(state, choice.candidate);
    case "complete": {
      const { candidate, completion } = choice;
      return stay(
        { ...state, phase: "completing", candidate, completion },
        { type: "complete", epoch, node: candidate.node, ...completion },
      );
    }
    case "incumbent":
      return promote({ ...state, obstacle: choice.why }, choice.candidate);
    case "give-up-some":
      return giveUpSome({ ...state, candidate: choice.candidate }, settings);
  }
}

// ── Fence and state the loss, where commits may be missing ──────────────────────────────────────────────────────────

function giveUpSome(state: FailoverState, settings: DecisionSettings): Decision {
  const { record, candidate } = state;
  const epoch = claimEpoch(state);
  if (record === undefined || candidate === undefined || epoch === undefined) return stay(state);
  if (!state.fenced) {
    const again: Effect = { type: "timer", name: "retry", token: epoch, delayMs: settings.retryMs };
    return stay({ ...state, phase: "fencing" }, { type: "fence", node: record.primary, epoch }, again);
  }
  return stay({ ...state, phase: "stating" }, { type: "estimate", epoch, node: candidate.node, end: candidate.target });
}

const fenced: Handler<"fenced"> = (state, input, settings) => {
  if (input.epoch !== claimEpoch(state) || input.node !== state.record?.primary) return stay(state);
  return state.phase === "fencing" ? giveUpSome({ ...state, fenced: true }, settings) : stay({ ...state, fenced: true });
};

const leaseOrRetry: Handler<"timer"> = (state, input, settings) => {
  if (input.token !== claimEpoch(state)) return stay(state);
  if (input.name === "lease") return giveUpSome(leaseOver(state), settings);
  if (input.name !== "retry") return stay(state);
  // Where votes were missing they may come meanwhile: then nothing has to be given up.
  const votesMayHelp = !state.fenced && state.record !== undefined && !isAsynchronous(state.record);
  return votesMayHelp ? beginRevoking(state, settings) : giveUpSome(state, settings);
};

const estimated: Handler<"estimated"> = (state, input, settings) => {
  const { record, candidate } = state;
  const open = record?.claim;
  if (record === undefined || candidate === undefined || open === undefined || input.epoch !== open.epoch) return stay(state);
  const estimate: LossEstimate = {
    ...(input.bytes === undefined ? {} : { bytes: input.bytes }),
    ...(input.exposureMs === undefined ? {} : { exposureMs: input.exposureMs }),
    ...(input.reportAgeMs === undefined ? {} : { reportAgeMs: input.reportAgeMs }),
  };
  const acceptedBy = state.acceptance?.by ?? acceptedByPolicy(record, estimate, settings);
  if (acceptedBy === undefined) {
    // R8: rather the incumbent with everything than another with a loss that nobody accepted.
    const why = `the policy ${settings.policy.kind} does not accept the stated loss`;
    return promote({ ...state, estimate, obstacle: why }, { node: record.primary, target: "0/0", incumbent: true });
  }
  const loss: StatedLoss = {
    ...estimate,
    candidate: candidate.node,
    acceptedBy,
    reason: state.acceptance?.reason ?? open.reason,
    statedAtMs: input.atMs,
  };
  return stay(
    { ...state, estimate },
    { type: "compare-and-set", expected: state.revision, record: { ...record, claim: { ...open, loss } } },
  );
};

/** The configuration is a policy's name under a loss only where the commits went on asynchronously by that policy. */
function acceptedByPolicy(record: ClusterRecord, loss: LossEstimate, settings: DecisionSettings): string | undefined {
  const { policy } = settings;
  if (!isAsynchronous(record) || policy.kind === "never-lose") return undefined;
  if (policy.kind === "available") return "policy available";
  return loss.exposureMs !== undefined && loss.exposureMs <= policy.mostLossMs ? "policy bounded" : undefined;
}

// ── Promote ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function promote(state: FailoverState, candidate: Candidate): Decision {
  const epoch = claimEpoch(state);
  if (epoch === undefined) return stay(state, { type: "read" });
  return stay({ ...state, phase: "promoting", candidate }, { type: "promote", epoch, candidate });
}

/** A standby that could not: without its vote, others may be chosen. The incumbent that could not: blocked, tried again. */
const promoteFailed: Handler<"promote-failed"> = (state, input, settings) => {
  if (input.epoch !== claimEpoch(state) || input.node !== state.candidate?.node) return stay(state);
  const { [input.node]: _gone, ...votes } = state.votes;
  if (!state.candidate.incumbent) return weigh({ ...state, votes, refusals: { ...state.refusals, [input.node]: input.why } }, settings);
  const obstacle = state.obstacle === undefined ? input.why : `${state.obstacle}; the incumbent: ${input.why}`;
  return blocked({ ...state, obstacle }, settings);
};

/** Another vault, another candidate, and where there is none, the incumbent (R8) or what an operator accepted. */
const notCompleted: Handler<"not-completed"> = (state, input, settings) => {
  if (!isOurCompletion(state, input)) return stay(state);
  const { node, from, why } = input;
  const failed = { ...state.notCompleted, [completionKey(node, from)]: { node, from, why } };
  return weigh({ ...state, notCompleted: failed }, settings);
};

/** The candidate's agent has seen the target replayed: that is its vote now. */
const completed: Handler<"completed"> = (state, input, settings) => {
  const { record, candidate, completion } = state;
  const vote = state.votes[input.node];
  if (!isOurCompletion(state, input) || record === undefined || candidate === undefined) return stay(state);
  if (vote === undefined || completion === undefined) return stay(state);
  const { target: end, timeline } = completion;
  const next = {
    ...state,
    votes: { ...state.votes, [input.node]: { ...vote, end, timeline } },
    completed: { ...completion, node: input.node, lsn: vote.end },
  };
  // What was to be covered when the target was chosen is covered, however far a vault that voted since then reaches.
  return isCovered(next) ? promote(next, candidate) : weigh(next, settings);
};

function isOurCompletion(state: FailoverState, input: { epoch: Epoch; node: string; from: string }): boolean {
  return input.epoch === claimEpoch(state) && input.node === state.candidate?.node && input.from === state.completion?.from;
}

/** While a candidate is being completed, one that needs no completion may vote. */
const voteMeanwhile: Handler<"vote"> = (state, input, settings) => {
  const kept = keepVote(state, input, settings).state;
  const choice = choose(kept, settings);
  return choice.kind === "promote" ? promote(kept, choice.candidate) : stay(kept);
};

function blocked(state: FailoverState, settings: DecisionSettings): Decision {
  const token = claimEpoch(state) ?? 0;
  return stay({ ...state, phase: "blocked" }, { type: "timer", name: "retry", token, delayMs: settings.retryMs });
}

/** Asks everybody again: a vote given stands (the promise holds), the others may have come back. */
const tryAgain: Handler<"timer"> = (state, input, settings) => {
  if (input.token !== claimEpoch(state)) return stay(state);
  if (input.name === "lease") return stay(leaseOver(state));
  if (input.name !== "retry") return stay(state);
  // A candidate that was not completed is asked anew: its agent may be another one by now, which has not seen it settle.
  const failed = new Set(Object.values(state.notCompleted).map(({ node }) => node));
  const votes = Object.fromEntries(Object.entries(state.votes).filter(([node]) => !failed.has(node)));
  const again = beginRevoking({ ...state, votes }, settings);
  // Where all have voted nobody is asked, and nothing would come of waiting.
  const weighed = weigh(again.state, settings);
  return stay(weighed.state, ...again.effects, ...weighed.effects);
};

/** An operator's word that the incumbent is down for good is a fence, too: there may be nobody left who could confirm it. */
const accepted: Handler<"accepted"> = (state, input, settings) => {
  const reason = input.primaryIsDown ? `${input.reason} (says that the old primary is down)` : input.reason;
  const next = { ...state, acceptance: { by: input.by, reason }, fenced: state.fenced || input.primaryIsDown };
  if (state.phase === "blocked") return weigh(next, settings);
  return state.phase === "fencing" ? giveUpSome(next, settings) : stay(next);
};

const opened: Handler<"opened"> = (state, input) =>
  input.epoch === state.record?.epoch && input.node === state.record.primary ? stay({ ...state, phase: "steady" }) : stay(state);

/** A vote that comes while something else goes on is kept: it counts when votes are weighed again. */
const keepVote: Handler<"vote"> = (state, input) => {
  const known = input.vote.epoch === claimEpoch(state) && state.record !== undefined && admissible(state.record, input.vote);
  return known ? stay({ ...state, votes: { ...state.votes, [input.vote.node]: input.vote } }) : stay(state);
};

/** The same for a refusal and for the time to wait: what goes on may fail, and then nobody must be waited for in vain. */
const keepRefusal: Handler<"refused"> = (state, input) =>
  input.epoch === claimEpoch(state) ? stay({ ...state, refusals: { ...state.refusals, [input.node]: input.why } }) : stay(state);

const keepTimer: Handler<"timer"> = (state, input) => {
  if (input.token !== claimEpoch(state)) return stay(state);
  if (input.name === "vote-wait") return stay({ ...state, waitOver: true });
  return input.name === "lease" ? stay(leaseOver(state)) : stay(state);
};

/** Where nothing of a claim is heard. */
const QUIET: Omit<Row, "observed"> = {
  suspected: ignore,
  conflict: read,
  away: reread,
  vote: ignore,
  refused: ignore,
  fenced: ignore,
  estimated: ignore,
  completed: ignore,
  "not-completed": ignore,
  "promote-failed": ignore,
  opened: ignore,
  timer: ignore,
  accepted: ignore,
};

/** While a claim of ours is open: late votes, refusals and fences are kept, an acceptance is remembered. */
const CLAIMED: Row = { ...QUIET, observed, vote: keepVote, refused: keepRefusal, fenced, timer: keepTimer, accepted };

const TABLE: { readonly [P in Phase]: Row } = {
  unknown: { ...QUIET, observed, timer: read },
  steady: { ...QUIET, observed, suspected },
  opening: { ...QUIET, observed, suspected, opened },
  claiming: { ...QUIET, observed: observedWhileClaiming, timer: claimAgain },
  watching: { ...QUIET, observed, timer: takeOver },
  revoking: { ...CLAIMED, vote, refused, timer: waited },
  fencing: { ...CLAIMED, timer: leaseOrRetry },
  stating: { ...CLAIMED, estimated, timer: leaseOrRetry },
  completing: { ...CLAIMED, vote: voteMeanwhile, completed, "not-completed": notCompleted },
  promoting: { ...CLAIMED, "promote-failed": promoteFailed },
  blocked: { ...CLAIMED, vote, timer: tryAgain },
};
