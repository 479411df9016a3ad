import { describe, expect, it } from "vitest";
import type { StoreConfig } from "../../config/config.ts";
import { ASYNCHRONOUS_SET, CLOSED_SET } from "../quorum.ts";
import { sampleSet } from "../testing/sample-record.ts";
import { nodeSettings, standbyNames } from "./postgresql-settings.ts";

const settings = (major: number, own: Record<string, string> = {}): Readonly<Record<string, string>> =>
  nodeSettings({ store: { settings: own, vaults: [] } as unknown as StoreConfig, node: "pg1", major, synchronous: CLOSED_SET });

describe("PostgreSQL's settings", () => {
  it("name the members of a set by identity, in one order", () => {
    expect(standbyNames(sampleSet(1, "s", "a"))).toBe('ANY 1 ("a_1", "s_1")');
    expect(standbyNames(sampleSet(2, "a", "s"))).toBe('ANY 2 ("a_1", "s_1")');
  });

  it("wait for a name that nobody can have when the set is closed, and for none when it is asynchronous", () => {
    expect(standbyNames(CLOSED_SET)).toBe('ANY 1 ("tidemark_nobody")');
    expect(standbyNames(ASYNCHRONOUS_SET)).toBe("");
  });

  it("let the store add its own, but not weaken what is acknowledged", () => {
    const own = settings(18, { work_mem: "64MB", fsync: "off", synchronous_commit: "off", restart_after_crash: "on" });
    expect(own["work_mem"]).toBe("64MB");
    expect([own["fsync"], own["synchronous_commit"], own["restart_after_crash"]]).toEqual(["on", "on", "off"]);
  });

  it("bound what a slot keeps (trap 5), and never let it go for being idle (trap 6), where PostgreSQL knows that setting", () => {
    expect(settings(18)["max_slot_wal_keep_size"]).toBe("1GB");
    expect(settings(18)["idle_replication_slot_timeout"]).toBe("0");
    expect(settings(17)["idle_replication_slot_timeout"]).toBeUndefined();
  });
});
