// The journal as a copy, where the configuration says that all writes go through the gateway.
import { describe, expect, it } from "vitest";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type { CopyFacts } from "../probes/probe-result.ts";
import { HOUR_MS, NOW_MS, behind, copy, exposed, measured, never, primary, store, valueOf } from "./testing/sample-facts.ts";

const FIVE_MINUTES_MS = 300_000;

function journal(over: Partial<CopyFacts> = {}): CopyFacts {
  return copy({
    name: "gateway/journal",
    kind: "journal",
    domain: { machine: "m3", zone: "c", region: "eu", account: "main" },
    holds: "wal",
    outlivesProcess: true,
    recoveryPoint: behind(0, { method: "reported" }),
    pointInTime: { fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS },
    remarks: ["It holds what was written through the gateway."],
    ...over,
  });
}

/** An asynchronous standby that has stalled. */
function stalled(over: Partial<CopyFacts> = {}): CopyFacts {
  return copy({
    name: "pg2",
    domain: { process: "pg2", machine: "m2", zone: "b", region: "eu", account: "main" },
    recoveryPoint: behind(FIVE_MINUTES_MS),
    missingBytes: measured(1_000),
    missingTransactions: measured(50),
    synchronous: measured(false),
    ...over,
  });
}

describe("a stalled asynchronous standby", () => {
  it("loses what it lacks without a journal, and nothing with one that reaches back to it, which names what it trusts", () => {
    expect(valueOf(exposed("node-loss", [store([primary(), stalled()])]).exposureMs)).toBe(FIVE_MINUTES_MS);
    const exposure = exposed("node-loss", [store([primary(), stalled(), journal()])]);
    expect([exposure.exposureMs, exposure.bytes, exposure.transactions].map(valueOf)).toEqual([0, 0, 0]);
    expect(exposure.uses).toEqual([{ store: "db", copy: "gateway/journal", onto: "pg2", proven: false }]);
    expect(exposure.notCovered).toEqual([
      "db/gateway/journal was never restored, as far as is known: that it can be is not proven.",
      "It holds what was written through the gateway.",
    ]);
  });

  it.each([
    ["has forgotten what the standby lacks", { pointInTime: { fromMs: NOW_MS - FIVE_MINUTES_MS + 1, toMs: NOW_MS } }],
    [
      "may have forgotten it, as far as the standby's position is known",
      { pointInTime: { fromMs: NOW_MS - FIVE_MINUTES_MS - 1, toMs: NOW_MS } },
    ],
    ["does not know from when on it is unbroken", { pointInTime: undefined }],
  ])("loses what it lacks when the journal %s", (_what, { pointInTime }) => {
    const { pointInTime: _range, ...rest } = journal();
    const exposure = exposed("node-loss", [
      store([primary(), stalled(), { ...rest, ...(pointInTime === undefined ? {} : { pointInTime }) }]),
    ]);
    expect(valueOf(exposure.exposureMs)).toBe(FIVE_MINUTES_MS);
    expect(exposure.notCovered).toContainEqual(
      "db/gateway/journal is not counted: it holds writes only, and reaches back to no whole copy that is known to survive.",
    );
  });

  it("loses what it lacks, and names why, while nobody knows what the journal has", () => {
    const exposure = exposed("node-loss", [store([primary(), stalled(), journal({ recoveryPoint: never })])]);
    expect(valueOf(exposure.exposureMs)).toBe(FIVE_MINUTES_MS);
    expect(exposure.notCovered).toContainEqual("db/gateway/journal is not counted: it does not answer.");
  });

  it("loses what it lacks, and what was not applied yet, with a journal on the primary's machine", () => {
    const domain = { machine: "m1" };
    const acknowledgedBy = { name: "gateway/journal", domain };
    const exposure = exposed("node-loss", [store([primary(), stalled(), journal({ domain })], { acknowledgedBy })]);
    expect(valueOf(exposure.exposureMs)).toBe(FIVE_MINUTES_MS);
    expect(exposure.uses.map((used) => used.copy)).toEqual(["pg2"]);
    expect(exposure.notCovered).toContainEqual(
      "Writes that were accepted and not applied yet would be lost with db/gateway/journal: not counted.",
    );
  });

  it("counts on no journal that nobody said the zone of", () => {
    const exposure = exposed("zone-loss", [store([primary(), stalled(), journal({ domain: { machine: "m3" } })])]);
    expect(valueOf(exposure.exposureMs)).toBe(FIVE_MINUTES_MS);
    expect(exposure.notCovered.join(" ")).toContain("db/gateway/journal is not counted: whether it shares the zone of pg1 is not known");
  });
});

describe("a journal by which writes are acknowledged, and which is no copy", () => {
  const synchronous = copy({ name: "pg2", domain: { process: "pg2", machine: "m2", zone: "b", region: "eu", account: "main" } });
  const said = (scenario: "process-loss" | "node-loss" | "zone-loss" | "bad-write", domain: FailureDomain): string[] =>
    exposed(scenario, [store([primary(), synchronous], { acknowledgedBy: { name: "gateway/journal", domain } })]).notCovered.filter((one) =>
      one.startsWith("Writes that were accepted"),
    );

  it("is named where the accident takes it with what it alone has, and where that is not known", () => {
    expect(said("node-loss", { machine: "m1" })).toEqual([
      "Writes that were accepted and not applied yet would be lost with db/gateway/journal: not counted.",
    ]);
    expect(said("zone-loss", { machine: "m3" })).toEqual([
      "Writes that were accepted and not applied yet may be lost with db/gateway/journal, not counted: " +
        "whether it shares the zone of pg1 is not known (its zone has no name).",
    ]);
  });

  it("is not where it is elsewhere, on a disk that outlives the process, or where nothing is lost", () => {
    expect(said("node-loss", { machine: "m3" })).toEqual([]);
    expect(said("process-loss", { machine: "m1" })).toEqual([]);
    expect(said("bad-write", { machine: "m1" })).toEqual([]);
  });
});

describe("a journal", () => {
  it("is nothing without a whole copy, however much it has", () => {
    expect(exposed("node-loss", [store([primary(), journal()])])).toMatchObject({
      lost: ["db"],
      exposureMs: { known: false },
      judgement: "no-objective",
    });
  });

  it("says nothing of a store that nobody saw yet, not even that it would be lost", () => {
    const unseen = copy({ name: "pg1", recoveryPoint: never, missingBytes: never, missingTransactions: never, synchronous: never });
    const exposure = exposed("node-loss", [store([unseen, journal()])]);
    expect(exposure.lost).toBeUndefined();
    expect(exposure.exposureMs).toMatchObject({ known: false, why: "nothing that holds db has answered yet" });
  });

  it("helps a backup against a bad write, as far as that write is not applied again", () => {
    const backup = stalled({ name: "backup", kind: "backup", pointInTime: { fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS - FIVE_MINUTES_MS } });
    expect(valueOf(exposed("bad-write", [store([primary(), backup])]).exposureMs)).toBe(FIVE_MINUTES_MS);
    const exposure = exposed("bad-write", [store([primary(), backup, journal()])]);
    expect(valueOf(exposure.exposureMs)).toBe(0);
    expect(exposure.notCovered.join(" ")).toContain("A bad write that went through the gateway stands in db/gateway/journal too");
  });

  it("is gone with the account", () => {
    const backup = stalled({ domain: { account: "other" }, lockedUntilMs: NOW_MS + HOUR_MS });
    expect(valueOf(exposed("account-loss", [store([primary(), backup, journal()])]).exposureMs)).toBe(FIVE_MINUTES_MS);
  });
});
