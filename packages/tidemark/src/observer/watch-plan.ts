// From the configuration to what is looked at: every store that Tidemark runs, and every one that it is told of.
import type { Redacted } from "@tidemark/kernel/redacted";
import type { Config } from "../config/config.ts";
import type { ObservedConfig } from "../config/observed-config.ts";
import type { KnownCopy } from "../probes/postgresql/node-looks.ts";
import type { CopyFacts } from "../probes/probe-result.ts";
import { StoreObservation } from "../probes/store-observation.ts";
import { FollowingCanary } from "./following-canary.ts";
import { ServerPhases } from "./server-phases.ts";
import { copyCalled, serversFreshForMs, watchObservedCopy } from "./observed-copy-watch.ts";
import { watchOwnStore } from "./own-store-watch.ts";
import type { ProbeWorld } from "./probe-world.ts";
import type { StoreWatch } from "./watched-store.ts";

/** What Tidemark runs itself is on its way back when it is away, as at the start: it is asked again soon. */
const OWN_PACE = { mostBackoffMs: 2_000 };

export interface WatchPlanOptions {
  readonly config: Pick<Config, "stores" | "observed" | "gateway" | "journal">;
  /** The internal token. */
  readonly token: Redacted<string>;
  readonly world: ProbeWorld;
  /** The last proofs of recoveries from a store's copies, by the copy's name. */
  readonly proofs?: (store: string) => ReadonlyMap<string, NonNullable<CopyFacts["proof"]>>;
}

/** New probes for everything that the configuration names, for one run of an observer. */
export function watchesOf(options: WatchPlanOptions): StoreWatch[] {
  return Object.entries(options.config.observed).map(([store, observed]) => watchOf(store, observed, options));
}

function watchOf(store: string, observed: ObservedConfig, { config, token, world, proofs }: WatchPlanOptions): StoreWatch {
  const observation = new StoreObservation(store, { freshForMs: serversFreshForMs(observed) });
  const run = config.stores[store];
  const own = run === undefined ? undefined : watchOwnStore({ config, store: run, observation, token, world });
  const copyKnownAs = (applicationName: string): KnownCopy | undefined => copyCalled(observed.copies, applicationName);
  const others = observed.copies.map((copy) => watchObservedCopy(copy, { store, observation, copyKnownAs, world }));
  const servers = new Map(own?.servers);
  for (const [index, { server }] of others.entries()) {
    const name = observed.copies[index]?.name;
    if (server !== undefined && name !== undefined) servers.set(name, server);
  }
  const { positions } = observation;
  const canary = observed.canary === "write" ? new FollowingCanary({ store, servers, positions, clock: world.clock }) : undefined;
  const phases = new ServerPhases([...servers.keys()]);
  return {
    store,
    probes: [
      ...(own?.probes ?? []).map((probe) => ({ probe, pace: OWN_PACE, ...phases.of(probe) })),
      ...others.map(({ probe, pace }) => ({ probe, pace, ...phases.of(probe) })),
      ...(canary === undefined ? [] : [{ probe: canary, phase: () => phases.opposite(canary.server) }]),
    ],
    expected: [...(own?.expected ?? []), ...others.flatMap(({ expected }) => expected)],
    ...(own?.acknowledgedBy === undefined ? {} : { acknowledgedBy: own.acknowledgedBy }),
    ...(proofs === undefined ? {} : { proofs: () => proofs(store) }),
    ...(canary === undefined ? {} : { onFacts: (facts) => canary.follow(facts) }),
  };
}
