// Services as written, and the namespaces of them, with what their files leave out filled in: by the tier, and by the service.
import { DEFAULT_MOST_PROOF_AGE_MS } from "../alerts/judgement-settings.ts";
import { GROWING_SCENARIOS, SCENARIOS, type Scenario } from "../objectives/failure-domain.ts";
import { TIER_SCENARIOS, tierObjective } from "../objectives/tier-objectives.ts";
import { DEFAULT_SLO_TARGET } from "../slo/slo-target.ts";
import type { Objective, ServiceConfig } from "./config.ts";
import type { ConfigFile, DemandsFile, ObjectiveFile, ServiceFile } from "./config-file.ts";
import type { ConfigPath } from "./config-problem.ts";
import { durationMs } from "./config-values.ts";

/** Without objectives: the tier's. */
type Demands = Omit<DemandsFile, "objectives"> & { readonly objectives?: DemandsFile["objectives"] | undefined };

/** Between a service's name and its namespace's; no name has it. */
const BETWEEN = "/";

/** The services of the file, each followed by its namespaces. `services` fit the schema. */
export function completeServices(services: ConfigFile["services"]): Record<string, ServiceConfig> {
  return Object.fromEntries(Object.entries(services).flatMap(([name, service]) => completeService(name, service)));
}

/** A service and its namespaces, by their names. */
export function completeService(name: string, service: ServiceFile): [string, ServiceConfig][] {
  const own = complete(service, service);
  return [
    [name, own],
    ...Object.entries(service.namespaces ?? {}).map(([namespace, demands]): [string, ServiceConfig] => [
      `${name}${BETWEEN}${namespace}`,
      complete(inherited(demands, service), service),
    ]),
  ];
}

/** Where a service, or a namespace of one, stands in the file. */
export function servicePath(name: string): ConfigPath {
  const [service = name, namespace] = name.split(BETWEEN);
  return namespace === undefined ? ["services", service] : ["services", service, "namespaces", namespace];
}

/**
 * What a namespace demands. Its objectives go before the service's, scenario by scenario; with a tier of its own it has nothing
 * of the service's: those were said for another tier.
 */
function inherited(demands: DemandsFile, service: ServiceFile): Demands {
  if (demands.tier !== undefined) return { ...service, ...demands, objectives: demands.objectives };
  const objectives = { ...service.objectives };
  for (const [scenario, objective] of Object.entries(demands.objectives ?? {}) as [Scenario, ObjectiveFile][])
    objectives[scenario] = { ...service.objectives?.[scenario], ...objective };
  // None of either: the tier's. A namespace that says one scenario of a service that says none has that one beside the tier's.
  if (service.objectives === undefined && demands.objectives !== undefined)
    for (const scenario of TIER_SCENARIOS) objectives[scenario] ??= {};
  return { ...service, ...demands, objectives: Object.keys(objectives).length === 0 ? undefined : objectives };
}

function complete(demands: Demands, service: ServiceFile): ServiceConfig {
  const { owner, why, business } = demands;
  return {
    ...(owner === undefined ? {} : { owner }),
    tier: demands.tier ?? service.tier,
    ...(why === undefined ? {} : { why }),
    stores: demands.stores ?? service.stores,
    objectives: completeObjectives(demands.objectives, demands.tier ?? service.tier),
    ...(business === undefined ? {} : { business }),
    target: demands.target ?? DEFAULT_SLO_TARGET,
    mostProofAgeMs: demands.mostProofAge === undefined ? DEFAULT_MOST_PROOF_AGE_MS : durationMs(demands.mostProofAge, "0"),
  };
}

/**
 * The scenarios that the file names are those that the service is judged against; what one leaves out is the tier's, and never
 * laxer than what is written for a larger accident that contains it. A scenario without a figure from either is left out here,
 * and refused by the rules.
 */
function completeObjectives(written: DemandsFile["objectives"], tier: ServiceConfig["tier"]): ServiceConfig["objectives"] {
  const objectives: Partial<Record<Scenario, Objective>> = {};
  const named = written === undefined ? TIER_SCENARIOS : SCENARIOS.filter((scenario) => written[scenario] !== undefined);
  for (const scenario of named) {
    const usual = tierObjective(tier, scenario);
    const figure = (key: "rpo" | "rto", usualMs: number | undefined): number | undefined => {
      const given = written?.[scenario]?.[key];
      if (given !== undefined) return durationMs(given, "0");
      return usualMs === undefined ? undefined : Math.min(usualMs, ...writtenForLarger(scenario, { written, key }));
    };
    const rpoMs = figure("rpo", usual?.rpoMs);
    const rtoMs = figure("rto", usual?.rtoMs);
    if (rpoMs !== undefined && rtoMs !== undefined) objectives[scenario] = { rpoMs, rtoMs };
  }
  return objectives;
}

function writtenForLarger(scenario: Scenario, of: { written: DemandsFile["objectives"]; key: "rpo" | "rto" }): number[] {
  const place = GROWING_SCENARIOS.indexOf(scenario);
  if (place < 0) return [];
  return GROWING_SCENARIOS.slice(place + 1).flatMap((larger) => {
    const figure = of.written?.[larger]?.[of.key];
    return figure === undefined ? [] : [durationMs(figure, "0")];
  });
}
