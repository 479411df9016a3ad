import { describe, expect, it } from "vitest";
import { HEALTHY, HEALTHY_STANDBY, known as seen } from "../check/testing/sample-survey.ts";
import type { ServerSurvey } from "../check/server-survey.ts";
import { known, unknown } from "../probes/probe-result.ts";
import type { ConfigurationSurvey, JudgedConfig } from "./configuration-survey.ts";
import { doctorReportOf } from "./doctor-report.ts";
import { DOCTOR_THRESHOLDS } from "./doctor-rule.ts";
import { DOCTOR_RULES } from "./doctor-rules.ts";
import {
  BACKUP,
  CONFIG,
  copy,
  exposure,
  facts,
  HEALTHY_CONFIGURATION,
  NOW_MS,
  PRIMARY,
  REPLICA,
  server,
  SERVICE,
} from "./testing/sample-configuration.ts";

const HOUR_MS = 3_600_000;
const unlike = (change: Partial<ConfigurationSurvey>): ConfigurationSurvey => ({ ...HEALTHY_CONFIGURATION, ...change });
const services = (change: Partial<typeof SERVICE>): { config: JudgedConfig } => ({
  config: { ...CONFIG, services: { shop: { ...SERVICE, ...change } } },
});
const cluster = HEALTHY.cluster.known ? HEALTHY.cluster.value : expect.unreachable();
const lone = (name: string, change: Partial<typeof cluster>): ServerSurvey => ({
  ...HEALTHY,
  target: name,
  cluster: seen({ ...cluster, ...change }),
});
const measured = { atMs: NOW_MS, method: "reported", errorMs: 0 } as const;
const disk = (freeBytes: number, neededBytes: number): Partial<ConfigurationSurvey> => ({
  folders: [{ what: "journal", path: "/j", space: seen({ fileSystem: "1", freeBytes, totalBytes: 1e10 }), neededBytes }],
});
const at = (survey: ServerSurvey, roundTripMs: number): ServerSurvey => ({
  ...survey,
  clock: seen({ offsetMs: 0, errorMs: roundTripMs / 2 + 0.5 }),
});

/** For each rule what makes it speak: the subject, and the severity where it is not the usual one. */
const BAD: Readonly<Record<string, readonly (readonly [string, ConfigurationSurvey, string?])[]>> = {
  "backup-unusable": [
    [
      "shop/backups/repo1",
      unlike({
        stores: [facts([PRIMARY, REPLICA, { ...BACKUP, recoveryPoint: unknown("there is no whole backup", NOW_MS) }])],
      }),
    ],
    [
      "shop/barman barman",
      unlike({
        looks: [
          {
            store: "shop",
            target: "barman barman",
            reading: { ok: true, atMs: NOW_MS, roundTripMs: 1, copies: [], figures: { barman_failed_checks: known(2, measured) } },
          },
        ],
      }),
      "warning",
    ],
  ],
  "backup-unverified": [
    ["shop/backups/repo1", unlike({ stores: [facts([PRIMARY, REPLICA, without(BACKUP)])] })],
    [
      "shop/backups/repo1",
      unlike({ stores: [facts([PRIMARY, REPLICA, { ...BACKUP, proof: { atMs: NOW_MS - 8 * 24 * HOUR_MS, tookMs: 1 } }])] }),
    ],
  ],
  "backups-same-account": [
    ["shop", unlike({ stores: [facts([PRIMARY, REPLICA, { ...BACKUP, domain: { region: "south", account: "shop" } }])] })],
    [
      "shop",
      unlike({
        stores: [facts([PRIMARY, REPLICA, { ...BACKUP, domain: { region: "south", account: "shop" } }])],
        ...services({ objectives: { "account-loss": { rpoMs: HOUR_MS, rtoMs: HOUR_MS } } }),
      }),
      "critical",
    ],
  ],
  "copies-one-domain": [
    [
      "shop",
      unlike({
        stores: [facts([PRIMARY, { ...REPLICA, domain: PRIMARY.domain }])],
      }),
    ],
    ["shop", unlike({ stores: [facts([PRIMARY, { ...REPLICA, domain: { machine: "a2", zone: "a" } }])] }), "notice"],
    [
      "shop",
      unlike({
        stores: [facts([PRIMARY, { ...REPLICA, domain: PRIMARY.domain }])],
        ...services({ objectives: { "process-loss": { rpoMs: 0, rtoMs: HOUR_MS } } }),
      }),
      "warning",
    ],
    [
      "shop",
      unlike({
        stores: [facts([PRIMARY, REPLICA])],
        ...services({ objectives: { "region-loss": { rpoMs: HOUR_MS, rtoMs: HOUR_MS } } }),
      }),
    ],
  ],
  "copy-unnamed": [["shop", unlike({ stores: [facts([PRIMARY, REPLICA, BACKUP, copy("walreceiver")])] })]],
  "disk-low": [
    ["journal", unlike(disk(9e8, 1e6))],
    ["journal", unlike(disk(2e8, 1e6)), "critical"],
    ["journal", unlike(disk(5e9, 6e9)), "critical"],
  ],
  "exposure-above-objective": [
    [
      "shop node-loss",
      unlike({
        exposure: { ...HEALTHY_CONFIGURATION.exposure, exposures: [exposure({ judgement: "above", exposureMs: known(90_000, measured) })] },
      }),
    ],
  ],
  "exposure-unknown": [
    [
      "shop node-loss",
      unlike({
        exposure: {
          ...HEALTHY_CONFIGURATION.exposure,
          exposures: [exposure({ judgement: "unknown", exposureMs: unknown("nobody said", NOW_MS) })],
        },
      }),
    ],
  ],
  "objective-below-round-trip": [
    [
      "shop node-loss",
      unlike({
        servers: [server("db1", at(HEALTHY, 1)), server("db2", at(HEALTHY_STANDBY, 81))],
        stores: [facts([PRIMARY, REPLICA])],
        ...services({ objectives: { "node-loss": { rpoMs: 20, rtoMs: HOUR_MS } } }),
      }),
    ],
    [
      "shop node-loss",
      unlike({
        servers: [server("db1", at(HEALTHY, 1)), server("db2", at(HEALTHY_STANDBY, 81))],
        stores: [facts([PRIMARY, REPLICA])],
        ...services({ objectives: { "node-loss": { rpoMs: 0, rtoMs: HOUR_MS } } }),
      }),
      "notice",
    ],
  ],
  "objective-beyond-need": [["shop node-loss", unlike(services({ business: { unit: "contracts", perHour: 0.2 } }))]],
  "other-cluster": [
    [
      "shop",
      unlike({
        servers: [server("db1", HEALTHY), server("db2", { ...HEALTHY_STANDBY, cluster: seen({ ...cluster, systemIdentifier: "9" }) })],
      }),
    ],
  ],
  "retention-short": [
    ["shop", unlike({ stores: [facts([PRIMARY, REPLICA, { ...BACKUP, pointInTime: { fromMs: NOW_MS - 2 * HOUR_MS, toMs: NOW_MS } }])] })],
  ],
  "store-without-copy": [
    ["shop", unlike({ stores: [facts([PRIMARY])] })],
    [
      "shop",
      unlike({
        stores: [facts([PRIMARY, copy("archive", { kind: "archive", holds: "wal", domain: { account: "safe", region: "south" } })])],
      }),
    ],
  ],
  "target-away": [
    [
      "shop/patroni p",
      unlike({
        looks: [{ store: "shop", target: "patroni p", reading: { ok: false, atMs: NOW_MS, code: "TM-PROBE-AWAY", why: "no connection" } }],
      }),
    ],
    [
      "shop/postgresql db2",
      unlike({ servers: [server("db1", HEALTHY), { ...server("db2", HEALTHY), survey: { known: false, why: "refused" } }] }),
    ],
  ],
  "two-primaries": [["shop", unlike({ servers: [server("db1", HEALTHY), server("db2", lone("db2", { timeline: 2, started: "later" }))] })]],
};

function without({ proof: _proof, ...rest }: typeof BACKUP): typeof BACKUP {
  return rest;
}

const found = (survey: ConfigurationSurvey): { name: string; subject: string; severity: string; evidence: readonly string[] }[] =>
  DOCTOR_RULES.flatMap((rule) =>
    rule.judge(survey, DOCTOR_THRESHOLDS).map((one) => ({ name: rule.name, severity: rule.severity, ...one })),
  );

describe("the rules of a whole configuration", () => {
  it("are silent about a healthy one", () => {
    expect(found(HEALTHY_CONFIGURATION)).toEqual([]);
  });

  it.each(
    DOCTOR_RULES.flatMap(({ name, severity }) =>
      (BAD[name] ?? [["", HEALTHY_CONFIGURATION] as const]).map(([subject, survey, other]) => ({
        name,
        subject,
        survey,
        severity: other ?? severity,
      })),
    ),
  )("$name speaks, alone, about what is wrong ($severity)", ({ name, subject, survey, severity }) => {
    const all = found(survey);
    expect(all).toMatchObject([{ name, subject, severity }]);
    expect(all[0]?.evidence.join()).not.toMatch(/undefined|NaN|null|Infinity/);
  });

  it.each<[string, Partial<ConfigurationSurvey>]>([
    ["one server under two names", { servers: [server("db1", HEALTHY), server("vip", HEALTHY)] }],
    [
      "a copy in a zone that nobody named",
      { stores: [facts([PRIMARY, { ...REPLICA, domain: { machine: "b1" } }, { ...BACKUP, domain: {} }])] },
    ],
    [
      "a bucket that is a store itself, with a copy",
      {
        stores: [
          facts([
            copy("bucket", { kind: "inventory", domain: { region: "north" }, proof: BACKUP.proof as NonNullable<typeof BACKUP.proof> }),
            BACKUP,
          ]),
        ],
      },
    ],
    ["a disk that nobody could look at", { folders: [{ what: "journal", path: "/j", space: { known: false, why: "not here" } }] }],
    ["a far copy whose objective leaves it the time", { servers: [server("db1", at(HEALTHY, 1)), server("db2", at(HEALTHY_STANDBY, 81))] }],
    ["strictness that nobody has counted", services({ business: { unit: "orders", revenue: { currency: "EUR", perHour: 5 } } })],
  ])("are silent about %s", (_, change) => {
    expect(found(unlike(change))).toEqual([]);
  });

  it("say nothing of what was not seen", () => {
    const blind = { known: false, why: "hidden" } as const;
    const survey = unlike({
      servers: HEALTHY_CONFIGURATION.servers.map((one) => ({ ...one, survey: seen({ ...HEALTHY, cluster: blind, clock: blind }) })),
    });
    expect(found(survey)).toEqual([]);
  });
});

describe("a doctor's report", () => {
  it("names servers' findings by their server, and leaves out what the configuration knows better", () => {
    const archiveless = { ...HEALTHY, replicas: seen([]), settings: HEALTHY.settings };
    const report = doctorReportOf(
      unlike({
        servers: [server("db1", archiveless), server("db2", { ...HEALTHY_STANDBY, clock: seen({ offsetMs: 60_000, errorMs: 5 }) })],
      }),
    );
    expect(report.findings.find(({ name }) => name === "clock-skew")?.subject).toBe("shop/db2");
    expect(report.findings.map(({ name }) => name)).not.toContain("no-copy");
    expect(report.findings.map(({ name }) => name)).not.toContain("one-failure-domain");
  });

  it("has critical findings first, and no number for what is not known", () => {
    const report = doctorReportOf(
      unlike({
        ...disk(2e8, 1e6),
        servers: [server("db1", { ...HEALTHY, self: { user: "x", superuser: true, monitor: true } })],
        stores: [facts([PRIMARY, REPLICA, { ...BACKUP, missingBytes: unknown("a catalogue does not say", NOW_MS) }])],
        exposure: {
          source: "own",
          atMs: NOW_MS,
          exposures: [exposure({ judgement: "unknown", exposureMs: unknown("blind", NOW_MS), bytes: unknown("blind", NOW_MS) })],
        },
      }),
    );
    expect(report.findings.map(({ severity }) => severity)).toEqual(["critical", "warning", "notice"]);
    expect(report.exposure[0]).toMatchObject({ exposure: { kind: "unknown", why: "blind" } });
    expect(report.exposure[0]).not.toHaveProperty("bytes");
    expect(report.copies.find(({ name }) => name === "backups/repo1")).toMatchObject({ missingBytes: null });
  });
});
