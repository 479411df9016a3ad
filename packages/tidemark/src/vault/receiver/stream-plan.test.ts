import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import { describe, expect, it } from "vitest";
import type { Plan, PlanInput, WalPoint } from "./stream-plan.ts";
import { planStream } from "./stream-plan.ts";

const SYSTEM = "7311111111111111111" as SystemIdentifier;
const OTHER = "7322222222222222222" as SystemIdentifier;
const MIB = 16 * 1_048_576;

const at = (text: string): WalPoint => {
  const [timeline, lsn] = text.split("@") as [string, string];
  return { timeline: Number(timeline) as Timeline, lsn: parseLsn(lsn) };
};
/** `1@0/3000100 2@0/5000000`: timeline 1 ended at the first, timeline 2 at the second. */
const history = (text: string): TimelineSwitch[] =>
  text
    .split(" ")
    .filter((part) => part !== "")
    .map((part) => ({ timeline: at(part).timeline, switchLsn: at(part).lsn, reason: "test" }));

interface Case {
  readonly rule: string;
  /** `from..frontier`, such as `1@0/1000000..1@0/3000100`; empty: nothing is here. */
  readonly run?: string;
  readonly runHistory?: string;
  /** Timeline and end of the server. */
  readonly server?: string;
  readonly serverHistory?: string;
  readonly serverSystem?: SystemIdentifier;
  readonly serverSegment?: number;
  /** The recorded timeline and its fork. */
  readonly expected?: string;
  /** A restart LSN, or `none`, `lost`, `logical`. */
  readonly slot?: string;
  readonly slotInvalid?: true;
  readonly slotIsNew?: true;
  readonly walRemoved?: true;
  readonly plan: string;
}

const CASES: readonly Case[] = [
  // A first start.
  { rule: "a vault without a slot makes one that reserves WAL (trap 4)", slot: "none", plan: "create-slot" },
  { rule: "a first run begins at the start of the segment that the slot reserves", slot: "0/2345678", plan: "begin 1@0/2000000" },
  {
    rule: "a first run behind a promotion begins on the timeline that wrote the reserved position",
    server: "2@0/5000000",
    serverHistory: "1@0/3000100",
    slot: "0/2345678",
    plan: "begin 1@0/2000000",
  },
  {
    rule: "a first run in the segment of the fork begins with the new timeline's file, which holds both",
    server: "2@0/5000000",
    serverHistory: "1@0/3000100",
    slot: "0/3000200",
    plan: "begin 2@0/3000000",
  },
  // Going on.
  { rule: "a run goes on from its frontier", run: "1@0/1000000..1@0/3000100", plan: "stream 1@0/3000100" },
  {
    rule: "a slot that reserves from beyond the frontier is no gap while the WAL is still there (trap 7)",
    run: "1@0/1000000..1@0/2000100",
    slot: "0/4000028",
    plan: "stream 1@0/2000100",
  },
  {
    rule: "after a promotion it goes on from the old timeline's frontier (trap 7)",
    run: "1@0/1000000..1@0/2000100",
    server: "2@0/5000000",
    serverHistory: "1@0/3000100",
    slot: "0/4000028",
    expected: "2@0/3000100",
    plan: "stream 1@0/2000100",
  },
  {
    rule: "exactly at the fork it goes on too",
    run: "1@0/1000000..1@0/3000100",
    server: "2@0/5000000",
    serverHistory: "1@0/3000100",
    plan: "stream 1@0/3000100",
  },
  // Gaps.
  {
    rule: "removed WAL is a gap up to the segment that the slot reserves (trap 4)",
    run: "1@0/1000000..1@0/2000100",
    slot: "0/4000028",
    walRemoved: true,
    plan: "gap 1@0/2000100..1@0/4000000",
  },
  {
    rule: "a gap that spans a fork ends on the new timeline",
    run: "1@0/1000000..1@0/2000100",
    server: "2@0/5000000",
    serverHistory: "1@0/3000100",
    slot: "0/4000028",
    walRemoved: true,
    plan: "gap 1@0/2000100..2@0/4000000",
  },
  {
    rule: "a slot that lost its WAL is replaced before a gap is judged (trap 5)",
    run: "1@0/1000000..1@0/2000100",
    slot: "lost",
    plan: "replace-slot",
  },
  {
    rule: "an invalidated slot that still shows a position is replaced (trap 6)",
    run: "1@0/1000000..1@0/3000100",
    slot: "0/2000028",
    slotInvalid: true,
    plan: "replace-slot",
  },
  { rule: "a new slot that keeps nothing is refused, not made for ever", slot: "lost", slotIsNew: true, plan: "refuse TM-VAULT-SLOT" },
  {
    rule: "a slot that reserved less than it said is replaced",
    run: "1@0/1000000..1@0/3000100",
    slot: "0/2000028",
    walRemoved: true,
    plan: "replace-slot",
  },
  {
    rule: "and refused when the new one contradicts itself as well",
    run: "1@0/1000000..1@0/3000100",
    slot: "0/2000028",
    slotIsNew: true,
    walRemoved: true,
    plan: "refuse TM-VAULT-SLOT",
  },
  { rule: "a logical slot of our name is refused", slot: "logical", plan: "refuse TM-VAULT-SLOT" },
  // Whom it refuses.
  {
    rule: "another cluster is refused (trap 9)",
    run: "1@0/1000000..1@0/3000100",
    serverSystem: OTHER,
    plan: "refuse TM-VAULT-SYSTEM-IDENTIFIER",
  },
  {
    rule: "another cluster than the recorded one is refused before anything is here",
    expected: "1@0/0",
    serverSystem: OTHER,
    plan: "refuse TM-VAULT-SYSTEM-IDENTIFIER",
  },
  {
    rule: "another segment size is refused",
    run: "1@0/1000000..1@0/3000100",
    serverSegment: 2 * MIB,
    plan: "refuse TM-VAULT-SEGMENT-SIZE",
  },
  {
    rule: "a primary of an earlier timeline than ours is refused",
    run: "1@0/1000000..2@0/3000200",
    runHistory: "1@0/3000100",
    server: "1@0/9000000",
    plan: "refuse TM-VAULT-OLD-TIMELINE",
  },
  {
    rule: "a primary of an earlier timeline than the recorded one is refused",
    run: "1@0/1000000..1@0/2000100",
    server: "1@0/9000000",
    expected: "2@0/3000100",
    plan: "refuse TM-VAULT-OLD-TIMELINE",
  },
  {
    rule: "a primary of a later timeline than the recorded one is refused: its promotion is not recorded (R2)",
    server: "3@0/9000000",
    serverHistory: "1@0/3000100 2@0/4000100",
    expected: "2@0/3000100",
    plan: "refuse TM-VAULT-TIMELINE-CONFLICT",
  },
  {
    rule: "a timeline that forked elsewhere than recorded is refused (R2)",
    server: "2@0/9000000",
    serverHistory: "1@0/3000200",
    expected: "2@0/3000100",
    plan: "refuse TM-VAULT-TIMELINE-CONFLICT",
  },
  {
    rule: "a timeline of our number with another fork is refused",
    run: "1@0/1000000..2@0/3000400",
    runHistory: "1@0/3000100",
    server: "2@0/9000000",
    serverHistory: "1@0/3000200",
    plan: "refuse TM-VAULT-TIMELINE-CONFLICT",
  },
  {
    rule: "a server with less WAL than ours on one timeline is refused",
    run: "1@0/1000000..1@0/3000100",
    server: "1@0/3000000",
    plan: "refuse TM-VAULT-PRIMARY-BEHIND",
  },
  // Divergence.
  {
    rule: "WAL past the fork is cut (trap 11)",
    run: "1@0/1000000..1@0/3000100",
    server: "2@0/5000000",
    serverHistory: "1@0/2800000",
    plan: "cut 1@0/2800000",
  },
  {
    rule: "a whole timeline off the line is cut back to the last common point",
    run: "1@0/1000000..2@0/3500000",
    runHistory: "1@0/3000100",
    server: "3@0/5000000",
    serverHistory: "1@0/3000100",
    plan: "cut 1@0/3000100",
  },
  {
    rule: "an earlier fork than ours cuts the shared timeline too",
    run: "1@0/1000000..2@0/3500000",
    runHistory: "1@0/3000100",
    server: "3@0/5000000",
    serverHistory: "1@0/2000100",
    plan: "cut 1@0/2000100",
  },
  {
    rule: "a later fork than ours keeps what is shared",
    run: "1@0/1000000..2@0/3500000",
    runHistory: "1@0/3000100",
    server: "3@0/5000000",
    serverHistory: "1@0/4000100",
    plan: "cut 1@0/3000100",
  },
  {
    rule: "over two forks the middle timeline is compared as well",
    run: "1@0/1000000..2@0/3500000",
    runHistory: "1@0/3000100",
    server: "3@0/5000000",
    serverHistory: "1@0/3000100 2@0/3400000",
    plan: "cut 2@0/3400000",
  },
  {
    rule: "over two forks a frontier behind both goes on on the first timeline",
    run: "1@0/1000000..1@0/2000100",
    server: "3@0/5000000",
    serverHistory: "1@0/3000100 2@0/3400000",
    plan: "stream 1@0/2000100",
  },
  {
    rule: "a run that began past the common point has nothing left",
    run: "2@0/3200000..2@0/3500000",
    runHistory: "1@0/3000100",
    server: "3@0/5000000",
    serverHistory: "1@0/3000100",
    plan: "cut",
  },
  {
    rule: "a diverged end is cut before the slot is looked at: nothing of it may stay served",
    run: "1@0/1000000..1@0/3000100",
    server: "2@0/5000000",
    serverHistory: "1@0/2800000",
    slot: "none",
    plan: "cut 1@0/2800000",
  },
];

function inputOf(one: Case): PlanInput {
  const [from, frontier] = (one.run ?? "").split("..");
  const server = at(one.server ?? "1@0/9000000");
  const slots = { none: undefined, lost: { type: "physical" as const }, logical: { type: "logical" as const, restartLsn: 1n as Lsn } };
  const name = one.slot ?? "0/1000028";
  return {
    local:
      from === undefined || frontier === undefined || from === ""
        ? {}
        : {
            systemIdentifier: SYSTEM,
            segmentBytes: MIB,
            run: { from: at(from), frontier: at(frontier), history: history(one.runHistory ?? "") },
          },
    expected:
      one.expected === undefined
        ? undefined
        : { systemIdentifier: SYSTEM, timeline: at(one.expected).timeline, forkLsn: at(one.expected).lsn },
    server: {
      systemIdentifier: one.serverSystem ?? SYSTEM,
      segmentBytes: one.serverSegment ?? MIB,
      timeline: server.timeline,
      flushLsn: server.lsn,
      history: history(one.serverHistory ?? ""),
    },
    slot: name in slots ? slots[name as keyof typeof slots] : { type: "physical", restartLsn: parseLsn(name) },
    slotInvalid: one.slotInvalid === true,
    slotIsNew: one.slotIsNew === true,
    walRemoved: one.walRemoved === true,
  };
}

const point = (place: WalPoint): string => `${place.timeline}@${formatLsn(place.lsn)}`;
function inWords(plan: Plan): string {
  if (plan.kind === "refuse") return `refuse ${plan.code}`;
  if (plan.kind === "gap") return `gap ${point(plan.from)}..${point(plan.to)}`;
  if (plan.kind === "begin" || plan.kind === "stream") return `${plan.kind} ${point(plan.at)}`;
  if (plan.kind === "cut") return plan.at === undefined ? "cut" : `cut ${point(plan.at)}`;
  return plan.kind;
}

describe("the plan of a connect", () => {
  it.each(CASES.map((one) => [one.rule, one] as const))("%s", (_rule, one) => {
    expect(inWords(planStream(inputOf(one)))).toBe(one.plan);
  });

  it("never streams from anywhere but the frontier, whatever the server and the slot are (trap 3)", () => {
    for (const one of CASES) {
      const input = inputOf(one);
      for (const slotIsNew of [false, true])
        for (const walRemoved of [false, true]) {
          const plan = planStream({ ...input, slotIsNew, walRemoved });
          if (plan.kind === "stream") expect(plan.at).toEqual(input.local.run?.frontier);
          if (plan.kind === "begin") expect(input.local.run).toBeUndefined();
          if (plan.kind === "gap") expect(plan.to.lsn).toBeGreaterThan(plan.from.lsn);
        }
    }
  });
});
