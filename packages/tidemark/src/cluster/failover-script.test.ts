import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseLsn } from "@tidemark/kernel/lsn";
import { describe, expect, it } from "vitest";
import { decide } from "./failover-decision.ts";
import type { DecisionSettings, Input, Phase } from "./failover-state.ts";
import { INITIAL_STATE, PHASES } from "./failover-state.ts";
import { FailoverScript } from "./testing/failover-script.ts";
import { sampleRecord } from "./testing/sample-record.ts";
import type { Epoch, Timeline } from "@tidemark/kernel/brands";

const folder = fileURLToPath(new URL("testdata/", import.meta.url));
const scripts = readdirSync(folder).filter((name) => name.endsWith(".script.txt"));

describe.each(scripts)("the failover %s", (name) => {
  const text = readFileSync(`${folder}${name}`, "utf8");

  it("goes as its golden output says", () => {
    const script = new FailoverScript();
    script.run(text);
    const golden = `${folder}${basename(name, ".script.txt")}.golden.txt`;
    const output = `${script.lines.join("\n")}\n`;
    if (process.env["TIDEMARK_UPDATE_GOLDEN"] === "1") writeFileSync(golden, output);
    expect(output).toBe(readFileSync(golden, "utf8"));
  });

  it("ends with a primary that has everything, or blocked, also when the coordinator dies after any step", () => {
    const whole = new FailoverScript();
    whole.run(text);
    for (let step = 1; step <= whole.steps; step++) {
      const script = new FailoverScript(step);
      script.run(text);
      script.goOn();
      const account = `interrupted after step ${step}\n${script.lines.join("\n")}`;
      const reachable = [...script.nodes.values()].some((node) => node.state === "primary" && node.name === script.record.primary);
      if (script.state.phase === "steady") expect(reachable, account).toBe(true);
      else expect([...script.nodes.values()].filter((node) => node.state === "away" || node.broken).length, account).toBeGreaterThan(0);
      for (const promotion of script.promotions) {
        if (!promotion.incumbent && !promotion.loss) expect(parseLsn(promotion.end) >= parseLsn(promotion.target), account).toBe(true);
      }
      // NO-LOSS-PROMOTE: what the members of the first record had voted for is on every primary that nobody gave up something for.
      expect(script.promotions.filter((promotion) => promotion.loss).length === 0 || text.includes("loss "), account).toBe(true);
    }
  });
});

describe("the table of the decision", () => {
  const settings: DecisionSettings = {
    coordinator: "c1",
    nodes: ["a", "s"],
    promotable: ["a", "s"],
    policy: { kind: "never-lose" },
    leaseMs: 1,
    voteWaitMs: 1,
    retryMs: 1,
    takeOverAfterMs: 1,
  };
  const claim = { epoch: 2 as Epoch, coordinator: "c1", reason: "", claimedAtMs: 0 };
  const inputs: Input[] = [
    { type: "observed", record: sampleRecord(), revision: 9 },
    { type: "observed", record: undefined, revision: 9 },
    { type: "observed", record: sampleRecord({ claim }), revision: 9 },
    { type: "observed", record: sampleRecord({ claim: { ...claim, coordinator: "other" } }), revision: 9 },
    { type: "suspected", node: "a", reason: "", standbys: ["s"] },
    { type: "conflict" },
    { type: "away" },
    { type: "vote", vote: { node: "s", identity: "s_1", epoch: 2 as Epoch, timeline: 1 as Timeline, end: "0/1" } },
    { type: "refused", epoch: 2 as Epoch, node: "s", why: "" },
    { type: "fenced", epoch: 2 as Epoch, node: "a" },
    { type: "estimated", epoch: 2 as Epoch, atMs: 0 },
    { type: "completed", epoch: 2 as Epoch, node: "s", from: "v" },
    { type: "not-completed", epoch: 2 as Epoch, node: "s", from: "v", why: "" },
    { type: "promote-failed", epoch: 2 as Epoch, node: "s", why: "" },
    { type: "opened", epoch: 1 as Epoch, node: "a" },
    { type: "timer", name: "retry", token: 2 },
    { type: "timer", name: "lease", token: 2 },
    { type: "timer", name: "vote-wait", token: 2 },
    { type: "timer", name: "take-over", token: 1 },
    { type: "accepted", by: "alice", reason: "", primaryIsDown: false },
  ];

  it("has an answer to every input in every phase, with and without a record", () => {
    for (const phase of PHASES) {
      for (const input of inputs) {
        for (const state of [
          { ...INITIAL_STATE, phase },
          {
            ...INITIAL_STATE,
            phase,
            revision: 1,
            record: sampleRecord({ claim }),
            candidate: { node: "s", target: "0/1", incumbent: false },
          },
        ]) {
          expect(PHASES).toContain(decide(state, input, settings).state.phase);
        }
      }
    }
  });

  it("asks for a promotion in no phase without a claim of its own", () => {
    const without: Phase[] = ["unknown", "steady", "opening", "claiming", "watching"];
    for (const phase of without) {
      for (const input of inputs) {
        if (input.type === "observed") continue;
        const { effects } = decide({ ...INITIAL_STATE, phase, revision: 1, record: sampleRecord() }, input, settings);
        expect(effects.filter((effect) => effect.type === "promote" || effect.type === "revoke")).toEqual([]);
      }
    }
  });

  it("hears nothing of votes, fences and failures of another epoch", () => {
    const record = sampleRecord({ claim: { ...claim, epoch: 3 as Epoch } });
    for (const phase of ["revoking", "fencing", "stating", "completing", "promoting", "blocked"] as const) {
      const state = { ...INITIAL_STATE, phase, revision: 1, record, candidate: { node: "s", target: "0/1", incumbent: false } };
      for (const input of inputs) {
        if (!("epoch" in input || input.type === "vote") || input.type === "opened") continue;
        expect(decide(state, input, settings)).toEqual({ state, effects: [] });
      }
    }
  });

  it("ignores an observation that is older than what it knows", () => {
    const state = { ...INITIAL_STATE, phase: "promoting" as const, revision: 9, record: sampleRecord({ claim }) };
    expect(decide(state, { type: "observed", record: sampleRecord(), revision: 8 }, settings)).toEqual({ state, effects: [] });
  });
});
