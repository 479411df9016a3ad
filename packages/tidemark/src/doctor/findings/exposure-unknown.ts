import type { DoctorRule } from "../doctor-rule.ts";

/** Nobody can say whether the objective is met: that is not the same as good. */
export const exposureUnknown: DoctorRule = {
  name: "exposure-unknown",
  code: "TM-FINDING-EXPOSURE-UNKNOWN",
  severity: "warning",
  title: "Whether an objective is met now is not known",
  judge({ exposure }) {
    return exposure.exposures.flatMap(({ service, scenario, judgement, exposureMs, notCovered }) => {
      if (judgement !== "unknown") return [];
      return [
        {
          subject: `${service} ${scenario}`,
          evidence: [exposureMs.known ? "one of its stores is not known" : exposureMs.why, ...notCovered.slice(0, 3)],
          fix: [
            "name the failure domains of the copies (domain: { machine, zone, region, account }): what has no name is not counted on",
            "give the probes what they need (tidemark grants), and see that each target answers",
          ],
        },
      ];
    });
  },
};
