// Recovering from the copy that would be used took longer, when it was last proven, than the objective allows.
import { formatDuration } from "@tidemark/kernel/duration";
import type { ScenarioRule } from "./rule.ts";
import { CLEAR, UNKNOWN } from "./rule.ts";

export const recoveryTimeAboveObjective: ScenarioRule = {
  name: "recovery-time-above-objective",
  scope: "scenario",
  severity: "ticket",
  forMs: 60_000,
  keepMs: 60_000,
  judge({ exposure, objective }) {
    const figure = exposure.recoveryTimeMs;
    if (!figure.known) return UNKNOWN;
    if (figure.value <= objective.rtoMs) return CLEAR;
    return {
      kind: "holds",
      summary: `${exposure.service}: recovering from ${exposure.scenario} took ${formatDuration(figure.value)} when it was last proven, ${formatDuration(objective.rtoMs)} are allowed`,
      evidence: { recoveryTimeMs: figure.value, objectiveMs: objective.rtoMs, provenAtMs: figure.atMs },
    };
  },
};
