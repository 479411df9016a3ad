import { describe, expect, it } from "vitest";
import { ServerPhases } from "./server-phases.ts";

describe("the phases of a store's servers", () => {
  const phases = new ServerPhases(["pg1", "pg2"]);
  const phaseOf = (name: string): number | undefined =>
    phases
      .of({ name, store: "orders", probe: () => Promise.reject(new Error("it is not asked")), close: () => Promise.resolve() })
      .phase?.();

  it("spread them over the period, and leave what is no server alone", () => {
    expect([phaseOf("postgresql pg1"), phaseOf("postgresql pg2"), phaseOf("agent pg1")]).toEqual([0, 0.5, undefined]);
  });

  it("write the canary half a period from whichever server is the primary", () => {
    expect([phases.opposite("pg1"), phases.opposite("pg2"), phases.opposite(undefined), phases.opposite("unknown")]).toEqual([
      0.5, 1, 0.5, 0.5,
    ]);
  });
});
