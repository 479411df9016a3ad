import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { describe, expect, it } from "vitest";
import type { RecordWatch, Seen } from "../record-watch.ts";
import { sampleRecord } from "../testing/sample-record.ts";
import { ReignLease } from "./reign-lease.ts";

const LEASE_MS = 5_000;

/** What is known of the record, what PostgreSQL does, and whether it was ended. */
function leaseOf(
  seen: Seen | undefined,
  postgres: { writing: boolean; alone: boolean },
): { clock: ManualClock; ends: () => number; stop: () => void } {
  const clock = new ManualClock();
  let ends = 0;
  const watch = { seen, confirm: () => Promise.reject(new Error("the lease store is away")) };
  const lease = new ReignLease({
    watch: watch as unknown as RecordWatch,
    clock,
    node: "pg1",
    leaseMs: LEASE_MS,
    isWriting: () => postgres.writing,
    waitsForNobody: () => postgres.alone,
    end: () => {
      ends++;
      postgres.writing = false;
      return Promise.resolve();
    },
  });
  const stop = new AbortController();
  void lease.run(stop.signal);
  return { clock, ends: () => ends, stop: () => stop.abort(new Error("the test is over")) };
}

const recordOf = (required: number): Seen => ({
  record: { ...sampleRecord(), primary: "pg1", sets: [{ members: required === 0 ? [] : [{ node: "pg2", identity: "pg2_x" }], required }] },
  revision: 1,
});

describe("the lease of a reign (R5)", () => {
  it("ends an asynchronous primary that cannot renew it", async () => {
    const run = leaseOf(recordOf(0), { writing: true, alone: true });
    await run.clock.advance(LEASE_MS);
    expect(run.ends()).toBe(1);
    run.stop();
  });

  it("stops nobody whose commits wait for a member: there the revocation is the fence", async () => {
    const run = leaseOf(recordOf(1), { writing: true, alone: false });
    await run.clock.advance(LEASE_MS * 4);
    expect(run.ends()).toBe(0);
    run.stop();
  });

  it("ends an adopted primary that acknowledges alone when the store has not said a word for a lease's time", async () => {
    const run = leaseOf(undefined, { writing: true, alone: true });
    await run.clock.advance(LEASE_MS * 0.8);
    expect(run.ends()).toBe(0);
    await run.clock.advance(LEASE_MS * 0.2);
    expect(run.ends()).toBe(1);
    run.stop();
  });

  it("leaves an adopted primary whose commits wait for a member alone", async () => {
    const run = leaseOf(undefined, { writing: true, alone: false });
    await run.clock.advance(LEASE_MS * 4);
    expect(run.ends()).toBe(0);
    run.stop();
  });
});
