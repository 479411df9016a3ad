// The service level indicator of exposure: time slices of one second. A second is good when the exposure is known and within
// the objective. A second in which it is not known is bad for the budget, and counted apart so that it is shown as what it is
// (HONEST-NUMBER): `unknown` is neither a breach nor zero.
import type { ScenarioExposure } from "../exposure/exposure.ts";

export type SliceQuality = "good" | "bad" | "unknown";

/** How a second counts; undefined where nobody said how much may be lost, so that nothing can be judged. */
export function sliceQuality(exposure: ScenarioExposure): SliceQuality | undefined {
  if (exposure.objective === undefined) return undefined;
  // What is certain without a figure is certain: where nothing would survive, no number says how much that is.
  if (exposure.judgement === "above") return "bad";
  if (!exposure.exposureMs.known) return "unknown";
  return exposure.exposureMs.value <= exposure.objective.rpoMs ? "good" : "bad";
}

/** The one that counts when a second was looked at more than once: what is surely bad, then what is not known. */
export function worseSlice(one: SliceQuality, other: SliceQuality): SliceQuality {
  if (one === "bad" || other === "bad") return "bad";
  return one === "unknown" || other === "unknown" ? "unknown" : "good";
}
