import { formatDuration, formatGivenDuration } from "@tidemark/kernel/duration";
import type { DoctorRule } from "../doctor-rule.ts";

/** More would be lost now than may be. */
export const exposureAboveObjective: DoctorRule = {
  name: "exposure-above-objective",
  code: "TM-FINDING-EXPOSURE-ABOVE-OBJECTIVE",
  severity: "critical",
  title: "More would be lost now than the objective allows",
  judge({ exposure }) {
    return exposure.exposures.flatMap(({ service, scenario, objective, judgement, exposureMs, lost, notCovered }) => {
      if (judgement !== "above" || objective === undefined) return [];
      const allowed = objective.rpoMs === 0 ? "nothing" : formatGivenDuration(objective.rpoMs);
      return [
        {
          subject: `${service} ${scenario}`,
          evidence: [
            lost !== undefined && lost.length > 0
              ? `nothing would be left of ${lost.join(", ")}; the objective allows to lose ${allowed}`
              : exposureMs.known
                ? `${formatDuration(exposureMs.value)} ±${formatDuration(exposureMs.errorMs)}; the objective allows ${allowed}`
                : `above what the objective allows (${allowed}); how much is not known: ${exposureMs.why}`,
            ...notCovered.slice(0, 3),
          ],
          fix: ["the other findings say why; docs/exposure.md says which copies count in this scenario"],
        },
      ];
    });
  },
};
