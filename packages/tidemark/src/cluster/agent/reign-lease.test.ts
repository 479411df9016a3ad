import type { Epoch } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterRecord } from "../cluster-record.ts";
import { recordKey } from "../cluster-record.ts";
import { ASYNCHRONOUS_SET } from "../quorum.ts";
import { RecordWatch } from "../record-watch.ts";
import { SimulatedLeaseStore } from "../simulated/simulated-lease-store.ts";
import { sampleRecord } from "../testing/sample-record.ts";
import { ReignLease } from "./reign-lease.ts";

let stop = new AbortController();
afterEach(() => {
  stop.abort();
  stop = new AbortController();
});

async function reigning(
  record: ClusterRecord,
): Promise<{ clock: ManualClock; store: SimulatedLeaseStore; watch: RecordWatch; ended: () => number }> {
  const clock = new ManualClock();
  const store = new SimulatedLeaseStore(clock);
  await store.compareAndSet(recordKey("orders"), 0, record);
  const watch = new RecordWatch({ store, storeName: "orders", clock, logger: silentLogger, onChange: () => undefined });
  let endedMs = -1;
  const lease = new ReignLease({
    watch,
    clock,
    node: "a",
    leaseMs: 5_000,
    isWriting: () => endedMs < 0,
    end: async () => {
      endedMs = clock.monotonicMs();
    },
  });
  lease.renew(await watch.confirm());
  void lease.run(stop.signal);
  return { clock, store, watch, ended: () => endedMs };
}

const asynchronous = sampleRecord({ sets: [ASYNCHRONOUS_SET] });

describe("the lease of a reign (R5)", () => {
  it("is renewed by every read that shows the reign and no claim", async () => {
    const it = await reigning(asynchronous);
    await it.clock.advance(60_000);
    expect(it.ended()).toBe(-1);
  });

  it("ends PostgreSQL before it runs out when the lease store is away", async () => {
    const it = await reigning(asynchronous);
    await it.clock.advance(10_000);
    it.store.faults.push(...Array.from({ length: 1_000 }, () => "away" as const));
    await it.clock.advance(10_000);
    // The last renewal was sent at 10 s at the latest.
    expect(it.ended()).toBeGreaterThan(10_000);
    expect(it.ended()).toBeLessThan(15_000);
  });

  it("is not renewed once a claim is open", async () => {
    const it = await reigning(asynchronous);
    const entry = await it.store.read(recordKey("orders"));
    await it.store.compareAndSet(recordKey("orders"), entry?.revision ?? 0, {
      ...asynchronous,
      claim: { epoch: 2 as Epoch, coordinator: "c", reason: "", claimedAtMs: 0 },
    });
    await it.clock.advance(5_000);
    expect(it.ended()).toBeGreaterThan(0);
    expect(it.ended()).toBeLessThan(5_000);
  });

  it("matters nothing where a commit waits for another copy", async () => {
    const it = await reigning(sampleRecord());
    it.store.faults.push(...Array.from({ length: 1_000 }, () => "away" as const));
    await it.clock.advance(60_000);
    expect(it.ended()).toBe(-1);
  });

  it("matters nothing to a node that does not reign", async () => {
    const it = await reigning({ ...asynchronous, primary: "s" });
    await it.clock.advance(60_000);
    expect(it.ended()).toBe(-1);
  });
});
