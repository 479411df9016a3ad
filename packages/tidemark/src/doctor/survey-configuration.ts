// Looks at everything that a configuration names, for some seconds: each server as `tidemark check` does, each target by its probe, each
// folder of this machine. Writes nothing. What does not answer costs its own part only, and never more than the survey's time.
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Seen, ServerSurvey } from "../check/server-survey.ts";
import { surveyServer } from "../check/survey.ts";
import { Observer } from "../observer/observer.ts";
import type { StoreWatch } from "../observer/watched-store.ts";
import type {
  ConfigurationSurvey,
  FolderSpace,
  JudgedConfig,
  SurveyedExposure,
  SurveyedFolder,
  SurveyedServer,
} from "./configuration-survey.ts";
import type { ServerPlace } from "./server-places.ts";
import type { WatchedFolder } from "./watched-folders.ts";

/** Between two looks at a target, milliseconds; what is looked at once a minute otherwise is looked at as often: the survey is short. */
const PERIOD_MS = 1_000;
/** Servers that are checked at once, at most. */
const MOST_AT_ONCE = 16;
/** Until control has answered, milliseconds. */
const CONTROL_MS = 2_000;

export interface SurveyPlan {
  readonly config: JudgedConfig;
  readonly servers: readonly ServerPlace[];
  /** New probes of everything that is looked at; none of them may write. */
  readonly watch: () => readonly StoreWatch[];
  readonly folders: readonly WatchedFolder[];
  /** What the running control says; undefined when it says nothing that can be used. */
  readonly askControl: (signal: AbortSignal) => Promise<SurveyedExposure | undefined>;
}

export interface SurveyWorld {
  readonly folderSpace: (path: string) => Promise<FolderSpace>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface SurveyLimits {
  /** For how long positions are watched, milliseconds. */
  readonly watchMs: number;
  /** Probes that have not looked once by then are given up, milliseconds. */
  readonly mostMs: number;
}

export async function surveyConfiguration(plan: SurveyPlan, world: SurveyWorld, limits: SurveyLimits): Promise<ConfigurationSurvey> {
  const { config, servers, folders, askControl } = plan;
  const { clock } = world;
  const atMs = clock.wallMs();
  const startMs = clock.monotonicMs();
  const [surveyed, seen, spaces, ofControl] = await Promise.all([
    surveyServers(servers, world, limits.watchMs),
    observe(plan, world, limits),
    Promise.all(folders.map((folder) => surveyFolder(folder, world))),
    askControl(AbortSignal.timeout(CONTROL_MS)),
  ]);
  return {
    config,
    atMs,
    tookMs: clock.monotonicMs() - startMs,
    servers: surveyed,
    stores: seen.stores,
    looks: seen.looks,
    folders: spaces,
    exposure: ofControl ?? { source: "own", atMs: seen.atMs, exposures: seen.exposures },
  };
}

async function surveyServers(places: readonly ServerPlace[], { clock }: SurveyWorld, watchMs: number): Promise<SurveyedServer[]> {
  const surveyed: SurveyedServer[] = [];
  const waiting = places.map((place, index) => ({ place, index }));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { store, name, domain } = next.place;
      surveyed[next.index] = { store, name, domain, survey: await look(next.place, clock, watchMs) };
    }
  };
  await Promise.all(Array.from({ length: Math.min(MOST_AT_ONCE, places.length) }, work));
  return surveyed;
}

async function look(place: ServerPlace, clock: Clock, watchMs: number): Promise<Seen<ServerSurvey>> {
  try {
    return { known: true, value: await surveyServer(await place.target(), clock, watchMs) };
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    return { known: false, why: `${error.message} (${error.code})` };
  }
}

type Observed = Pick<ConfigurationSurvey, "stores" | "looks"> & Omit<SurveyedExposure, "source">;

/** Until each probe has looked once, and positions were watched for long enough to be compared. */
async function observe({ config, watch }: SurveyPlan, world: SurveyWorld, { watchMs, mostMs }: SurveyLimits): Promise<Observed> {
  const { clock, random, logger } = world;
  const watches = watch().map((one) => ({
    ...one,
    probes: one.probes.map(({ probe, pace }) => ({ probe, pace: { ...pace, periodMs: PERIOD_MS } })),
  }));
  const targets = watches.reduce((sum, { probes }) => sum + probes.length, 0);
  const beganMs = clock.monotonicMs();
  const done = new AbortController();
  const observer: Observer = new Observer({
    services: config.services,
    watch: () => watches,
    onSecond: () => {
      const lookedMs = clock.monotonicMs() - beganMs;
      if (lookedMs >= mostMs || (lookedMs >= watchMs && [...observer.looks()].length === targets)) done.abort();
    },
    clock,
    random,
    logger,
  });
  if (targets > 0) await observer.run(done.signal);
  const { atMs, exposures, stores } = observer.known();
  return {
    atMs,
    exposures,
    stores,
    looks: [...observer.looks()].map(({ store, target, turn }) => ({ store, target, reading: turn.reading })),
  };
}

async function surveyFolder({ what, path, neededBytes }: WatchedFolder, { folderSpace }: SurveyWorld): Promise<SurveyedFolder> {
  const folder = { what, path, ...(neededBytes === undefined ? {} : { neededBytes }) };
  try {
    return { ...folder, space: { known: true, value: await folderSpace(path) } };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "it is not on this machine, or not made yet" : `it cannot be looked at (${code ?? "no code"})`;
    return { ...folder, space: { known: false, why } };
  }
}
