// Nobody can say what would be lost. It counts as an incident of its own: a breach would not be seen either.
import type { ScenarioRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

const SHORTEST_MS = 60_000;
const LONGEST_MS = 15 * 60_000;

export const exposureUnknownTooLong: ScenarioRule = {
  name: "exposure-unknown-too-long",
  scope: "scenario",
  severity: "page",
  forMs: SHORTEST_MS,
  keepMs: 10_000,
  judge({ exposure, objective }) {
    const figure = exposure.exposureMs;
    // Surely above is worse than unknown, and has its own rule.
    if (figure.known || exposure.judgement === "above") return CLEAR;
    return {
      kind: "holds",
      // Blind for as long as the objective: from then on it may be broken without anybody knowing.
      forMs: Math.min(LONGEST_MS, Math.max(SHORTEST_MS, objective.rpoMs)),
      summary: `${exposure.service}: what ${exposure.scenario} would lose is not known: ${figure.why}`,
      evidence: { why: figure.why, unknownSinceMs: figure.sinceMs, objectiveMs: objective.rpoMs },
    };
  },
};
