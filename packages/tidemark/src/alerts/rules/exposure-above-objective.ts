// The promise is broken now: if the scenario happened this second, more would be lost than the objective allows.
import { formatDuration } from "@tidemark/kernel/duration";
import type { ScenarioExposure } from "../../exposure/exposure.ts";
import type { ScenarioRule } from "./rule.ts";
import { CLEAR, UNKNOWN } from "./rule.ts";

export const exposureAboveObjective: ScenarioRule = {
  name: "exposure-above-objective",
  scope: "scenario",
  severity: "page",
  forMs: 0,
  keepMs: 10_000,
  judge({ exposure, objective }) {
    const figure = exposure.exposureMs;
    if (!figure.known) {
      if (exposure.judgement !== "above") return UNKNOWN;
      const lost = exposure.lost ?? [];
      return {
        kind: "holds",
        summary: `${exposure.service}: ${exposure.scenario} would take more now than ${formatDuration(objective.rpoMs)}${lost.length === 0 ? "" : `: everything of ${lost.join(", ")}`}`,
        evidence: { why: figure.why, objectiveMs: objective.rpoMs, ...(lost.length === 0 ? {} : { lost: lost.join(", ") }) },
      };
    }
    if (figure.value <= objective.rpoMs && exposure.judgement !== "above") return CLEAR;
    const uses = exposure.uses.map(({ store, copy }) => `${store}/${copy}`).join(", ");
    return {
      kind: "holds",
      summary: `${exposure.service}: ${exposure.scenario} would lose ${formatDuration(figure.value)} now, ${formatDuration(objective.rpoMs)} are allowed`,
      evidence: {
        exposureMs: figure.value,
        objectiveMs: objective.rpoMs,
        errorMs: figure.errorMs,
        method: figure.method,
        measuredAtMs: figure.atMs,
        uses: uses === "" ? "no copy" : uses,
        ...businessOf(exposure),
      },
    };
  },
};

/** What is lost in the service's unit and in its currency, as far as it is known. */
function businessOf({ business }: ScenarioExposure): { business?: string } {
  if (business === undefined) return {};
  const { unit, amount, revenue } = business;
  const words = [
    ...(amount.known ? [`${amount.value} ${unit}`] : []),
    ...(revenue?.amount.known === true ? [`${revenue.amount.value} ${revenue.currency}`] : []),
  ];
  return words.length === 0 ? {} : { business: words.join(", ") };
}
