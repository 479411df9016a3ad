// A survey of a healthy configuration: a shop on two servers in two zones, with proven backups in another account. Tests change one thing in it.
import { HEALTHY, HEALTHY_STANDBY, known as seen } from "../../check/testing/sample-survey.ts";
import type { ServerSurvey } from "../../check/server-survey.ts";
import type { ServiceConfig } from "../../config/config.ts";
import type { ScenarioExposure } from "../../exposure/exposure.ts";
import type { CopyFacts, StoreFacts } from "../../probes/probe-result.ts";
import { known } from "../../probes/probe-result.ts";
import type { ConfigurationSurvey, JudgedConfig, SurveyedServer } from "../configuration-survey.ts";

export const NOW_MS = Date.parse("2026-11-20T12:00:00Z");
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const measured = { atMs: NOW_MS, method: "observed", errorMs: 10 } as const;
const none = known(0, measured);

export function copy(name: string, change: Partial<CopyFacts> = {}): CopyFacts {
  return {
    name,
    kind: "standby",
    domain: {},
    recoveryPoint: known({ commitMs: NOW_MS, complete: true }, measured),
    missingBytes: none,
    missingTransactions: none,
    synchronous: known(true, measured),
    remarks: [],
    ...change,
  };
}

export const PRIMARY = copy("db1", { kind: "primary", domain: { machine: "a1", zone: "a", region: "north", account: "shop" } });
export const REPLICA = copy("db2", { domain: { machine: "b1", zone: "b", region: "north", account: "shop" } });
export const BACKUP = copy("backups/repo1", {
  kind: "backup",
  domain: { region: "south", account: "safe" },
  recoveryPoint: known({ commitMs: NOW_MS - HOUR_MS, complete: false }, measured),
  pointInTime: { fromMs: NOW_MS - 30 * DAY_MS, toMs: NOW_MS - HOUR_MS },
  proof: { atMs: NOW_MS - DAY_MS, tookMs: 60_000 },
});

export function facts(copies: readonly CopyFacts[]): StoreFacts {
  return { store: "shop", atMs: NOW_MS, newestCommit: known({ commitMs: NOW_MS }, measured), commitRate: none, copies };
}

export const SERVICE: ServiceConfig = {
  tier: "high",
  stores: ["shop"],
  objectives: { "node-loss": { rpoMs: 60_000, rtoMs: HOUR_MS }, "bad-write": { rpoMs: 4 * HOUR_MS, rtoMs: 4 * HOUR_MS } },
  business: { unit: "orders", perHour: 1_200 },
  target: 0.999,
  mostProofAgeMs: 7 * DAY_MS,
};

export const CONFIG: JudgedConfig = {
  name: "shop",
  file: "/etc/tidemark/tidemark.yaml",
  services: { shop: SERVICE },
  stores: {},
  observed: {
    shop: {
      canary: "positions",
      copies: [PRIMARY, REPLICA].map(({ name, domain }) => ({
        name,
        domain,
        periodMs: 1_000,
        source: { kind: "postgresql", host: name, port: 5432, user: "monitor", database: "shop", tls: "prefer" },
      })),
    },
  },
  journal: {
    kind: "embedded",
    directory: "/var/lib/tidemark/journal",
    domain: {},
    partitions: 8,
    segmentBytes: 1,
    quotaBytes: 1,
    minimumFreeBytes: 1_000_000,
    healing: { windowMs: DAY_MS, atQuota: "shorten" },
  },
};

export function server(name: string, survey: ServerSurvey): SurveyedServer {
  return { store: "shop", name, domain: name === "db1" ? PRIMARY.domain : REPLICA.domain, survey: seen(survey) };
}

export function exposure(change: Partial<ScenarioExposure> = {}): ScenarioExposure {
  return {
    service: "shop",
    scenario: "node-loss",
    objective: { rpoMs: 60_000, rtoMs: HOUR_MS },
    recoveryPoint: known({ commitMs: NOW_MS, complete: true }, measured),
    exposureMs: none,
    bytes: none,
    transactions: none,
    uses: [{ store: "shop", copy: "db2", proven: true }],
    recoveryTimeMs: known(1_000, measured),
    judgement: "within",
    notCovered: [],
    ...change,
  };
}

export const HEALTHY_CONFIGURATION: ConfigurationSurvey = {
  config: CONFIG,
  atMs: NOW_MS,
  tookMs: 4_000,
  servers: [server("db1", HEALTHY), server("db2", HEALTHY_STANDBY)],
  stores: [facts([PRIMARY, REPLICA, BACKUP])],
  looks: [
    {
      store: "shop",
      target: "pgbackrest backups",
      reading: {
        ok: true,
        atMs: NOW_MS,
        roundTripMs: 1,
        copies: [BACKUP],
        figures: { pgbackrest_repo1_backups: known(3, measured), pgbackrest_repo1_backups_spoiled: none },
      },
    },
  ],
  folders: [
    {
      what: "journal",
      path: "/var/lib/tidemark/journal",
      space: seen({ fileSystem: "1", freeBytes: 5e9, totalBytes: 1e10 }),
      neededBytes: 1e6,
    },
  ],
  exposure: { source: "own", atMs: NOW_MS, exposures: [exposure()] },
};
