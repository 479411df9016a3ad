import { silentLogger } from "@tidemark/kernel/logger";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { describe, expect, it } from "vitest";
import type { LeaseEntry, LeaseStore } from "./lease-store.ts";
import { RecordWatch } from "./record-watch.ts";
import { sampleRecord } from "./testing/sample-record.ts";

function watchOf(answers: (LeaseEntry | undefined)[]): RecordWatch {
  const store: Pick<LeaseStore, "read"> = { read: () => Promise.resolve(answers.shift()) };
  return new RecordWatch({
    store: store as LeaseStore,
    storeName: "orders",
    clock: new ManualClock(),
    logger: silentLogger,
    onChange: () => undefined,
  });
}

const at = (revision: number): LeaseEntry => ({ key: "cluster/orders", value: sampleRecord(), revision });

describe("a record watch", () => {
  it("confirms what the lease store says now", async () => {
    const watch = watchOf([at(4), at(5), at(5)]);
    expect((await watch.confirm()).revision).toBe(4);
    expect((await watch.confirm()).revision).toBe(5);
    expect((await watch.confirm()).revision).toBe(5);
  });

  it("takes nothing remembered for a confirmation when the lease store was emptied or restored (R7)", async () => {
    for (const older of [undefined, at(3)]) {
      const watch = watchOf([at(4), older]);
      await watch.confirm();
      await expect(watch.confirm()).rejects.toThrow(expect.objectContaining({ code: "TM-CLUSTER-LEASE-STORE-OLD" }));
      expect(watch.seen?.revision).toBe(4);
    }
  });
});
