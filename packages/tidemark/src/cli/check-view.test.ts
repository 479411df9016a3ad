import { describe, expect, it } from "vitest";
import { reportOf } from "../check/check-report.ts";
import type { ServerSurvey } from "../check/server-survey.ts";
import { HEALTHY, known, settings, STANDBY } from "../check/testing/sample-survey.ts";
import { describeCheck } from "./check-view.ts";
import { makePaint } from "./terminal.ts";

const shown = (survey: ServerSurvey, columns = 60): string[] =>
  describeCheck(reportOf(survey), { paint: makePaint(false), columns }).flatMap((text) => text.split("\n"));
const hidden = { known: false, why: "PostgreSQL hides it" } as const;

describe("a check's report on a terminal", () => {
  it("fits in 60 columns, also with many findings", () => {
    const bad: ServerSurvey = {
      ...HEALTHY,
      ...settings({
        fsync: "off",
        synchronous_standby_names: "FIRST 2 (standby1, ghost)",
        archive_mode: "off",
        track_commit_timestamp: "off",
        max_slot_wal_keep_size: "-1",
      }),
      replicas: known([{ ...STANDBY, address: "2001:db8:1234:5678::9abc", syncState: "async", missingBytes: 123_456_789 }]),
      walDirectory: hidden,
    };
    const lines = shown(bad);
    expect(lines.filter((line) => line.length > 60)).toEqual([]);
    expect(lines.filter((line) => /\s$/.test(line))).toEqual([]);
    expect(lines.join("\n")).toMatch(/Findings {2}2 critical, 2 warnings, 2 notices/);
  });

  it("says unknown for what was not seen, and shows no 0 for it", () => {
    const lines = shown({ ...HEALTHY, settings: hidden, replicas: hidden, archiver: hidden, watch: hidden });
    for (const scenario of ["process-loss", "node-loss", "zone-loss", "region-loss", "bad-write", "account-loss"])
      expect(lines.find((line) => line.includes(scenario))).toBe(`  ${scenario.padEnd(12)}  unknown`);
    expect(lines).toContain("  unknown: see below");
    expect(lines.join("\n")).toContain("replicas: PostgreSQL hides it");
  });

  it("says nothing where nothing would be lost, and everything where there is no copy", () => {
    expect(shown(HEALTHY, 100)).toContain("  node-loss     nothing from standby1");
    const alone = shown({ ...HEALTHY, ...settings({ archive_mode: "off", synchronous_standby_names: "" }), replicas: known([]) });
    expect(alone).toContain("  node-loss     everything");
    expect(alone).toContain("  none was found");
  });
});
