import { describe, expect, it } from "vitest";
import { SCENARIOS } from "../objectives/failure-domain.ts";
import { exposureOfSurvey, type SeenExposure } from "./scenario-exposure.ts";
import type { Lag, ReplicaSeen, ServerSurvey } from "./server-survey.ts";
import { HEALTHY, HEALTHY_STANDBY, known, settings, STANDBY } from "./testing/sample-survey.ts";

const of = (survey: ServerSurvey, scenario: SeenExposure["scenario"]): SeenExposure | undefined =>
  exposureOfSurvey(survey).find((entry) => entry.scenario === scenario);
const withReplicas = (
  replicas: readonly ReplicaSeen[],
  changed: Readonly<Record<string, string>> = {},
  lags: Readonly<Record<number, Lag>> = {},
): ServerSurvey => ({
  ...HEALTHY,
  ...settings(changed),
  replicas: known(replicas),
  watch: known({
    forMs: 3_000,
    walBytesPerSecond: 1,
    commitsPerSecond: null,
    replicas: replicas.map(({ pid }) => ({ pid, lag: lags[pid] ?? { kind: "unknown", why: "test" } })),
  }),
});
const ASYNC: ReplicaSeen = { ...STANDBY, syncState: "async", missingBytes: 500 };

describe("the exposure of one server", () => {
  it("has one entry for every scenario, on a primary and on a standby", () => {
    expect(exposureOfSurvey(HEALTHY).map(({ scenario }) => scenario)).toEqual(SCENARIOS);
    expect(exposureOfSurvey(HEALTHY_STANDBY).map(({ scenario }) => scenario)).toEqual(SCENARIOS);
  });

  it("is nothing for node-loss while acknowledgements wait for a replica on another address", () => {
    expect(of(HEALTHY, "node-loss")).toMatchObject({ exposure: { kind: "known", ms: 0 }, uses: "standby1" });
    for (const commit of ["off", "local"])
      expect(of(withReplicas([STANDBY], { synchronous_commit: commit }), "node-loss")?.exposure).toMatchObject({ kind: "unknown" });
  });

  it("says for whom it does not hold that nothing is exposed", () => {
    const hurried = { database: null, role: "hurried", name: "synchronous_commit", value: "off" };
    const survey: ServerSurvey = { ...HEALTHY, overrides: known([hurried]) };
    expect(of(survey, "node-loss")?.because).toContain("but for hurried");
    expect(of(survey, "process-loss")?.because).toContain("but for hurried");
    expect(of({ ...HEALTHY, overrides: { known: false, why: "x" } }, "node-loss")?.because).toContain("was not seen");
    expect(of(HEALTHY, "node-loss")?.because).toBe("every acknowledgement waits for a replica on another address");
  });

  it("does not take a quorum for safe that this machine's own replica can fill", () => {
    const beside = { ...STANDBY, pid: 1, name: "beside", address: "127.0.0.1", syncState: "quorum" };
    const elsewhere = { ...STANDBY, pid: 2, name: "elsewhere", syncState: "quorum", missingBytes: 9 };
    const one = withReplicas(
      [beside, elsewhere],
      { synchronous_standby_names: "ANY 1 (beside, elsewhere)" },
      { 2: { kind: "known", ms: 40, errorMs: 10 } },
    );
    expect(of(one, "node-loss")).toMatchObject({ exposure: { kind: "known", ms: 40, errorMs: 10 }, bytes: 9, uses: "elsewhere" });
    const two = withReplicas([beside, elsewhere], { synchronous_standby_names: "ANY 2 (beside, elsewhere)" });
    expect(of(two, "node-loss")?.exposure).toEqual({ kind: "known", ms: 0, errorMs: 0 });
  });

  it("takes the replica that lacks least, and one of which something is known before one of which nothing is", () => {
    const survey = withReplicas(
      [
        { ...ASYNC, pid: 1, name: "a" },
        { ...ASYNC, pid: 2, name: "b" },
        { ...ASYNC, pid: 3, name: "c" },
      ],
      {},
      { 1: { kind: "unknown", why: "x" }, 2: { kind: "at-least", ms: 3_000 }, 3: { kind: "known", ms: 9_000, errorMs: 100 } },
    );
    expect(of(survey, "node-loss")?.uses).toBe("c");
    expect(of(withReplicas([{ ...ASYNC, pid: 1, name: "a" }]), "node-loss")?.exposure).toEqual({ kind: "unknown", why: "test" });
  });

  it("does not count a subscription: it takes tables, not the whole", () => {
    expect(of(withReplicas([{ ...ASYNC, logical: true }], { archive_mode: "off" }), "node-loss")?.exposure.kind).toBe("no-copy");
  });

  it("does not count a copy on the same machine, and falls back to the archive, from its last file on", () => {
    const here = withReplicas([{ ...STANDBY, address: "10.0.0.1" }]);
    expect(of(here, "node-loss")).toMatchObject({ uses: "WAL archive", exposure: { kind: "at-least", ms: 20_000 }, bytes: 1_000 });
    const bare = withReplicas([], { archive_mode: "off" });
    expect(of(bare, "node-loss")?.exposure.kind).toBe("no-copy");
    expect(of(bare, "zone-loss")?.exposure.kind).toBe("no-copy");
    expect(of(withReplicas([], { archive_command: "true" }), "node-loss")?.exposure.kind).toBe("no-copy");
  });

  it("knows that replicas do not help against a bad write, and that a backup never restored is unknown", () => {
    expect(of(withReplicas([STANDBY], { archive_mode: "off" }), "bad-write")?.exposure.kind).toBe("no-copy");
    expect(of(HEALTHY, "bad-write")?.exposure).toMatchObject({ kind: "unknown", why: expect.stringContaining("base backup") as string });
    expect(of(withReplicas([{ ...STANDBY, receiverOnly: true, name: "vault" }], { archive_mode: "off" }), "bad-write")?.exposure.kind).toBe(
      "unknown",
    );
  });

  it("has no number anywhere when nothing was seen", () => {
    const hidden = { known: false, why: "hidden" } as const;
    const blind: ServerSurvey = { ...HEALTHY, settings: hidden, replicas: hidden, archiver: hidden, watch: hidden };
    for (const entry of exposureOfSurvey(blind)) {
      expect(entry.exposure.kind).toBe("unknown");
      expect(JSON.stringify(entry)).not.toMatch(/\d/);
    }
  });
});
