// The usual objectives of a tier, for a service that does not say its own.
import type { Objective, ServiceConfig } from "../config/config.ts";
import type { Scenario } from "./failure-domain.ts";

type Tier = ServiceConfig["tier"];

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** What a tier allows at an accident that takes copies away. */
const AT_ACCIDENT: Readonly<Record<Tier, Objective>> = {
  "near-zero": { rpoMs: 0, rtoMs: MINUTE_MS },
  critical: { rpoMs: MINUTE_MS, rtoMs: 5 * MINUTE_MS },
  high: { rpoMs: 15 * MINUTE_MS, rtoMs: HOUR_MS },
  medium: { rpoMs: 4 * HOUR_MS, rtoMs: 4 * HOUR_MS },
  low: { rpoMs: 24 * HOUR_MS, rtoMs: 24 * HOUR_MS },
};

/**
 * The accidents that a tier says something of when the service does not. A region's or an account's loss is not among them: a
 * copy in another region or account is a decision with a price, so its objective is somebody's, not a default.
 */
export const TIER_SCENARIOS: readonly Scenario[] = ["process-loss", "node-loss", "zone-loss", "bad-write"];

/**
 * The tier's objective at a scenario; undefined where it has none. Of `near-zero`, a bad write is allowed what `critical` is:
 * it is replicated at once, so that the way back is a recovery to a point in time, which is neither free of loss nor done in a
 * minute; 0 there would be a promise that no copy can keep.
 */
export function tierObjective(tier: Tier, scenario: Scenario): Objective | undefined {
  if (!TIER_SCENARIOS.includes(scenario)) return undefined;
  return AT_ACCIDENT[tier === "near-zero" && scenario === "bad-write" ? "critical" : tier];
}
