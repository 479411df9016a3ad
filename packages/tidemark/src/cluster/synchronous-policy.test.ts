import { describe, expect, it } from "vitest";
import type { SynchronousSet } from "./cluster-record.ts";
import { ASYNCHRONOUS_SET, CLOSED_SET } from "./quorum.ts";
import type { MemberView, PolicyInput } from "./synchronous-policy.ts";
import { nextStep, wantedSet } from "./synchronous-policy.ts";
import { sampleSet } from "./testing/sample-record.ts";

const streaming = (node: string, identity = `${node}_1`): MemberView => ({ node, identity, domain: node, streaming: true, goneForMs: 0 });
const gone = (node: string, goneForMs: number, identity = `${node}_1`): MemberView => ({
  node,
  identity,
  domain: node,
  streaming: false,
  goneForMs,
});

function input(change: Partial<PolicyInput>): PolicyInput {
  return {
    sets: [sampleSet(1, "s")],
    required: 1,
    policy: { kind: "never-lose" },
    members: [streaming("s")],
    primaryDomain: "a",
    exposureMs: 0,
    goneAfterMs: 2_000,
    ...change,
  };
}

describe("the synchronous policy", () => {
  it("keeps a set whose members stream", () => {
    expect(nextStep(input({}))).toEqual({ kind: "keep" });
  });

  it("keeps a member that has just gone, and takes it out when it stays away", () => {
    expect(nextStep(input({ policy: { kind: "available" }, members: [gone("s", 1_999)] }))).toEqual({ kind: "keep" });
    expect(nextStep(input({ policy: { kind: "available" }, members: [gone("s", 2_000)] }))).toMatchObject({
      kind: "begin",
      sets: [sampleSet(1, "s"), ASYNCHRONOUS_SET],
    });
  });

  it("blocks under never-lose: the recorded set stays, and a closed one stays closed", () => {
    expect(nextStep(input({ members: [gone("s", 99_999)] }))).toEqual({ kind: "keep" });
    expect(nextStep(input({ sets: [CLOSED_SET], members: [] }))).toEqual({ kind: "keep" });
    expect(wantedSet(input({ sets: [ASYNCHRONOUS_SET], members: [] })).set).toEqual(CLOSED_SET);
  });

  it("goes on asynchronously under bounded while the exposure is within the bound, and blocks beyond it", () => {
    const bounded = { kind: "bounded", mostLossMs: 5_000 } as const;
    expect(wantedSet(input({ policy: bounded, members: [gone("s", 9_000)], exposureMs: 5_000 })).set).toEqual(ASYNCHRONOUS_SET);
    expect(wantedSet(input({ policy: bounded, members: [gone("s", 9_000)], exposureMs: 5_001 })).set).toEqual(CLOSED_SET);
    expect(nextStep(input({ policy: bounded, sets: [ASYNCHRONOUS_SET], members: [], exposureMs: 9_000 }))).toMatchObject({
      kind: "begin",
      sets: [ASYNCHRONOUS_SET, CLOSED_SET],
    });
  });

  it("opens a closed set to the members that stream (trap 22: not before they do)", () => {
    expect(nextStep(input({ sets: [CLOSED_SET], members: [gone("s", Infinity)] }))).toEqual({ kind: "keep" });
    expect(nextStep(input({ sets: [CLOSED_SET] }))).toMatchObject({ kind: "begin", sets: [CLOSED_SET, sampleSet(1, "s")] });
    expect(nextStep(input({ sets: [CLOSED_SET, sampleSet(1, "s")] }))).toMatchObject({ kind: "settle", to: sampleSet(1, "s") });
  });

  it("records old and new together before anything is told (R1), and settles what was begun", () => {
    const sets = [ASYNCHRONOUS_SET, sampleSet(1, "s")];
    expect(nextStep(input({ sets: [ASYNCHRONOUS_SET] }))).toMatchObject({ kind: "begin", sets });
    expect(nextStep(input({ sets }))).toMatchObject({ kind: "settle", to: sampleSet(1, "s") });
  });

  it("goes back when the new set broke before it was settled", () => {
    const sets = [ASYNCHRONOUS_SET, sampleSet(1, "s")];
    expect(nextStep(input({ policy: { kind: "available" }, sets, members: [gone("s", 5_000)] }))).toMatchObject({
      kind: "settle",
      to: ASYNCHRONOUS_SET,
    });
    const replaced = [sampleSet(1, "s"), sampleSet(1, "v")];
    expect(nextStep(input({ policy: { kind: "available" }, sets: replaced, members: [gone("s", 9_000), gone("v", 9_000)] }))).toMatchObject(
      { kind: "begin", sets: [...replaced, ASYNCHRONOUS_SET] },
    );
  });

  it("never has more than three sets: then it settles what can be covered", () => {
    const sets: SynchronousSet[] = [sampleSet(1, "s"), sampleSet(1, "v"), sampleSet(1, "s", "v")];
    expect(nextStep(input({ policy: { kind: "available" }, sets, members: [gone("s", 9_000), gone("v", 9_000)] }))).toMatchObject({
      kind: "settle",
      to: CLOSED_SET,
    });
    expect(nextStep(input({ sets, members: [streaming("w"), gone("s", 9_000), gone("v", 9_000), streaming("v", "v_1")] }))).toMatchObject({
      kind: "settle",
    });
  });

  it("asks for fewer copies when fewer are left (R7), and for all of them again", () => {
    const two = sampleSet(2, "s", "v");
    expect(wantedSet(input({ required: 2, sets: [two], members: [streaming("s"), gone("v", 3_000)] })).set).toEqual(sampleSet(1, "s"));
    expect(wantedSet(input({ required: 2, sets: [sampleSet(1, "s")], members: [streaming("s"), streaming("v")] })).set).toEqual(two);
  });

  it("counts a node once, by its newest identity (R6)", () => {
    const members = [gone("s", 100, "s_1"), streaming("s", "s_2")];
    expect(wantedSet(input({ members })).set).toEqual({ required: 1, members: [{ node: "s", identity: "s_2" }] });
  });

  it("is asynchronous where the configuration asks for no copy", () => {
    expect(nextStep(input({ required: 0, sets: [CLOSED_SET] }))).toMatchObject({ kind: "begin", sets: [CLOSED_SET, ASYNCHRONOUS_SET] });
    expect(nextStep(input({ required: 0, sets: [ASYNCHRONOUS_SET] }))).toEqual({ kind: "keep" });
  });

  it("counts one member of a failure domain, the recorded one, and none of the primary's own (R7)", () => {
    const here = { ...streaming("t"), domain: "a" };
    const beside = { ...streaming("v"), domain: "s" };
    expect(wantedSet(input({ required: 2, members: [here, beside, streaming("s")] })).set).toEqual(sampleSet(1, "s"));
    expect(wantedSet(input({ sets: [CLOSED_SET], members: [here] })).set).toEqual(CLOSED_SET);
    expect(wantedSet(input({ required: 2, members: [streaming("s"), streaming("v")] })).set).toEqual(sampleSet(2, "s", "v"));
  });

  it("shrinks from two of {s, v} to the one that is left, by a joint change, and grows again (R7)", () => {
    const both = { sets: [sampleSet(2, "s", "v")], required: 2 };
    expect(nextStep(input({ ...both, members: [gone("s", 1_999), streaming("v")] }))).toEqual({ kind: "keep" });
    expect(nextStep(input({ ...both, members: [gone("s", 2_000), streaming("v")] }))).toMatchObject({
      kind: "begin",
      sets: [sampleSet(2, "s", "v"), sampleSet(1, "v")],
    });
    expect(nextStep(input({ sets: [sampleSet(1, "v")], required: 2, members: [streaming("s"), streaming("v")] }))).toMatchObject({
      kind: "begin",
      sets: [sampleSet(1, "v"), sampleSet(2, "s", "v")],
    });
  });

  it("closes when the record is full of sets whose members never come back, and goes on from there (R6)", () => {
    const full = [
      sampleSet(1, "v"),
      sampleSet(2, "s", "v"),
      {
        required: 2,
        members: [
          { node: "s", identity: "s_1" },
          { node: "v", identity: "v_2" },
        ],
      },
    ];
    const members = [streaming("s"), streaming("v", "v_3")];
    expect(nextStep(input({ required: 2, sets: full, members }))).toMatchObject({ kind: "settle", to: CLOSED_SET });
    expect(nextStep(input({ required: 2, sets: [CLOSED_SET], members }))).toMatchObject({ kind: "begin" });
  });
});
