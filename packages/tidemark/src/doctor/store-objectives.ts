import type { ServiceConfig } from "../config/config.ts";
import type { Scenario } from "../objectives/failure-domain.ts";
import type { JudgedConfig } from "./configuration-survey.ts";

/** One objective of one service, as it bears on a store. */
export interface StoreObjective {
  readonly service: string;
  readonly config: ServiceConfig;
  readonly scenario: Scenario;
  readonly rpoMs: number;
  readonly rtoMs: number;
}

/** All objectives of all services that need the store. */
export function objectivesOf({ services }: Pick<JudgedConfig, "services">, store: string): StoreObjective[] {
  return Object.entries(services).flatMap(([service, config]) =>
    config.stores.includes(store)
      ? Object.entries(config.objectives).map(([scenario, objective]) => ({
          service,
          config,
          scenario: scenario as Scenario,
          ...objective,
        }))
      : [],
  );
}
