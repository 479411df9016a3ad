// Which synchronous set a primary should have, and the next step towards it by a joint change (R1). Pure; the shell is
// agent/set-change.ts. A change has two steps that can be interrupted anywhere: `begin` records old and new together,
// `settle` tells PostgreSQL one of them, verifies it, and records it alone.
import type { SynchronousPolicy } from "../config/config.ts";
import type { Member, SynchronousSet } from "./cluster-record.ts";
import { ASYNCHRONOUS_SET, CLOSED_SET, kindOf, sameSet } from "./quorum.ts";

/** What the primary sees of a node or a vault that could be a member. */
export interface MemberView extends Member {
  /** Equal for two that one accident takes away together (R7). */
  readonly domain: string;
  /** Connected and past its catching up (trap 22). */
  readonly streaming: boolean;
  /** How long it has not been streaming, milliseconds; 0 while it is. Infinity: never seen. */
  readonly goneForMs: number;
}

export interface PolicyInput {
  readonly sets: readonly SynchronousSet[];
  /** Copies besides the primary that the configuration asks for. */
  readonly required: number;
  readonly policy: SynchronousPolicy;
  readonly members: readonly MemberView[];
  readonly primaryDomain: string;
  /** How long the newest commits have been on the primary alone, at most; 0 when none are. */
  readonly exposureMs: number;
  /** A member that has not streamed for so long is taken out, milliseconds. */
  readonly goneAfterMs: number;
}

export type PolicyStep =
  | { readonly kind: "keep" }
  | { readonly kind: "begin"; readonly sets: readonly SynchronousSet[]; readonly why: string }
  | { readonly kind: "settle"; readonly to: SynchronousSet; readonly why: string };

/** The most sets in a record: old, new, and one more when the new one broke before it was settled. */
export const MOST_SETS = 3;

/** The set that the policy wants now. */
export function wantedSet(input: PolicyInput): { set: SynchronousSet; why: string } {
  if (input.required === 0) return { set: ASYNCHRONOUS_SET, why: "the configuration asks for no synchronous copy" };
  const inSome = (identity: string): boolean => input.sets.some((set) => set.members.some((member) => member.identity === identity));
  const fit = onePerDomain(
    onePerNode(input.members.filter((view) => view.streaming || (inSome(view.identity) && view.goneForMs < input.goneAfterMs))),
    { primary: input.primaryDomain, inSome },
  );
  if (fit.length > 0) {
    const members = fit.map(({ node, identity }) => ({ node, identity })).sort((a, b) => (a.identity < b.identity ? -1 : 1));
    return { set: { members, required: Math.min(input.required, members.length) }, why: `${members.length} of the copies stream` };
  }
  const { policy } = input;
  if (policy.kind === "available") return { set: ASYNCHRONOUS_SET, why: "no synchronous member is left; policy available" };
  if (policy.kind === "bounded") {
    const within = input.exposureMs <= policy.mostLossMs;
    return within
      ? {
          set: ASYNCHRONOUS_SET,
          why: `no synchronous member is left; policy bounded: ${Math.round(input.exposureMs)} of ${policy.mostLossMs} ms`,
        }
      : { set: CLOSED_SET, why: `the newest commits are on the primary alone for longer than ${policy.mostLossMs} ms; policy bounded` };
  }
  // never-lose: what is recorded goes on to block, by itself; an asynchronous set does not.
  const blocking = input.sets.findLast((set) => kindOf(set) !== "asynchronous");
  return { set: blocking ?? CLOSED_SET, why: "no synchronous member is left; policy never-lose" };
}

/** A node that came back as another has two identities for a while; one copy must not be counted twice. The newest one stands. */
function onePerNode(views: readonly MemberView[]): MemberView[] {
  const newest = new Map<string, MemberView>();
  for (const view of views) {
    const other = newest.get(view.node);
    if (other === undefined || view.goneForMs < other.goneForMs) newest.set(view.node, view);
  }
  return [...newest.values()];
}

/** R7: two copies that are lost together are one, and one that is lost with the primary is none. Of two the one that counts already. */
function onePerDomain(views: readonly MemberView[], about: { primary: string; inSome: (identity: string) => boolean }): MemberView[] {
  const counted = new Map<string, MemberView>();
  for (const view of views) {
    const other = counted.get(view.domain);
    if (view.domain !== about.primary && (other === undefined || (about.inSome(view.identity) && !about.inSome(other.identity))))
      counted.set(view.domain, view);
  }
  return [...counted.values()];
}

export function nextStep(input: PolicyInput): PolicyStep {
  const { set: wanted, why } = wantedSet(input);
  const [only, ...more] = input.sets;
  if (only !== undefined && more.length === 0) {
    return sameSet(only, wanted) ? { kind: "keep" } : { kind: "begin", sets: [only, wanted], why };
  }
  const recorded = input.sets.find((set) => sameSet(set, wanted));
  if (recorded !== undefined) return { kind: "settle", to: recorded, why };
  if (input.sets.length < MOST_SETS) return { kind: "begin", sets: [...input.sets, wanted], why };
  // Full: settle what can be settled with what is there; the rest follows by another change.
  const reachable = input.sets.findLast((set) => canSettle(set, input));
  // Members of each are gone, maybe for good (R6). The closed set needs no recording before: it acknowledges nothing, and who has everything
  // is the incumbent. From there the wanted one is reached.
  return { kind: "settle", to: reachable ?? CLOSED_SET, why };
}

/** Whether enough members are there to cover what was acknowledged. A closed set covers by the incumbent, an asynchronous one promises nothing. */
export function canSettle(set: SynchronousSet, input: PolicyInput): boolean {
  if (kindOf(set) !== "counted") return true;
  const streaming = new Set(input.members.filter((view) => view.streaming).map((view) => view.identity));
  return set.members.filter((member) => streaming.has(member.identity)).length >= set.required;
}
