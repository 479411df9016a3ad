// From the configuration to what is looked at: everything that control would look at, and never the canary's writer.
import type { Redacted } from "@tidemark/kernel/redacted";
import type { Config } from "../config/config.ts";
import type { ProbeWorld } from "../observer/probe-world.ts";
import { watchesOf } from "../observer/watch-plan.ts";
import { exposureOfControl } from "./control-exposure.ts";
import { serverPlaces } from "./server-places.ts";
import type { SurveyPlan } from "./survey-configuration.ts";
import { watchedFolders } from "./watched-folders.ts";

/** @param of `token`: the internal token. */
export function surveyPlan(config: Config, of: { readonly token: Redacted<string>; readonly world: ProbeWorld }): SurveyPlan {
  const { token, world } = of;
  return {
    config,
    servers: serverPlaces(config, { token, readSecret: world.readSecret }),
    watch: () => watchesOf({ config: { ...config, observed: withoutCanary(config.observed) }, token, world }),
    folders: watchedFolders(config),
    askControl: (signal) => exposureOfControl(config, { token, nowMs: () => world.clock.wallMs(), signal }),
  };
}

/** A canary that somebody else writes is read all the same. */
function withoutCanary(observed: Config["observed"]): Config["observed"] {
  return Object.fromEntries(Object.entries(observed).map(([store, one]) => [store, { ...one, canary: "positions" as const }]));
}
