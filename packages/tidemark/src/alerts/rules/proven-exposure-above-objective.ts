// The objective is kept by a copy that was never recovered from; by those that were, it is not (PROVEN-OR-NOT).
import { formatDuration } from "@tidemark/kernel/duration";
import type { ScenarioRule } from "./rule.ts";
import { CLEAR, UNKNOWN } from "./rule.ts";

/** What is proven is a proof away, and a new copy may be proven within a day. */
const NEVER_PROVEN_MS = 86_400_000;

export const provenExposureAboveObjective: ScenarioRule = {
  name: "proven-exposure-above-objective",
  scope: "scenario",
  severity: "ticket",
  forMs: 3_600_000,
  keepMs: 60_000,
  judge({ exposure, objective }) {
    if (!exposure.exposureMs.known) return UNKNOWN;
    const proven = exposure.provenExposureMs;
    // A breach has its own rule, and without a figure of their own the used copies are proven ones.
    if (proven === undefined || exposure.judgement !== "within") return CLEAR;
    if (proven.known && proven.value <= objective.rpoMs) return CLEAR;
    const unproven = exposure.uses
      .filter((used) => !used.proven)
      .map(({ store, copy }) => `${store}/${copy}`)
      .join(", ");
    const otherwise = proven.known ? `${formatDuration(proven.value)} would be lost` : "nobody can say what would be lost";
    return {
      kind: "holds",
      ...(proven.known ? {} : { forMs: NEVER_PROVEN_MS }),
      summary: `${exposure.service}: ${exposure.scenario} is within ${formatDuration(objective.rpoMs)} only if ${unproven} can be restored, which nobody has tried; without it ${otherwise}`,
      evidence: {
        objectiveMs: objective.rpoMs,
        exposureMs: exposure.exposureMs.value,
        unproven,
        ...(proven.known ? { provenExposureMs: proven.value } : { why: proven.why }),
      },
    };
  },
};
