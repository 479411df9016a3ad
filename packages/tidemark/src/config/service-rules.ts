// What must hold of services beyond the form of the file: stores that are there, objectives that do not contradict each other or
// their stores, units in which a loss can be counted.
import { GROWING_SCENARIOS, type Scenario } from "../objectives/failure-domain.ts";
import { unknownStore } from "./command-rules.ts";
import type { ServiceConfig } from "./config.ts";
import type { DemandsFile, ServiceFile, StoreFile } from "./config-file.ts";
import type { ConfigPath, Finding } from "./config-problem.ts";
import { durationMs } from "./config-values.ts";
import { canBeCopied } from "./observed-rules.ts";
import type { ObservedStoreFile } from "./observed-file.ts";
import { completeService, servicePath } from "./service-defaults.ts";

/** What is wrong with a service and its namespaces. `stores` are all that the file has, those undefined of which the form is wrong. */
export function checkService(
  name: string,
  service: ServiceFile,
  stores: ReadonlyMap<string, StoreFile | ObservedStoreFile | undefined>,
): Finding[] {
  const written: readonly DemandsFile[] = [service, ...Object.values(service.namespaces ?? {})];
  return completeService(name, service).flatMap(([full, config], index) => {
    const path = servicePath(full);
    const demands = written[index] ?? {};
    return [
      ...checkStoresOf(demands, path, stores),
      ...checkDemands(demands, path),
      ...checkFigures(demands, config, path),
      ...checkContradictions(config, path),
      ...checkPolicies(full, config, stores),
    ];
  });
}

function checkStoresOf(
  demands: DemandsFile,
  path: ConfigPath,
  stores: ReadonlyMap<string, StoreFile | ObservedStoreFile | undefined>,
): Finding[] {
  return (demands.stores ?? []).flatMap((store, index): Finding[] => {
    const at = [...path, "stores", index];
    if (!stores.has(store)) return [unknownStore(at, store, [...stores.keys()])];
    const found = stores.get(store);
    if (found === undefined || canBeCopied(found)) return [];
    return [
      {
        path: at,
        code: "TM-CONFIG-NO-COPY",
        message: `nothing that is looked at of the store ${store} can be a copy: there are figures alone`,
        expected: "a store with at least one copy that it can be recovered from",
      },
    ];
  });
}

function checkDemands({ business, mostProofAge }: DemandsFile, path: ConfigPath): Finding[] {
  const findings: Finding[] = [];
  if (business !== undefined && business.perHour === undefined && business.perTransaction === undefined)
    findings.push({
      path: [...path, "business"],
      code: "TM-CONFIG-MISSING-KEY",
      message: `how many ${business.unit} there are is not said`,
      expected: "`perHour`, `perTransaction`, or both",
    });
  if (mostProofAge !== undefined && durationMs(mostProofAge, "0") < 60_000)
    findings.push({
      path: [...path, "mostProofAge"],
      code: "TM-CONFIG-DURATION",
      message: "every proof would be too old",
      expected: "at least 1min; days in practice",
    });
  return findings;
}

/** A scenario that neither the file nor the tier gives both figures for. */
function checkFigures(demands: DemandsFile, config: ServiceConfig, path: ConfigPath): Finding[] {
  return (Object.keys(demands.objectives ?? {}) as Scenario[])
    .filter((scenario) => config.objectives[scenario] === undefined)
    .map((scenario) => {
      const missing = (["rpo", "rto"] as const).filter((figure) => demands.objectives?.[scenario]?.[figure] === undefined);
      return {
        path: [...path, "objectives", scenario],
        at: "key",
        code: "TM-CONFIG-MISSING-KEY",
        message: `${missing.join(" and ")} of ${scenario} ${missing.length === 1 ? "is" : "are"} missing, and no tier has a usual one there`,
        expected: "`rpo` and `rto`",
      };
    });
}

function checkContradictions(config: ServiceConfig, path: ConfigPath): Finding[] {
  const findings: Finding[] = [];
  const given = GROWING_SCENARIOS.flatMap((scenario) => {
    const objective = config.objectives[scenario];
    return objective === undefined ? [] : [{ scenario, rpo: objective.rpoMs, rto: objective.rtoMs }];
  });
  for (const [index, large] of given.entries()) {
    for (const small of given.slice(0, index)) {
      for (const figure of ["rpo", "rto"] as const) {
        if (large[figure] < small[figure]) {
          findings.push({
            path: [...path, "objectives", large.scenario, figure],
            code: "TM-CONFIG-OBJECTIVE",
            message: `${large.scenario} allows an ${figure} of ${large[figure]} ms, and ${small.scenario}, which it contains, allows ${small[figure]} ms`,
            expected: `at least the ${figure} of ${small.scenario}, or a smaller one there`,
          });
        }
      }
    }
  }
  return findings;
}

/** A policy that bounds the loss must not allow more of it than the objectives that it serves. */
function checkPolicies(
  name: string,
  config: ServiceConfig,
  stores: ReadonlyMap<string, StoreFile | ObservedStoreFile | undefined>,
): Finding[] {
  const findings: Finding[] = [];
  for (const storeName of config.stores) {
    const store = stores.get(storeName);
    if (store === undefined || store.kind === "observed") continue;
    if (store.acknowledge !== "applied" || typeof store.policy !== "object") continue;
    const boundMs = durationMs(store.policy.bounded, "0");
    for (const scenario of GROWING_SCENARIOS) {
      const objective = config.objectives[scenario];
      if (objective === undefined || objective.rpoMs >= boundMs) continue;
      findings.push({
        path: ["stores", storeName, "policy", "bounded"],
        code: "TM-CONFIG-OBJECTIVE",
        message: `the policy allows to lose ${boundMs} ms, service ${name} allows ${objective.rpoMs} ms at ${scenario}`,
        expected: "a bound within the objective, `never-lose`, or `acknowledge: journal`",
      });
    }
  }
  return findings;
}
