import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { failsAt, findingsOf, reportOf } from "./check-report.ts";
import type { Severity } from "./finding.ts";
import { FINDING_RULES } from "./finding-rules.ts";
import type { ServerSurvey } from "./server-survey.ts";
import { HEALTHY, HEALTHY_STANDBY, known, settings, SLOT, STANDBY } from "./testing/sample-survey.ts";

const unlike = (change: Partial<ServerSurvey>): ServerSurvey => ({ ...HEALTHY, ...change });
const standby = (change: Partial<ServerSurvey>): ServerSurvey => ({ ...HEALTHY_STANDBY, ...change });
const archiver = HEALTHY.archiver.known ? HEALTHY.archiver.value : expect.unreachable();
const database = HEALTHY.database.known ? HEALTHY.database.value : expect.unreachable();
const MIB = 1024 * 1024;

/** For each rule what makes it speak, and what else it may then find. */
const BAD: Readonly<Record<string, { survey: ServerSurvey; also?: readonly string[] }>> = {
  "archive-command-hollow": { survey: unlike(settings({ archive_command: "true" })) },
  "archive-off": { survey: unlike({ ...settings({ archive_mode: "off" }), replicas: known([{ ...STANDBY, syncState: "async" }]) }) },
  "archive-timeout-off": {
    survey: unlike({ ...settings({ archive_timeout: "0", synchronous_standby_names: "" }), replicas: known([]) }),
  },
  "archiver-failing": {
    survey: unlike({ archiver: known({ ...archiver, failed: 3, lastFailedWal: "00000001000000000000000A", lastFailedAgoMs: 5_000 }) }),
  },
  "checked-as-superuser": { survey: unlike({ self: { user: "postgres", superuser: true, monitor: true } }) },
  "checksums-off": { survey: unlike(settings({ data_checksums: "off" })) },
  "clock-skew": { survey: unlike({ clock: known({ offsetMs: -3_600_000, errorMs: 20 }) }) },
  "commit-timestamps-off": { survey: unlike(settings({ track_commit_timestamp: "off" })) },
  "data-sync-retry-on": { survey: unlike(settings({ data_sync_retry: "on" })) },
  "fsync-off": { survey: unlike(settings({ fsync: "off" })) },
  "full-page-writes-off": { survey: unlike(settings({ full_page_writes: "off" })) },
  "logical-sequences": {
    survey: unlike({
      slots: known([{ ...SLOT, name: "sub", type: "logical", plugin: "pgoutput", database: "shop", failover: true }]),
      database: known({ ...database, publications: 1 }),
    }),
  },
  "logical-slot-no-failover": {
    survey: unlike({ slots: known([{ ...SLOT, name: "sub", type: "logical", plugin: "pgoutput", database: "shop", failover: false }]) }),
  },
  "long-transaction": {
    survey: unlike({
      transactions: known([{ pid: 7, user: "app", database: "shop", application: "", state: "idle in transaction", ageMs: 301_000 }]),
    }),
  },
  "no-copy": {
    survey: unlike({ ...settings({ archive_mode: "off", synchronous_standby_names: "" }), replicas: known([]) }),
    also: ["archive-off"],
  },
  "one-failure-domain": { survey: unlike({ replicas: known([{ ...STANDBY, address: "10.0.0.1" }]) }) },
  "pooler-between": { survey: unlike({ server: { ...HEALTHY.server, pooled: true } }) },
  "prepared-transaction-old": { survey: unlike({ prepared: known([{ gid: "x", owner: "app", database: "shop", ageMs: 301_000 }]) }) },
  "remote-apply-receiver": {
    survey: unlike({ ...settings({ synchronous_commit: "remote_apply" }), replicas: known([{ ...STANDBY, receiverOnly: true }]) }),
  },
  "replay-delayed": {
    survey: standby(settings({ recovery_min_apply_delay: "3600000", synchronous_standby_names: "", archive_mode: "off" })),
  },
  "replay-paused": { survey: standby({ recovery: known({ replayPaused: true, receiver: "streaming", unreplayedBytes: 5 }) }) },
  "replica-behind": {
    survey: unlike({
      watch: known({
        forMs: 3_000,
        walBytesPerSecond: 1,
        commitsPerSecond: 1,
        replicas: [{ pid: 100, lag: { kind: "at-least", ms: 3_000 } }],
      }),
      replicas: known([{ ...STANDBY, missingBytes: 33 * MIB }]),
    }),
  },
  "rights-missing": { survey: unlike({ self: { user: "bare", superuser: false, monitor: false } }) },
  "slot-idle-timeout": { survey: unlike(settings({ idle_replication_slot_timeout: "86400" })) },
  "slot-inactive": { survey: unlike({ slots: known([{ ...SLOT, active: false }]) }) },
  "slot-losing-wal": {
    survey: unlike({ slots: known([{ ...SLOT, walStatus: "extended", retainedBytes: 100 * MIB, safeBytes: 20 * MIB }]) }),
  },
  "slot-lost": { survey: unlike({ slots: known([{ ...SLOT, active: false, walStatus: "lost", invalidationReason: "wal_removed" }]) }) },
  "slot-sync-incomplete": {
    survey: standby(
      settings({ sync_replication_slots: "on", hot_standby_feedback: "off", synchronous_standby_names: "", archive_mode: "off" }),
    ),
  },
  "slots-unbounded": { survey: unlike(settings({ max_slot_wal_keep_size: "-1" })) },
  "standby-names-ambiguous": {
    survey: unlike({ replicas: known([STANDBY, { ...STANDBY, pid: 101, name: "Standby1", address: "10.0.0.3" }]) }),
  },
  "standby-names-any": { survey: unlike(settings({ synchronous_standby_names: "*" })) },
  "standby-names-unmatched": { survey: unlike(settings({ synchronous_standby_names: "ANY 1 (standby1, ghost)" })) },
  "standby-not-receiving": { survey: standby({ recovery: known({ replayPaused: false, receiver: null, unreplayedBytes: null }) }) },
  "standby-quorum-short": { survey: unlike(settings({ synchronous_standby_names: "FIRST 2 (standby1)" })) },
  "synchronous-commit-off": {
    survey: unlike({ overrides: known([{ database: null, role: "app", name: "synchronous_commit", value: "local" }]) }),
  },
  "unlogged-tables": { survey: unlike({ database: known({ ...database, unloggedTables: 1, unloggedExamples: ["public.cache"] }) }) },
  "version-unsupported": { survey: unlike({ server: { ...HEALTHY.server, major: 14 } }) },
  "wal-level-minimal": { survey: unlike(settings({ wal_level: "minimal" })) },
  "wal-piling-up": { survey: unlike({ walDirectory: known({ files: 200, bytes: 200 * 16 * MIB }) }) },
};

describe("the rules of findings", () => {
  it("are silent about a healthy primary and a healthy standby", () => {
    expect(findingsOf(HEALTHY)).toEqual([]);
    expect(findingsOf(HEALTHY_STANDBY)).toEqual([]);
  });

  it.each(FINDING_RULES.map(({ name }) => name))("%s speaks, alone, about what is wrong", (name) => {
    const entry = BAD[name];
    expect(entry).toBeDefined();
    const found = entry === undefined ? [] : findingsOf(entry.survey);
    expect(found.map((finding) => finding.name).sort()).toEqual([name, ...(entry?.also ?? [])].sort());
    const finding = found.find((one) => one.name === name);
    expect(finding?.evidence.length).toBeGreaterThan(0);
    expect(finding?.fix.length).toBeGreaterThan(0);
    expect(`${finding?.evidence.join()}${finding?.fix.join()}`).not.toMatch(/undefined|NaN|null/);
  });

  it("archive-command-hollow does not say of a command that always fails that it throws WAL away", () => {
    const words = (command: string): string => findingsOf(unlike(settings({ archive_command: command })))[0]?.evidence.join() ?? "";
    expect(words("true")).toContain("it says done and has copied nothing");
    expect(words("/bin/false")).toContain("always fails: WAL is kept, and archived nowhere");
  });

  it("count an archive of a standby only where it archives itself: what its primary archives is not seen there", () => {
    const archives = (mode: string): unknown[] =>
      reportOf({ ...HEALTHY, server: { ...HEALTHY.server, inRecovery: true }, ...settings({ archive_mode: mode }) }).copies.filter(
        ({ kind }) => kind === "archive",
      );
    expect(archives("on")).toEqual([]);
    expect(archives("always")).toHaveLength(1);
  });

  const VAULT = { ...STANDBY, pid: 101, name: "vault", address: "10.0.0.3", receiverOnly: true };
  const quorum = (needed: number): ServerSurvey =>
    unlike({
      ...settings({ synchronous_commit: "remote_apply", synchronous_standby_names: `ANY ${needed} (standby1, vault)` }),
      replicas: known([STANDBY, VAULT].map((replica) => ({ ...replica, syncState: "quorum" }))),
    });

  it.each<[string, ServerSurvey]>([
    ["remote_apply with a standby that replays", unlike(settings({ synchronous_commit: "remote_apply" }))],
    ["remote_apply with a quorum that a standby can fill", quorum(1)],
    [
      "a slot that its temporary session uses",
      unlike({ slots: known([{ ...SLOT, temporary: true }]), ...settings({ max_slot_wal_keep_size: "-1" }) }),
    ],
    ["a replica that is milliseconds behind", unlike({ replicas: known([{ ...STANDBY, missingBytes: 90_000, flushLagMs: 20 }]) })],
    [
      "one copy beside the server and one elsewhere",
      unlike({ replicas: known([STANDBY, { ...VAULT, address: "127.0.0.1", syncState: "async" }]) }),
    ],
    [
      "an archiver that failed once and works again",
      unlike({ archiver: known({ ...archiver, failed: 1, lastFailedWal: "x", lastFailedAgoMs: 60_000 }) }),
    ],
    [
      "a subscription beside a standby",
      unlike({ replicas: known([STANDBY, { ...VAULT, logical: true, receiverOnly: false, address: "127.0.0.1" }]) }),
    ],
    ["a clock that differs within its error bound", unlike({ clock: known({ offsetMs: 2_500, errorMs: 2_000 }) })],
    ["the last day of a version", unlike({ server: { ...HEALTHY.server, major: 14 }, atMs: Date.parse("2026-11-12T23:00:00Z") })],
  ])("are silent about %s", (_, survey) => {
    expect(findingsOf(survey)).toEqual([]);
  });

  it("know that a quorum of two cannot be filled by one standby and a receiver", () => {
    expect(findingsOf(quorum(2)).map(({ name }) => name)).toEqual(["remote-apply-receiver"]);
  });

  it("say nothing about what was not seen", () => {
    const hidden = { known: false, why: "hidden" } as const;
    for (const { survey } of Object.values(BAD)) {
      const blind: ServerSurvey = {
        ...survey,
        server: HEALTHY.server,
        self: HEALTHY.self,
        cluster: hidden,
        settings: hidden,
        overrides: hidden,
        replicas: hidden,
        slots: hidden,
        archiver: hidden,
        transactions: hidden,
        prepared: hidden,
        database: hidden,
        walDirectory: hidden,
        recovery: hidden,
        clock: hidden,
        watch: hidden,
      };
      expect(findingsOf(blind)).toEqual([]);
    }
  });

  it("fail a check from the severity on that was asked for", () => {
    const of = (...severities: readonly Severity[]): { severity: Severity }[] => severities.map((severity) => ({ severity }));
    expect(failsAt([], "notice")).toBe(false);
    expect(failsAt(of("warning", "notice"), "critical")).toBe(false);
    expect(failsAt(of("notice", "warning"), "warning")).toBe(true);
    expect(failsAt(of("critical"), "notice")).toBe(true);
  });

  it("have a code after their name, a file and a page each", () => {
    const folder = (path: string): string[] => readdirSync(new URL(path, import.meta.url)).map((name) => name.replace(/\.(ts|md)$/, ""));
    const names = FINDING_RULES.map(({ name }) => name).sort();
    expect(new Set(names).size).toBe(names.length);
    expect(folder("findings/").sort()).toEqual(names);
    const index = readFileSync(new URL("../../../../docs/check.md", import.meta.url), "utf8");
    for (const { name, code, severity, title } of FINDING_RULES) {
      expect(code).toBe(`TM-FINDING-${name.toUpperCase()}`);
      const page = readFileSync(new URL(`../../../../docs/findings/${name}.md`, import.meta.url), "utf8");
      expect(page.startsWith(`# ${title}\n\n\`${code}\` · ${severity}\n`), name).toBe(true);
      expect(page).toMatch(/\n## How it is seen\n[^]+\n## What to do\n/);
      expect(index).toContain(`| [${name}](findings/${name}.md) | ${severity} | ${title} |`);
    }
  });
});
