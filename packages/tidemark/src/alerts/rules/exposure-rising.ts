// Above half of the objective and rising, more than it usually does: time to act before the promise is broken.
import { formatDuration } from "@tidemark/kernel/duration";
import type { ScenarioRule } from "./rule.ts";
import { CLEAR, UNKNOWN } from "./rule.ts";

const BEGINS_AT = 0.5;
/** Lower than where it begins, so that an exposure around the half does not flap. */
const ENDS_AT = 0.4;
/** Gained per unit of time; 1 is a full stall, and less than this is noise of the measurement. */
const RISES = 0.1;
/** The slope is taken over a tenth of the objective, within these bounds. */
const SHORTEST_SPAN_MS = 2_000;
const LONGEST_SPAN_MS = 10_000;

export const exposureRising: ScenarioRule = {
  name: "exposure-rising",
  scope: "scenario",
  severity: "page",
  forMs: 0,
  keepMs: 10_000,
  judge({ exposure, objective, trend, firing }) {
    const figure = exposure.exposureMs;
    if (!figure.known) return UNKNOWN;
    // With an objective of zero there is no half: any exposure is a breach already.
    if (objective.rpoMs === 0 || figure.value <= objective.rpoMs * (firing ? ENDS_AT : BEGINS_AT)) return CLEAR;
    const slope = trend.slope(Math.min(LONGEST_SPAN_MS, Math.max(SHORTEST_SPAN_MS, objective.rpoMs / 10)));
    if (!firing) {
      // A breach has its own rule; what began before it goes on, because nothing has become better.
      if (figure.value > objective.rpoMs) return CLEAR;
      if (slope === undefined) return UNKNOWN;
      // A daily backup's exposure is above the half for half of the day. A usual tooth that ends within the objective is no news.
      if (slope < RISES || (trend.isUsual(figure.value) && (trend.usualPeakMs ?? 0) <= objective.rpoMs)) return CLEAR;
    }
    const leftMs = slope !== undefined && slope >= RISES ? (objective.rpoMs - figure.value) / slope : undefined;
    const ahead = leftMs !== undefined && leftMs > 0 ? `, above it in ${formatDuration(leftMs)} if it goes on` : "";
    return {
      kind: "holds",
      summary: `${exposure.service}: what ${exposure.scenario} would lose rises: ${formatDuration(figure.value)} of ${formatDuration(objective.rpoMs)}${ahead}`,
      evidence: {
        exposureMs: figure.value,
        objectiveMs: objective.rpoMs,
        ...(slope === undefined ? {} : { slope: Math.round(slope * 100) / 100 }),
        ...(leftMs === undefined || leftMs <= 0 ? {} : { breachInMs: Math.round(leftMs) }),
        ...(trend.usualPeakMs === undefined ? {} : { usualPeakMs: trend.usualPeakMs }),
      },
    };
  },
};
