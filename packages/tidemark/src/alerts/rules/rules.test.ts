// Each rule on facts for which it holds, and on their healthy twin.
import { describe, expect, it } from "vitest";
import type { Timeline, Epoch } from "@tidemark/kernel/brands";
import { known, unknown } from "../../probes/probe-result.ts";
import { SliceSeries } from "../../slo/slice-series.ts";
import type { ArchiveStatus } from "../../vault/archive/archive-status.ts";
import type { VaultStatus } from "../../vault/vault-status.ts";
import { ExposureTrend } from "../exposure-trend.ts";
import { RECEIVER_RULES, RULES, SCENARIO_RULES, STORE_RULES, VAULT_RULES } from "../rule-table.ts";
import { copyOfTest, exposureOfTest, storeOfTest, type SampleExposure } from "../testing/sample-observation.ts";
import type { SubjectVerdict, Verdict } from "./rule.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = 400 * DAY_MS;
const one = 1 as Timeline;

function judgeScenario(
  name: string,
  sample: SampleExposure,
  given: { trend?: ExposureTrend; firing?: boolean; series?: SliceSeries } = {},
): Verdict {
  const rule = SCENARIO_RULES.find((candidate) => candidate.name === name);
  const exposure = exposureOfTest({ rpoMs: 60_000, atMs: NOW_MS, ...sample });
  const series = given.series ?? new SliceSeries(NOW_MS);
  return (
    rule?.judge({
      nowMs: NOW_MS,
      exposure,
      objective: { rpoMs: 60_000, rtoMs: 300_000, ...exposure.objective },
      target: 0.999,
      trend: given.trend ?? new ExposureTrend(),
      firing: given.firing ?? false,
      counts: (windowMs) => series.counts(windowMs, NOW_MS),
    }) ?? { kind: "unknown" }
  );
}

const judgeStore = (
  name: string,
  over: Parameters<typeof storeOfTest>[0] = {},
  seen: Record<string, number> = {},
): readonly SubjectVerdict[] =>
  STORE_RULES.find((rule) => rule.name === name)?.judge({
    nowMs: NOW_MS,
    facts: storeOfTest(over),
    seen: new Map(Object.entries(seen)),
    mostProofAgeMs: 7 * DAY_MS,
  }) ?? [];

const archive: ArchiveStatus = {
  stores: [
    { name: "far", state: "current", lagBytes: "0", lagSeconds: 0, lagIsLowerBound: false, objects: 1, unverified: 0, storedBytes: 1 },
  ],
  holes: [],
  gaps: [],
  faults: [],
  local: { segments: 0, bytes: "0", digested: 0, checked: 0 },
};
const healthy: VaultStatus = {
  vault: "v1",
  store: "orders-db",
  state: "streaming",
  identity: "v1-x",
  slot: { walStatus: "reserved", active: true },
  gaps: [],
  faults: [],
  archive,
  uptimeMs: 1,
  atMs: 1,
};
const judgeVault = (name: string, over: Partial<VaultStatus> = {}): readonly SubjectVerdict[] =>
  VAULT_RULES.find((rule) => rule.name === name)?.judge({ nowMs: NOW_MS, status: { ...healthy, ...over } }) ?? [];

const kinds = (verdicts: readonly SubjectVerdict[]): string[] => verdicts.map(({ verdict }) => verdict.kind);
const words = (verdict: Verdict | undefined): string => (verdict?.kind === "holds" ? verdict.summary : `(${verdict?.kind})`);

describe("rules about a service and a scenario", () => {
  it("exposure-above-objective holds above, not at it, and where nothing would survive; it cannot say while nothing is known", () => {
    expect(judgeScenario("exposure-above-objective", { exposureMs: 60_000 }).kind).toBe("clear");
    expect(judgeScenario("exposure-above-objective", { exposureMs: 60_001 }).kind).toBe("holds");
    expect(judgeScenario("exposure-above-objective", {}).kind).toBe("unknown");
    const rule = SCENARIO_RULES[0];
    const lost = { ...exposureOfTest({ rpoMs: 60_000 }), judgement: "above" as const, lost: ["orders-db"] };
    const input = {
      nowMs: 1,
      exposure: lost,
      objective: { rpoMs: 60_000, rtoMs: 1 },
      target: 0.9,
      trend: new ExposureTrend(),
      firing: false,
    };
    expect(words(rule?.judge({ ...input, counts: () => new SliceSeries(0).counts(HOUR_MS, 0) }))).toContain("everything of orders-db");
  });

  it("exposure-rising holds above the half while it rises, says when it will be too much, and leaves a breach to its own rule", () => {
    const rising = new ExposureTrend();
    for (let second = 0; second <= 10; second++) rising.add(second * 1_000, 25_000 + second * 1_000);
    expect(words(judgeScenario("exposure-rising", { exposureMs: 35_000 }, { trend: rising }))).toContain("above it in 25.0 s");
    expect(judgeScenario("exposure-rising", { exposureMs: 30_000 }, { trend: rising }).kind).toBe("clear");
    expect(judgeScenario("exposure-rising", { exposureMs: 61_000 }, { trend: rising }).kind).toBe("clear");
    expect(judgeScenario("exposure-rising", { exposureMs: 61_000 }, { trend: rising, firing: true }).kind).toBe("holds");
    const flat = new ExposureTrend();
    for (let second = 0; second <= 10; second++) flat.add(second * 1_000, 35_000);
    expect(judgeScenario("exposure-rising", { exposureMs: 35_000 }, { trend: flat }).kind).toBe("clear");
    expect(judgeScenario("exposure-rising", { exposureMs: 25_000 }, { trend: flat, firing: true }).kind).toBe("holds");
    expect(judgeScenario("exposure-rising", { exposureMs: 24_000 }, { trend: flat, firing: true }).kind).toBe("clear");
    expect(judgeScenario("exposure-rising", { exposureMs: 35_000 }).kind).toBe("unknown");
  });

  it("exposure-unknown-too-long waits for as long as the objective, between a minute and a quarter of an hour", () => {
    const forMs = (rpoMs: number): number | undefined => {
      const verdict = judgeScenario("exposure-unknown-too-long", { rpoMs });
      return verdict.kind === "holds" ? verdict.forMs : undefined;
    };
    expect([0, 120_000, HOUR_MS].map(forMs)).toEqual([60_000, 120_000, 900_000]);
    expect(judgeScenario("exposure-unknown-too-long", { exposureMs: 1 }).kind).toBe("clear");
  });

  it("no rule's evidence has a number for an exposure that is not known", () => {
    for (const { name } of SCENARIO_RULES) {
      const verdict = judgeScenario(name, {}, { firing: true });
      if (verdict.kind === "holds") expect(Object.keys(verdict.evidence)).not.toContain("exposureMs");
    }
  });

  it("recovery-time-above-objective holds when the last proof took longer than may be", () => {
    expect(judgeScenario("recovery-time-above-objective", { recoveryTimeMs: 300_001 }).kind).toBe("holds");
    expect(judgeScenario("recovery-time-above-objective", { recoveryTimeMs: 300_000 }).kind).toBe("clear");
    expect(judgeScenario("recovery-time-above-objective", {}).kind).toBe("unknown");
  });

  it("proven-exposure-above-objective holds when the objective is kept by a copy that nobody has restored", () => {
    const name = "proven-exposure-above-objective";
    const measured = { atMs: NOW_MS, method: "reported" as const, errorMs: 0 };
    const rule = SCENARIO_RULES.find((candidate) => candidate.name === name);
    const judge = (provenExposureMs?: ReturnType<typeof known<number>>, exposureMs = 1_000): Verdict | undefined =>
      rule?.judge({
        nowMs: NOW_MS,
        exposure: {
          ...exposureOfTest({ rpoMs: 60_000, exposureMs }),
          uses: [{ store: "orders-db", copy: "b1", proven: false }],
          ...(provenExposureMs === undefined ? {} : { provenExposureMs }),
        },
        objective: { rpoMs: 60_000, rtoMs: 1 },
        target: 0.999,
        trend: new ExposureTrend(),
        firing: false,
        counts: (windowMs) => new SliceSeries(NOW_MS).counts(windowMs, NOW_MS),
      });
    expect(words(judge(known(90_000, measured)))).toContain("only if orders-db/b1 can be restored");
    expect(judge(unknown("none was", NOW_MS))).toMatchObject({ kind: "holds", forMs: DAY_MS });
    expect(judge(known(60_000, measured))?.kind).toBe("clear");
    expect(judge()?.kind).toBe("clear");
    expect(judge(known(90_000, measured), 61_000)?.kind).toBe("clear");
  });

  it.each([
    ["burn-rate-1h", 60],
    ["burn-rate-6h", 6 * 60],
    ["burn-rate-1d", 24 * 60],
    ["burn-rate-3d", 3 * 24 * 60],
  ])("%s holds when both windows are above the factor, and ends with the short one", (name, minutes) => {
    const series = (badEvery: number, calmMs: number): SliceSeries => {
      const made = new SliceSeries(NOW_MS - minutes * 60_000);
      for (let atMs = NOW_MS - minutes * 60_000; atMs <= NOW_MS; atMs += 1_000)
        made.record(atMs, atMs <= NOW_MS - calmMs && (atMs / 1_000) % badEvery === 0 ? "bad" : "good");
      return made;
    };
    expect(judgeScenario(name, { exposureMs: 1 }, { series: series(30, 0) }).kind).toBe("holds");
    expect(judgeScenario(name, { exposureMs: 1 }, { series: series(30, (minutes / 12 + 2) * 60_000) }).kind).toBe("clear");
    expect(judgeScenario(name, { exposureMs: 1 }, { series: series(2_000, 0) }).kind).toBe("clear");
  });

  it("burn rates do not begin because nobody looked for a while, and begin with what is seen after it", () => {
    const away = (seen: "good" | "bad" | "unknown"): SliceSeries => {
      const made = new SliceSeries(NOW_MS - 3_600_000);
      for (let atMs = NOW_MS - 3_600_000; atMs < NOW_MS - 1_260_000; atMs += 1_000) made.record(atMs, "good");
      // Twenty minutes in which the observer was away, then a minute of looks.
      for (let atMs = NOW_MS - 60_000; atMs <= NOW_MS; atMs += 1_000) made.record(atMs, seen);
      return made;
    };
    expect(away("good").counts(3_600_000, NOW_MS).unseenSeconds).toBeGreaterThan(1_190);
    expect(judgeScenario("burn-rate-1h", { exposureMs: 1 }, { series: away("good") }).kind).toBe("clear");
    expect(judgeScenario("burn-rate-1h", { exposureMs: 1 }, { series: away("bad") }).kind).toBe("holds");
    expect(judgeScenario("burn-rate-1h", { exposureMs: 1 }, { series: away("unknown") }).kind).toBe("holds");
    // One that fires goes on: whether it ended meanwhile nobody knows.
    expect(judgeScenario("burn-rate-1h", { exposureMs: 1 }, { series: away("good"), firing: true }).kind).toBe("holds");
  });

  it("burn rates end nothing after a start without history", () => {
    const young = new SliceSeries(NOW_MS - 10_000);
    young.record(NOW_MS, "good");
    expect(judgeScenario("burn-rate-1h", { exposureMs: 1 }, { series: young, firing: true }).kind).toBe("unknown");
    expect(judgeScenario("burn-rate-1h", { exposureMs: 1 }, { series: young }).kind).toBe("clear");
  });
});

describe("rules about a store", () => {
  const away = copyOfTest({ name: "pg2", recoveryPoint: unknown("it does not answer", NOW_MS - 90_000) });
  const primary = copyOfTest({ name: "pg1", kind: "primary" });

  it("copy-lost holds for a copy that cannot say how far it reaches, or that nothing tells of any more", () => {
    expect(kinds(judgeStore("copy-lost"))).toEqual(["clear", "clear"]);
    expect(words(judgeStore("copy-lost", { copies: [primary, away] })[0]?.verdict)).toContain("for 1 m 30 s: it does not answer");
    expect(kinds(judgeStore("copy-lost", { copies: [primary] }, { pg2: NOW_MS }))).toEqual(["holds", "clear"]);
    const blind = { copies: [primary], newestCommit: unknown<never>("it does not answer", NOW_MS) };
    expect(kinds(judgeStore("copy-lost", blind, { pg2: NOW_MS }))).toEqual(["unknown", "clear"]);
  });

  it("last-copy-lost holds when none of the copies that there were is left", () => {
    const second = copyOfTest({ name: "pg3" });
    expect(kinds(judgeStore("last-copy-lost", { copies: [primary, away] }, { pg2: 1 }))).toEqual(["holds"]);
    expect(kinds(judgeStore("last-copy-lost", { copies: [primary, away, second] }, { pg2: 1 }))).toEqual(["clear"]);
    expect(kinds(judgeStore("last-copy-lost", { copies: [primary] }))).toEqual(["clear"]);
  });

  it("store-without-copy holds for a store that never had one", () => {
    expect(kinds(judgeStore("store-without-copy", { copies: [primary] }))).toEqual(["holds"]);
    expect(kinds(judgeStore("store-without-copy", { copies: [primary] }, { pg2: 1 }))).toEqual(["clear"]);
    expect(kinds(judgeStore("store-without-copy"))).toEqual(["clear"]);
  });

  it("proof-too-old holds for what lies still and was not restored for a week, or never; a standby needs none", () => {
    const backup = (atMs: number | undefined): ReturnType<typeof copyOfTest> =>
      copyOfTest({ name: "b1", kind: "backup", ...(atMs === undefined ? {} : { proof: { atMs, tookMs: 1 } }) });
    expect(kinds(judgeStore("proof-too-old"))).toEqual([]);
    expect(kinds(judgeStore("proof-too-old", { copies: [backup(NOW_MS - 7 * DAY_MS)] }))).toEqual(["clear"]);
    expect(kinds(judgeStore("proof-too-old", { copies: [backup(NOW_MS - 7 * DAY_MS - 1)] }))).toEqual(["holds"]);
    const never = judgeStore("proof-too-old", { copies: [backup(undefined)] })[0]?.verdict;
    expect(words(never)).toContain("was never restored");
    expect(never).toMatchObject({ forMs: DAY_MS });
  });

  it("commits-released-without-copies holds for an hour after it happened", () => {
    expect(kinds(judgeStore("commits-released-without-copies", { releasedWithoutCopiesAtMs: NOW_MS - 1_000 }))).toEqual(["holds"]);
    expect(kinds(judgeStore("commits-released-without-copies", { releasedWithoutCopiesAtMs: NOW_MS - HOUR_MS }))).toEqual(["clear"]);
    expect(kinds(judgeStore("commits-released-without-copies"))).toEqual(["clear"]);
  });

  it("primary-silent holds while the primary does not say what it acknowledged", () => {
    expect(kinds(judgeStore("primary-silent", { newestCommit: unknown("refused", NOW_MS) }))).toEqual(["holds"]);
    expect(kinds(judgeStore("primary-silent"))).toEqual(["clear"]);
  });
});

describe("rules about a vault", () => {
  const at = (lsn: string): { timeline: Timeline; lsn: string } => ({ timeline: one, lsn });
  const cases: Record<string, Partial<VaultStatus>> = {
    "wal-gap": {
      gaps: [{ from: at("0/3000000"), to: at("0/5000000"), foundAtMs: 1 }],
      baseBackupWanted: { from: at("0/5000000"), why: "WAL is missing", sinceMs: 1 },
    },
    "archive-hole": {
      archive: { ...archive, holes: [{ where: "far", kind: "wal", recordedGap: false, timeline: 1, start: "0/1", end: "0/2" }] },
    },
    "copy-corrupt": { faults: [{ code: "TM-VAULT-CORRUPT", part: "receiver", what: "bytes changed", hint: "" }] },
    "vault-full": { state: "full", disk: { freeBytes: 0, walBytes: 5, divergedBytes: 0 } },
    "slot-losing-wal": { slot: { walStatus: "unreserved", active: false } },
    "archive-stalled": {
      archive: { ...archive, stores: archive.stores.map((store) => ({ ...store, state: "held" as const, lagSeconds: 700 })) },
    },
    "vault-refusing": { state: "refusing", detail: "another cluster", primary: { node: "pg1", epoch: 3n as unknown as Epoch } },
  };

  it.each(Object.entries(cases))("%s holds for its fault and for none of the others", (name, over) => {
    expect(kinds(judgeVault(name, over))).toContain("holds");
    expect(kinds(judgeVault(name))).not.toContain("holds");
    for (const [other, theirs] of Object.entries(cases)) if (other !== name) expect(kinds(judgeVault(name, theirs))).not.toContain("holds");
  });

  it("archive-hole is silent about a hole whose reason is known: that one is wal-gap's", () => {
    const hole = { where: "far", kind: "wal" as const, recordedGap: true, timeline: 1, start: "0/1", end: "0/2" };
    expect(kinds(judgeVault("archive-hole", { archive: { ...archive, holes: [hole] } }))).toEqual(["clear", "clear"]);
  });

  it("copy-corrupt holds for a damaged object in an archive too", () => {
    const fault = { code: "TM-VAULT-ARCHIVE-DAMAGED" as const, where: "far", subject: "x", message: "other bytes", sinceMs: 1, seenMs: 1 };
    expect(kinds(judgeVault("copy-corrupt", { archive: { ...archive, faults: [fault] } }))).toEqual(["holds"]);
  });

  it("slot-losing-wal cannot say before the slot was looked at", () => {
    const { slot: _slot, ...without } = healthy;
    expect(kinds(VAULT_RULES.find(({ name }) => name === "slot-losing-wal")?.judge({ nowMs: 1, status: without }) ?? [])).toEqual([
      "unknown",
    ]);
  });
});

describe("delivery-stalled", () => {
  it("holds when a receiver has taken nothing for two minutes", () => {
    const [rule] = RECEIVER_RULES;
    expect(rule?.judge({ receiver: "pager", waiting: 3, oldestMs: 120_000, lastError: "refused" }).kind).toBe("holds");
    expect(rule?.judge({ receiver: "pager", waiting: 3, oldestMs: 119_999 }).kind).toBe("clear");
    expect(rule?.judge({ receiver: "pager", waiting: 0, oldestMs: 0 }).kind).toBe("clear");
  });
});

describe("the table of rules", () => {
  it("has each name once", () => {
    expect(new Set(RULES.map(({ name }) => name)).size).toBe(RULES.length);
  });
});
