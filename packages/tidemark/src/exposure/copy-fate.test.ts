import { describe, expect, it } from "vitest";
import type { FailureDomain, FailureDomainKind } from "../objectives/failure-domain.ts";
import type { Fate } from "./copy-fate.ts";
import { fateOf } from "./copy-fate.ts";

const struck: FailureDomain = { process: "pg1", machine: "m1", zone: "a", region: "eu", account: "main" };

const CASES: readonly [rule: string, domain: FailureDomain, kind: FailureDomainKind, fate: Fate, struck?: FailureDomain][] = [
  ["the same machine is lost", { machine: "m1" }, "machine", "lost"],
  ["another machine survives", { machine: "m2" }, "machine", "survives"],
  ["another zone is another machine, whatever it is called", { machine: "m1", zone: "b" }, "machine", "survives"],
  ["another zone survives though nobody named the machine", { zone: "b" }, "machine", "survives"],
  ["another region is another zone", { region: "us" }, "zone", "survives"],
  ["the same zone's name in another region is another zone", { zone: "a", region: "us" }, "zone", "survives"],
  ["the same machine is in the same zone, named or not", { machine: "m1" }, "zone", "lost"],
  ["another machine may be in the same zone", { machine: "m2" }, "zone", "unknown"],
  ["another machine may be in the same region", { machine: "m2", zone: "b" }, "region", "unknown"],
  ["two accounts may use one region", { account: "other" }, "region", "unknown"],
  ["two accounts may use one zone", { account: "other" }, "zone", "unknown"],
  ["another account is another machine", { account: "other" }, "machine", "survives"],
  ["another region may belong to the same account", { region: "us" }, "account", "unknown"],
  ["the same machine belongs to the same account", { machine: "m1", zone: "a" }, "account", "lost"],
  ["a process on another machine survives", { machine: "m2" }, "process", "survives"],
  ["another process of the same machine survives", { machine: "m1", process: "pg2" }, "process", "survives"],
  ["a process without a name proves nothing", { machine: "m1" }, "process", "unknown"],
  ["a copy of which nothing is known proves nothing", {}, "zone", "unknown"],
  ["where nothing is known of the one that is hit nothing is proven", { machine: "m2", zone: "b" }, "zone", "unknown", {}],
];

describe("the fate of a copy", () => {
  it.each(CASES)("%s", (_rule, domain, kind, fate, hit = struck) => {
    expect(fateOf(domain, hit, kind)).toBe(fate);
  });

  it("does not depend on which of two copies is hit", () => {
    for (const [, domain, kind, , hit = struck] of CASES) expect(fateOf(domain, hit, kind)).toBe(fateOf(hit, domain, kind));
  });
});
