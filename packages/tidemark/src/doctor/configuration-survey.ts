// What one look at everything that a configuration names found, as plain data. What could not be seen has no value in it, so that it
// cannot pass for none or for 0 (HONEST-NUMBER).
import type { Seen, ServerSurvey } from "../check/server-survey.ts";
import type { Config } from "../config/config.ts";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type { ProbeReading } from "../probes/probe.ts";
import type { StoreFacts } from "../probes/probe-result.ts";

/** The part of the configuration that is judged. */
export type JudgedConfig = Pick<Config, "name" | "file" | "services" | "stores" | "observed" | "journal">;

export interface ConfigurationSurvey {
  readonly config: JudgedConfig;
  /** When it began, wall time of this machine, milliseconds. */
  readonly atMs: number;
  readonly tookMs: number;
  /** Every PostgreSQL server that the configuration names, each looked at as `tidemark check` looks. */
  readonly servers: readonly SurveyedServer[];
  /** One per store. */
  readonly stores: readonly StoreFacts[];
  /** The newest look at each target that was looked at. */
  readonly looks: readonly TargetSight[];
  readonly folders: readonly SurveyedFolder[];
  readonly exposure: SurveyedExposure;
}

export interface SurveyedServer {
  readonly store: string;
  /** As in the configuration. */
  readonly name: string;
  readonly domain: FailureDomain;
  readonly survey: Seen<ServerSurvey>;
}

export interface TargetSight {
  readonly store: string;
  /** The probe's name, such as `pgbackrest backups`. */
  readonly target: string;
  readonly reading: ProbeReading;
}

/** A folder in which this machine keeps something that must not run full. */
export interface SurveyedFolder {
  /** `data folder of pg1`. */
  readonly what: string;
  readonly path: string;
  readonly space: Seen<FolderSpace>;
  /** Below so much free space something stops, bytes; absent: nothing says so. */
  readonly neededBytes?: number;
}

export interface FolderSpace {
  /** Which file system it is: folders with the same answer share their space. */
  readonly fileSystem: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface SurveyedExposure {
  /** `control`: what the running control says. `own`: reckoned from this survey's own looks, which lasted seconds only. */
  readonly source: "control" | "own";
  readonly atMs: number;
  readonly exposures: readonly ScenarioExposure[];
}

/** Facts of a store; undefined when nothing looked at it. */
export function factsOf(survey: ConfigurationSurvey, store: string): StoreFacts | undefined {
  return survey.stores.find((facts) => facts.store === store);
}
