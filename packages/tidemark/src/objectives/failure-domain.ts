/**
 * What one accident takes away together, from small to large. A copy's domain is given by as many of these as are
 * known; an outer one contains the inner ones.
 */
export const FAILURE_DOMAIN_KINDS = ["process", "machine", "zone", "region", "account"] as const;

export type FailureDomainKind = (typeof FAILURE_DOMAIN_KINDS)[number];

/** Where a copy lives, for example `{ machine: "db1", zone: "a" }`. */
export type FailureDomain = Readonly<Partial<Record<FailureDomainKind, string>>>;

/** An accident that an objective is judged against. */
export const SCENARIOS = ["process-loss", "node-loss", "zone-loss", "region-loss", "bad-write", "account-loss"] as const;

export type Scenario = (typeof SCENARIOS)[number];

/** The scenarios of which each takes what the one before takes, and more: it cannot cost less. */
export const GROWING_SCENARIOS: readonly Scenario[] = ["process-loss", "node-loss", "zone-loss", "region-loss"];

/** The failure domain that a scenario takes away; `bad-write` takes none away, it spoils every copy at once. */
export const SCENARIO_TAKES: Readonly<Record<Scenario, FailureDomainKind | undefined>> = {
  "process-loss": "process",
  "node-loss": "machine",
  "zone-loss": "zone",
  "region-loss": "region",
  "bad-write": undefined,
  "account-loss": "account",
};
