// pgBackRest and Barman by answers of the real ones (2.45 and 3.4.0), shortened; what the real ones say is in backup-probes.pg.test.ts.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Lsn } from "@tidemark/kernel/lsn";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { BarmanProbe } from "./barman-probe.ts";
import type { JsonSource } from "./json-source.ts";
import { PgbackrestProbe } from "./pgbackrest-probe.ts";
import type { PositionTimes } from "./position-times.ts";
import type { ProbeReading } from "./probe.ts";
import { bearsItsTarget } from "./testing/http-target-rules.ts";

const clock = new ManualClock(1_795_200_000_000);
const STOP_MS = 1_795_198_181_000;

const backup = (label: string, stop: number, extra: object = {}) => ({
  archive: { start: "000000010000000000000002", stop: "000000010000000000000002" },
  database: { id: 1, "repo-key": 1 },
  error: false,
  info: { delta: 22_992_555, repository: { delta: 3_043_461, size: 3_043_461 }, size: 22_992_555 },
  label,
  lsn: { start: "0/2000028", stop: "0/2000100" },
  timestamp: { start: stop - 4, stop },
  type: "full",
  ...extra,
});
const STANZA = {
  archive: [{ database: { id: 1, "repo-key": 1 }, id: "15-1", max: "000000010000000000000004", min: "000000010000000000000001" }],
  backup: [backup("20261120-180437F", 1_795_197_881), backup("20261120-180937F", 1_795_198_181)],
  db: [{ id: 1, "repo-key": 1, "system-id": 7_710_317, version: "15" }],
  name: "main",
  repo: [{ cipher: "none", key: 1, status: { code: 0, message: "ok" } }],
  status: { code: 0, message: "ok" },
};
const LIST = {
  main: [
    { backup_id: "20261120T181143", end_time_timestamp: "1795198181", size_bytes: 39_915_582, status: "DONE" },
    { backup_id: "20261120T171143", end_time_timestamp: "1795194581", size_bytes: 39_915_582, status: "DONE" },
    { backup_id: "20261120T161143", status: "FAILED" },
  ],
};
const LATEST = {
  main: {
    backup_id: "20261120T181143",
    base_backup_information: { end_lsn: "0/5000000", timeline: 1 },
    wal_information: { last_available: "000000010000000000000007" },
  },
};

const POSITIONS: PositionTimes = {
  newest: { lsn: 0x8000010n as Lsn, untilMs: STOP_MS + 200_000 },
  timeOf: () => ({ found: true, untilMs: STOP_MS + 100_000, gapMs: 500, complete: false, missingTransactions: 3 }),
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-backups-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const file = async (name: string, value: unknown): Promise<JsonSource> => {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(value));
  return { kind: "file", path };
};
const look = (probe: { probe: (signal: AbortSignal) => Promise<ProbeReading> }) => probe.probe(new AbortController().signal);

const pgbackrest = (source: JsonSource, positions?: PositionTimes) =>
  new PgbackrestProbe({
    store: "orders",
    copy: "backups",
    stanza: "main",
    repositories: { 1: { machine: "m9" } },
    source,
    ...(positions === undefined ? {} : { positions }),
    clock,
  });

describe("the probe of pgBackRest", () => {
  bearsItsTarget({ make: (url) => pgbackrest({ kind: "url", url }), good: [STANZA] });

  it("tells each repository as a copy that goes back to its oldest backup, and that nobody has proven", async () => {
    const reading = await look(pgbackrest(await file("info", [STANZA])));
    expect(reading).toMatchObject({
      ok: true,
      copies: [
        {
          name: "backups/repo1",
          kind: "backup",
          domain: { machine: "m9" },
          recoveryPoint: { known: true, method: "reported", value: { commitMs: STOP_MS, complete: false, lsn: "0/2000100", timeline: 1 } },
          missingBytes: { known: false },
          missingTransactions: { known: false },
          synchronous: { known: true, value: false },
          pointInTime: { fromMs: STOP_MS - 300_000, toMs: STOP_MS },
        },
      ],
      figures: { pgbackrest_repo1_backups: { value: 2 }, pgbackrest_repo1_bytes: { value: 6_086_922 } },
    });
    const copy = reading.ok ? reading.copies[0] : undefined;
    expect(copy?.proof).toBeUndefined();
    expect(copy?.remarks[0]).toMatch(/unproven/);
  });

  it("reaches to the end of the newest archived segment where its position has a time", async () => {
    const reading = await look(pgbackrest(await file("info", [STANZA]), POSITIONS));
    expect(reading).toMatchObject({
      copies: [
        {
          recoveryPoint: { method: "position-history", value: { commitMs: STOP_MS + 100_000, lsn: "0/5000000" } },
          missingBytes: { value: 0x8000010 - 0x5000000 },
          pointInTime: { toMs: STOP_MS + 100_000 },
        },
      ],
    });
  });

  it("counts neither backups with wrong checksums nor those of an earlier cluster, and knows no point without one", async () => {
    const spoiled = { ...STANZA, backup: STANZA.backup.map((one) => ({ ...one, error: true })) };
    const earlier = { ...STANZA, db: [...STANZA.db, { id: 2, "repo-key": 1, "system-id": 8, version: "16" }] };
    for (const stanza of [spoiled, earlier, { ...STANZA, backup: [] }]) {
      const reading = await look(pgbackrest(await file("info", [stanza]), POSITIONS));
      expect(reading).toMatchObject({ ok: true, copies: [{ recoveryPoint: { known: false }, missingBytes: { known: false } }] });
      expect(reading.ok && reading.figures["pgbackrest_repo1_bytes"]).toMatchObject({ known: false });
    }
  });

  it("says that the stanza is not there", async () => {
    expect(await look(pgbackrest(await file("info", [{ ...STANZA, name: "other" }])))).toMatchObject({
      ok: false,
      code: "TM-PROBE-FAILED",
    });
    const missing = { ...STANZA, archive: [], backup: [], db: [], repo: [{ key: 1, status: { code: 1, message: "missing stanza path" } }] };
    const reading = await look(pgbackrest(await file("info", [missing])));
    expect(reading.ok && reading.copies[0]?.remarks).toContain("pgBackRest gives this repository the status 1.");
  });
});

describe("the probe of Barman", () => {
  const barman = async (parts: { list?: unknown; latest?: unknown; check?: unknown; positions?: PositionTimes } = {}) =>
    new BarmanProbe({
      store: "orders",
      copy: "barman",
      server: "main",
      domain: { machine: "m8" },
      sources: {
        backups: await file("list", parts.list ?? LIST),
        ...(parts.latest === undefined ? {} : { latest: await file("latest", parts.latest) }),
        ...(parts.check === undefined ? {} : { check: await file("check", parts.check) }),
      },
      ...(parts.positions === undefined ? {} : { positions: parts.positions }),
      clock,
    });

  bearsItsTarget({
    make: (url) =>
      new BarmanProbe({ store: "orders", copy: "barman", server: "main", domain: {}, sources: { backups: { kind: "url", url } }, clock }),
    good: LIST,
    counts: ["barman_backups_not_done"],
  });

  it("tells its repository as one copy, by backups that are done only", async () => {
    const reading = await look(await barman());
    expect(reading).toMatchObject({
      ok: true,
      copies: [
        {
          name: "barman",
          recoveryPoint: { known: true, value: { commitMs: STOP_MS, complete: false } },
          missingBytes: { known: false },
          pointInTime: { fromMs: 1_795_194_581_000, toMs: STOP_MS },
        },
      ],
      figures: { barman_backups: { value: 2 }, barman_failed_checks: { known: false } },
    });
    expect(reading.ok && reading.copies[0]?.proof).toBeUndefined();
    expect(reading.ok && reading.copies[0]?.remarks.some((remark) => remark.startsWith("1 backups are not done"))).toBe(true);
  });

  it("reaches to the newest whole segment where its position has a time", async () => {
    const reading = await look(await barman({ latest: LATEST, positions: POSITIONS }));
    expect(reading).toMatchObject({
      copies: [{ recoveryPoint: { method: "position-history", value: { lsn: "0/8000000", timeline: 1 } } }],
    });
  });

  it("names the checks that fail, without their hints", async () => {
    const check = { main: { postgresql: { hint: "password=s3cret", status: "FAILED" }, wal_level: { hint: "", status: "OK" } } };
    const reading = await look(await barman({ check }));
    expect(reading.ok && reading.copies[0]?.remarks).toContain("Barman's own check fails: postgresql.");
    expect(JSON.stringify(reading)).not.toContain("s3cret");
    expect(reading).toMatchObject({ figures: { barman_failed_checks: { value: 1 } } });
  });

  it("tells an error of Barman's from a repository without a backup", async () => {
    expect(await look(await barman({ list: { _ERROR: ["Unknown server 'main' s3cret"] } }))).toMatchObject({
      ok: false,
      code: "TM-PROBE-FAILED",
    });
    expect(await look(await barman({ list: { main: [] } }))).toMatchObject({
      ok: true,
      copies: [{ recoveryPoint: { known: false, why: "there is no whole backup" } }],
      figures: { barman_bytes: { known: false } },
    });
  });
});
