import { describe, expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import { SCENARIOS } from "../objectives/failure-domain.ts";
import type { CopyFacts } from "../probes/probe-result.ts";
import { known, unknown } from "../probes/probe-result.ts";
import { exposureOf } from "./exposure-of.ts";
import { HOUR_MS, NOW_MS, behind, copy, exposed, measured, never, primary, store, valueOf } from "./testing/sample-facts.ts";

const pg2 = copy({ name: "pg2", domain: { machine: "m2", zone: "b", region: "eu", account: "main" } });
const asynchronous = { synchronous: measured(false) };
/** A base backup of an hour ago. */
const backup = copy({
  name: "base",
  kind: "backup",
  domain: { machine: "s1", zone: "b", region: "eu", account: "main" },
  recoveryPoint: behind(HOUR_MS, { method: "reported" }),
  pointInTime: { fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS - HOUR_MS },
  ...asynchronous,
});
const vault = copy({
  name: "vault1",
  kind: "vault",
  holds: "wal",
  domain: { machine: "v1", zone: "b", region: "eu", account: "main" },
  pointInTime: { fromMs: NOW_MS - 2 * HOUR_MS, toMs: NOW_MS },
});

describe("exposure to the loss of a failure domain", () => {
  it("is 0 while a copy elsewhere lacks nothing, also on an idle store", () => {
    const idle = copy({ ...pg2, recoveryPoint: measured({ commitMs: NOW_MS - 20 * HOUR_MS, complete: true }) });
    const found = exposed("node-loss", [store([primary(), idle])], { objectives: { "node-loss": { rpoMs: 0, rtoMs: 60_000 } } });
    expect(found).toMatchObject({
      exposureMs: { known: true, value: 0 },
      bytes: { value: 0 },
      transactions: { value: 0 },
      judgement: "within",
      uses: [{ store: "db", copy: "pg2", proven: true }],
    });
  });

  it("grows with time while an asynchronous copy stalls, and says that nothing waits for it", () => {
    const stalled = copy({
      ...pg2,
      ...asynchronous,
      recoveryPoint: behind(42_000),
      missingBytes: measured(7_000),
      missingTransactions: measured(12),
    });
    const found = exposed("zone-loss", [store([primary(), stalled])], { objectives: { "zone-loss": { rpoMs: 30_000, rtoMs: 60_000 } } });
    expect(found).toMatchObject({
      exposureMs: { value: 42_000 },
      bytes: { value: 7_000 },
      transactions: { value: 12 },
      judgement: "above",
    });
    expect(found.notCovered.join()).toContain("promises nothing");
  });

  it("counts a copy that is complete for nothing more once an acknowledgement waits for it", () => {
    expect(exposed("node-loss", [store([primary(), pg2])]).notCovered.join()).not.toContain("promises nothing");
  });

  it("takes the newest of the copies that survive", () => {
    const far = copy({ name: "pg3", domain: { machine: "m3", zone: "c" }, recoveryPoint: behind(9_000), ...asynchronous });
    const near = copy({ name: "pg2", domain: { machine: "m2", zone: "a" }, recoveryPoint: behind(100) });
    const facts = [store([primary(), near, far])];
    expect(exposed("node-loss", facts)).toMatchObject({ exposureMs: { value: 100 }, uses: [{ copy: "pg2" }] });
    expect(exposed("zone-loss", facts)).toMatchObject({ exposureMs: { value: 9_000 }, uses: [{ copy: "pg3" }] });
  });

  it("prefers the copy that acknowledgements wait for when two are as new as each other", () => {
    const other = copy({ name: "a-first", domain: { machine: "m9" }, ...asynchronous });
    expect(exposed("node-loss", [store([primary(), other, pg2])]).uses).toEqual([{ store: "db", copy: "pg2", proven: true }]);
  });

  it("does not count a copy whose domain nobody named, and says so", () => {
    const somewhere = copy({ name: "pg2", domain: { machine: "m2" } });
    const found = exposed("zone-loss", [store([primary(), somewhere])], { objectives: { "zone-loss": { rpoMs: 1, rtoMs: 1 } } });
    const why = expect.stringContaining("pg2, whether it shares the zone of pg1 is not known") as string;
    expect(found).toMatchObject({ exposureMs: { known: false, why }, judgement: "unknown" });
    expect(found.lost).toBeUndefined();
    // Said once.
    expect(found.notCovered.join()).not.toContain("whether it shares");
  });

  it("has no figure and is above the objective where no other copy exists", () => {
    const found = exposed("node-loss", [store([primary()])], { objectives: { "node-loss": { rpoMs: 86_400_000, rtoMs: 1 } } });
    expect(found).toMatchObject({ exposureMs: { known: false }, lost: ["db"], judgement: "above", uses: [] });
  });

  it("does not know of a store of which no copy was seen, or that was not looked at", () => {
    const demands = { stores: ["db", "other"], objectives: { "node-loss": { rpoMs: 1, rtoMs: 1 } } };
    const found = exposed("node-loss", [store([])], demands);
    expect(found).toMatchObject({
      judgement: "unknown",
      exposureMs: { known: false, why: "no copy of db was seen; other was not looked at yet" },
    });
    expect(found.lost).toBeUndefined();
  });

  it("is not certain of a loss while nothing that holds the store ever answered: what was not seen may feed other copies", () => {
    const demands = { objectives: { "node-loss": { rpoMs: 1, rtoMs: 1 }, "bad-write": { rpoMs: 1, rtoMs: 1 } } };
    const silent = store([copy({ name: "db1", recoveryPoint: never })]);
    for (const scenario of ["process-loss", "node-loss", "bad-write"] as const) {
      const found = exposed(scenario, [silent], demands);
      expect(found).toMatchObject({
        exposureMs: { known: false, why: "nothing that holds db has answered yet", sinceMs: NOW_MS - 30_000 },
      });
      expect(found.lost).toBeUndefined();
    }
    expect(exposed("node-loss", [silent], demands).judgement).toBe("unknown");
    // A primary that was seen and is silent now is known to have had no other copy.
    expect(exposed("node-loss", [store([primary({ recoveryPoint: never })])], demands).judgement).toBe("above");
  });

  it("counts what lies on disk as surviving the end of its process", () => {
    expect(exposed("process-loss", [store([primary({ outlivesProcess: true })])])).toMatchObject({
      exposureMs: { value: 0 },
      uses: [{ copy: "pg1" }],
    });
    expect(exposed("process-loss", [store([primary()])]).lost).toEqual(["db"]);
  });

  it("without a primary takes the copy whose loss costs most", () => {
    const bucket = [
      copy({ name: "one", kind: "inventory", domain: { zone: "a" }, recoveryPoint: behind(10_000) }),
      copy({ name: "two", kind: "inventory", domain: { zone: "b" }, recoveryPoint: behind(50_000) }),
    ];
    expect(exposed("zone-loss", [store(bucket)])).toMatchObject({ exposureMs: { value: 50_000 }, uses: [{ copy: "two" }] });
  });

  it("does not know what counts while two copies say that they are the primary", () => {
    const found = exposed("node-loss", [store([primary(), primary({ name: "pg2", domain: { machine: "m2" } }), pg2])]);
    expect(found.exposureMs).toMatchObject({ known: false, why: expect.stringContaining("pg1 and pg2 both say") });
  });
});

describe("exposure to a bad write", () => {
  it("is not helped by replicas, however many", () => {
    const found = exposed("bad-write", [store([primary(), pg2])], { objectives: { "bad-write": { rpoMs: HOUR_MS, rtoMs: HOUR_MS } } });
    expect(found).toMatchObject({ exposureMs: { known: false }, lost: ["db"], judgement: "above" });
    expect(found.notCovered.join()).toContain("db/pg2 would repeat a bad write");
  });

  it("is the age of the newest time that a copy can go back to", () => {
    expect(exposed("bad-write", [store([primary(), pg2, backup])])).toMatchObject({
      exposureMs: { value: HOUR_MS },
      uses: [{ copy: "base" }],
    });
  });

  it("does not count what a copy has and cannot go back to", () => {
    const late = { ...backup, recoveryPoint: behind(0), pointInTime: { fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS - 7_000 } };
    const found = exposed("bad-write", [store([primary(), late])]);
    expect(found).toMatchObject({ exposureMs: { value: 7_000 }, bytes: { known: false }, transactions: { known: false } });
    expect(valueOf(exposed("node-loss", [store([primary(), late])]).exposureMs)).toBe(0);
  });

  it("is 0 with unbroken WAL up to now on a base backup that it reaches back to", () => {
    const found = exposed("bad-write", [store([primary(), backup, vault])]);
    expect(found).toMatchObject({ exposureMs: { value: 0 }, uses: [{ copy: "vault1", onto: "base", proven: false }] });
    expect(found.notCovered.join()).toContain("cannot be undone");
  });

  it("is not helped by WAL that begins after the base backup", () => {
    const late = { ...vault, pointInTime: { fromMs: NOW_MS - HOUR_MS + 1, toMs: NOW_MS } };
    expect(exposed("bad-write", [store([primary(), backup, late])])).toMatchObject({
      exposureMs: { value: HOUR_MS },
      uses: [{ copy: "base" }],
    });
  });

  it("is not helped by WAL alone", () => {
    expect(exposed("bad-write", [store([primary(), pg2, vault])]).lost).toEqual(["db"]);
  });

  it("is unknown with WAL that somebody else archives: there may well be a base backup that nobody told of", () => {
    const { pointInTime: _none, ...said } = vault;
    const archive = { ...said, name: "archive", kind: "archive" as const, basesUnknown: true };
    for (const scenario of ["bad-write", "node-loss"] as const) {
      const found = exposed(scenario, [store([primary(), archive])]);
      expect(found.lost).toBeUndefined();
      expect(found.exposureMs).toMatchObject({
        known: false,
        why: "no copy of db is known to survive: archive, no base backup that its WAL could be put on is known",
      });
    }
    expect(exposed("node-loss", [store([primary(), { ...archive, domain: primary().domain }])]).lost).toEqual(["db"]);
    // What is told of counts as ever.
    expect(exposed("node-loss", [store([primary(), pg2, archive])]).uses).toMatchObject([{ copy: "pg2" }]);
    expect(exposed("bad-write", [store([primary(), backup, archive])]).uses).toMatchObject([{ copy: "base" }]);
  });

  it("names the copy that a remark is about", () => {
    const remarked = { ...backup, remarks: ["it is not connected to the primary", "A sentence of its own."] };
    expect(exposed("bad-write", [store([primary(), remarked])]).notCovered.slice(-2)).toEqual([
      "db/base: it is not connected to the primary.",
      "A sentence of its own.",
    ]);
  });

  it("is unknown when the copy that could go back is not seen", () => {
    const away = { ...backup, recoveryPoint: never };
    expect(exposed("bad-write", [store([primary(), pg2, away])]).exposureMs).toMatchObject({
      known: false,
      why: expect.stringContaining("does not answer"),
    });
  });
});

describe("exposure to the loss of an account", () => {
  const locked = { ...backup, name: "far", domain: { account: "safe" }, lockedUntilMs: NOW_MS + 1 };

  it("is helped only by a copy that nobody can delete, in another account", () => {
    const rows: [over: Partial<CopyFacts>, value: number | "unknown"][] = [
      [{}, HOUR_MS],
      [{ lockedUntilMs: NOW_MS }, "unknown"],
      [{ domain: { account: "main" } }, "unknown"],
      [{ domain: {} }, "unknown"],
    ];
    for (const [over, value] of rows)
      expect([over, valueOf(exposed("account-loss", [store([primary(), pg2, { ...locked, ...over }])]).exposureMs)]).toEqual([over, value]);
  });

  it("is certain to take everything where such a copy does not exist, and not known where the account has no name", () => {
    expect(exposed("account-loss", [store([primary(), { ...pg2, domain: { account: "safe" } }])]).lost).toEqual(["db"]);
    expect(exposed("account-loss", [store([primary(), { ...locked, domain: {} }])]).lost).toBeUndefined();
  });
});

describe("trust in a copy", () => {
  it("is not proven by a backup that was never restored, and the figure from proven copies stands beside it", () => {
    const proven = {
      ...backup,
      name: "old",
      recoveryPoint: behind(5 * HOUR_MS, { method: "reported" }),
      pointInTime: { fromMs: 0, toMs: NOW_MS - 5 * HOUR_MS },
      proof: { atMs: 1, tookMs: 90_000 },
    };
    const found = exposed("bad-write", [store([primary(), backup, proven])]);
    expect(found).toMatchObject({
      exposureMs: { value: HOUR_MS },
      provenExposureMs: { value: 5 * HOUR_MS },
      recoveryTimeMs: { known: false },
    });
    expect(found.notCovered.join()).toContain("db/base was never restored");
    expect(exposed("bad-write", [store([primary(), proven])])).toMatchObject({
      exposureMs: { value: 5 * HOUR_MS },
      recoveryTimeMs: { value: 90_000 },
    });
    expect(exposed("bad-write", [store([primary(), proven])]).provenExposureMs).toBeUndefined();
    expect(exposed("bad-write", [store([primary(), backup])]).provenExposureMs).toMatchObject({ known: false });
  });

  it("does not take commits for safe that an emptied standby list released, until the copy is seen past them (trap 16)", () => {
    const waiting = copy({ ...pg2, recoveryPoint: measured({ commitMs: NOW_MS - 60_000, complete: true }, "synchronous") });
    const at = (releasedWithoutCopiesAtMs: number): ReturnType<typeof exposed> =>
      exposed("node-loss", [store([primary(), waiting], { releasedWithoutCopiesAtMs })]);
    expect(valueOf(exposed("node-loss", [store([primary(), waiting])]).exposureMs)).toBe(0);
    expect(valueOf(at(NOW_MS - 50_000).exposureMs)).toBe(60_000);
    expect(valueOf(at(NOW_MS - 70_000).exposureMs)).toBe(0);
    expect(at(NOW_MS - 50_000).notCovered.join()).toContain("without the copies that they waited for");
  });

  it("does not conclude completeness from a copy of which it is not known whether acknowledgements wait for it", () => {
    const waiting = (synchronous: typeof pg2.synchronous): number | "unknown" =>
      valueOf(
        exposed("node-loss", [store([primary(), copy({ ...pg2, synchronous, recoveryPoint: behind(0, { method: "synchronous" }) })])])
          .exposureMs,
      );
    expect(waiting(measured(true))).toBe(0);
    expect(waiting(unknown("the primary does not answer", 0))).toBe("unknown");
    expect(waiting(measured(false))).not.toBe(0);
  });

  it("says from when on a figure that is too old is not known", () => {
    const old = known({ commitMs: NOW_MS, complete: true }, { atMs: NOW_MS - 10_001, method: "canary", errorMs: 5 });
    expect(exposed("node-loss", [store([primary(), copy({ ...pg2, recoveryPoint: old })])]).exposureMs).toMatchObject({
      known: false,
      sinceMs: NOW_MS - 10_001,
    });
    expect(exposed("node-loss", [store([primary(), copy({ ...pg2, recoveryPoint: old, freshForMs: 60_000 })])]).exposureMs).toMatchObject({
      value: 0,
      errorMs: 10_006,
    });
  });

  it("does not know what was measured before the observer's clock was set back", () => {
    const future = known({ commitMs: NOW_MS, complete: true }, { atMs: NOW_MS + HOUR_MS, method: "canary", errorMs: 5 });
    expect(valueOf(exposed("node-loss", [store([primary(), copy({ ...pg2, recoveryPoint: future })])]).exposureMs)).toBe("unknown");
  });
});

describe("clocks", () => {
  /** The primary's clock is an hour ahead; the copy is 5 s behind. */
  const ahead = copy({ ...pg2, recoveryPoint: measured({ commitMs: NOW_MS + HOUR_MS - 5_000, complete: false }) });

  it("that differ by an hour are reckoned with, within the error bound of the difference", () => {
    const found = exposed("node-loss", [store([primary(), ahead], { clockOffset: measured(HOUR_MS, "observed", 40) })]);
    expect(found.exposureMs).toMatchObject({ value: 5_000, errorMs: 45 });
  });

  it("need not be compared where the primary's canary was read", () => {
    const { clockOffset: _, ...facts } = store([primary(), ahead], { newestCommit: measured({ commitMs: NOW_MS + HOUR_MS - 300 }) });
    expect(exposed("node-loss", [facts]).exposureMs).toMatchObject({ value: 4_700, errorMs: 1_010 });
  });

  it("that were not compared give no figure", () => {
    const { clockOffset: _, ...facts } = store([primary(), ahead], { newestCommit: never });
    expect(exposed("node-loss", [facts]).exposureMs).toMatchObject({ known: false, why: expect.stringContaining("could not be compared") });
  });

  it("that are wrong give no 0: a commit of a time that has not come is no proof", () => {
    expect(exposed("node-loss", [store([primary(), ahead])]).exposureMs).toMatchObject({
      known: false,
      why: expect.stringContaining("a clock is wrong"),
    });
  });

  it("of the primary do not matter to a time that the observer saw itself", () => {
    const seen = copy({ ...pg2, recoveryPoint: behind(3_000, { method: "position-history" }) });
    expect(valueOf(exposed("node-loss", [store([primary(), seen], { clockOffset: measured(HOUR_MS) })]).exposureMs)).toBe(3_000);
  });
});

describe("a new timeline", () => {
  const newest = measured({ commitMs: NOW_MS, lsn: "0/3000000", timeline: 2 as Timeline });
  const left = copy({ ...pg2, recoveryPoint: measured({ commitMs: NOW_MS, complete: true, lsn: "0/9000000", timeline: 1 as Timeline }) });

  it("is no error when its positions are lower, and a copy that follows it counts", () => {
    const follows = copy({
      ...pg2,
      recoveryPoint: measured({ commitMs: NOW_MS, complete: true, lsn: "0/3000000", timeline: 2 as Timeline }),
    });
    expect(valueOf(exposed("node-loss", [store([primary(), follows], { newestCommit: newest })]).exposureMs)).toBe(0);
  });

  it("leaves a copy on the old one behind, however high its position is (trap 24)", () => {
    const facts = store([primary(), left], { newestCommit: newest });
    expect(valueOf(exposed("node-loss", [facts]).exposureMs)).toBe("unknown");
    const found = exposed("node-loss", [{ ...facts, timelineSinceMs: NOW_MS - 8_000 }]);
    expect(found).toMatchObject({ exposureMs: { value: 8_000 }, bytes: { known: false }, transactions: { known: false } });
  });

  it("does not spoil a backup of the old one", () => {
    const old = { ...backup, recoveryPoint: behind(HOUR_MS, { method: "reported", timeline: 1 }) };
    expect(valueOf(exposed("node-loss", [store([primary(), old], { newestCommit: newest })]).exposureMs)).toBe(HOUR_MS);
  });
});

describe("a service", () => {
  const second = {
    ...store([primary({ name: "q1" }), copy({ ...pg2, name: "q2", recoveryPoint: behind(4_000), missingTransactions: measured(8) })]),
    store: "queue",
  };
  const first = store([primary(), copy({ ...pg2, recoveryPoint: behind(1_000), missingTransactions: measured(2) })]);

  it("is exposed as its worst store is, and its losses add up", () => {
    expect(exposed("node-loss", [first, second])).toMatchObject({
      exposureMs: { value: 4_000 },
      recoveryPoint: { value: { commitMs: NOW_MS - 4_000 } },
      transactions: { value: 10 },
      uses: [{ store: "db" }, { store: "queue" }],
    });
  });

  it("has no figure when one store has none, and is above its objective when another store certainly is", () => {
    const dark = { ...second, copies: [primary(), copy({ ...pg2, recoveryPoint: never })] };
    const objectives = (rpoMs: number): object => ({ objectives: { "node-loss": { rpoMs, rtoMs: 1 } } });
    expect(exposed("node-loss", [first, dark], objectives(2_000))).toMatchObject({ exposureMs: { known: false }, judgement: "unknown" });
    expect(exposed("node-loss", [first, dark], objectives(500))).toMatchObject({ exposureMs: { known: false }, judgement: "above" });
  });

  it("counts its loss in its own unit, rounded up; nothing lost is 0 of anything", () => {
    const inOrders = (business: object, facts = first): unknown =>
      exposed("node-loss", [facts], { business: { unit: "orders", ...business } }).business;
    expect(inOrders({ perHour: 900 })).toMatchObject({ unit: "orders", amount: { value: 1 } });
    expect(inOrders({ perHour: 900, perTransaction: 3 })).toMatchObject({ amount: { value: 6 } });
    expect(inOrders({})).toMatchObject({ amount: { known: false } });
    expect(inOrders({ perHour: Number.NaN })).toMatchObject({ amount: { known: false } });
    expect(inOrders({}, store([primary(), pg2]))).toMatchObject({ amount: { value: 0 } });
    expect(
      inOrders({ perTransaction: 3 }, store([primary(), copy({ ...pg2, recoveryPoint: behind(1_000), missingTransactions: never })])),
    ).toMatchObject({ amount: { known: false } });
  });

  it("counts its loss in revenue as well, by the lost units where it is known what one earns, and never from what is not known", () => {
    const inMoney = (business: object, facts = first): unknown =>
      exposed("node-loss", [facts], { business: { unit: "orders", revenue: { currency: "EUR", perHour: 24_000 }, ...business } }).business;
    const slow = store([primary(), copy({ ...pg2, recoveryPoint: behind(36_000) })]);
    expect(inMoney({ perHour: 1_200 }, slow)).toMatchObject({
      amount: { value: 12 },
      revenue: { currency: "EUR", amount: { value: 240 } },
    });
    expect(inMoney({ perHour: 1_200, perTransaction: 3 })).toMatchObject({ amount: { value: 6 }, revenue: { amount: { value: 120 } } });
    expect(inMoney({ perTransaction: 3 }, slow)).toMatchObject({ revenue: { amount: { value: 240 } } });
    expect(inMoney({ perHour: 1_200 }, store([primary(), pg2]))).toMatchObject({ amount: { value: 0 }, revenue: { amount: { value: 0 } } });
    const dark = store([primary(), copy({ ...pg2, recoveryPoint: never, missingTransactions: never })]);
    expect(inMoney({ perHour: 1_200 }, dark)).toMatchObject({ amount: { known: false }, revenue: { amount: { known: false } } });
    expect(inMoney({ perTransaction: 3 }, dark)).toMatchObject({ revenue: { amount: { known: false } } });
    expect(inMoney({ perHour: 1_200, revenue: undefined as never })).not.toHaveProperty("revenue");
  });

  it("rounds up what is a part, and not what binary fractions make of a whole", () => {
    const thirty = store([primary(), copy({ ...pg2, recoveryPoint: behind(1_000), missingTransactions: measured(30) })]);
    const { business } = exposed("node-loss", [thirty], { business: { unit: "orders", perTransaction: 0.1 } });
    expect(business?.amount).toMatchObject({ value: 3 });
  });

  it("is told when an objective is stricter for an accident that takes more", () => {
    const objectives = { "node-loss": { rpoMs: 60_000, rtoMs: 1 }, "region-loss": { rpoMs: 0, rtoMs: 1 } };
    expect(exposed("node-loss", [first], { objectives }).notCovered.join()).toContain("contradict each other: region-loss");
    expect(exposed("region-loss", [first], { objectives }).notCovered.join()).not.toContain("contradict");
  });

  it("has one exposure for each scenario, with or without an objective", () => {
    const all = exposureOf({ nowMs: NOW_MS, services: { orders: { stores: ["db"], objectives: {} } }, stores: new Map([["db", first]]) });
    expect(all.map(({ scenario, judgement }) => [scenario, judgement])).toEqual(SCENARIOS.map((scenario) => [scenario, "no-objective"]));
  });
});
