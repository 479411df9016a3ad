// What every lease store has to do. Registered by each adapter's test with a maker of an empty store.
import { describe, expect, it } from "vitest";
import type { LeaseStore } from "../lease-store.ts";

export interface StoreUnderTest extends AsyncDisposable {
  readonly store: LeaseStore;
}

export function leaseStoreContract(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`the lease store contract: ${name}`, () => {
    it("knows nothing of a key that was never set", async () => {
      await using it = await make();
      expect(await it.store.read("cluster/none")).toBeUndefined();
    });

    it("sets a new key on revision 0, and answers what stands there", async () => {
      await using it = await make();
      const entry = await it.store.compareAndSet("cluster/a", 0, { epoch: 1, text: "ü" });
      expect(entry).toMatchObject({ key: "cluster/a", value: { epoch: 1, text: "ü" } });
      expect(entry.revision).toBeGreaterThan(0);
      expect(await it.store.read("cluster/a")).toEqual(entry);
    });

    it("gives a growing revision to each change", async () => {
      await using it = await make();
      let revision = 0;
      for (let epoch = 1; epoch <= 5; epoch++) {
        const entry = await it.store.compareAndSet("k", revision, { epoch });
        expect(entry.revision).toBeGreaterThan(revision);
        revision = entry.revision;
      }
      expect((await it.store.read("k"))?.value).toEqual({ epoch: 5 });
    });

    it("refuses a change on another revision, and changes nothing", async () => {
      await using it = await make();
      const entry = await it.store.compareAndSet("k", 0, "first");
      for (const expected of [0, entry.revision + 1, 999]) {
        await expect(it.store.compareAndSet("k", expected, "second")).rejects.toMatchObject({ code: "TM-CLUSTER-CONFLICT" });
      }
      await expect(it.store.compareAndSet("other", 3, "second")).rejects.toMatchObject({ code: "TM-CLUSTER-CONFLICT" });
      expect(await it.store.read("k")).toEqual(entry);
      expect(await it.store.read("other")).toBeUndefined();
    });

    it("lets one of many who change the same revision win", async () => {
      await using it = await make();
      const { revision } = await it.store.compareAndSet("k", 0, "start");
      const outcomes = await Promise.allSettled(Array.from({ length: 16 }, (_, who) => it.store.compareAndSet("k", revision, { who })));
      const won = outcomes.filter((outcome) => outcome.status === "fulfilled");
      expect(won).toHaveLength(1);
      expect(await it.store.read("k")).toEqual(won[0]?.value);
      for (const outcome of outcomes)
        if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "TM-CLUSTER-CONFLICT" });
    });

    it("keeps keys apart", async () => {
      await using it = await make();
      await it.store.compareAndSet("a/x", 0, 1);
      await it.store.compareAndSet("a-x", 0, 2);
      expect((await it.store.read("a/x"))?.value).toBe(1);
      expect((await it.store.read("a-x"))?.value).toBe(2);
    });

    it("answers a wait at once when a newer revision stands already", async () => {
      await using it = await make();
      const entry = await it.store.compareAndSet("k", 0, "there");
      expect(await it.store.waitFor("k", 0, { waitMs: 10_000 })).toEqual(entry);
    });

    it("answers a wait as soon as the key changes, also one that was not there", async () => {
      await using it = await make();
      const waiting = it.store.waitFor("k", 0, { waitMs: 10_000 });
      const entry = await it.store.compareAndSet("k", 0, "new");
      expect(await waiting).toEqual(entry);
      const again = it.store.waitFor("k", entry.revision, { waitMs: 10_000 });
      await it.store.compareAndSet("other", 0, "unrelated");
      const changed = await it.store.compareAndSet("k", entry.revision, "newer");
      expect(await again).toEqual(changed);
    });

    it("answers a wait with nothing when the time is over, or the one who waits gives up", async () => {
      await using it = await make();
      const { revision } = await it.store.compareAndSet("k", 0, "there");
      expect(await it.store.waitFor("k", revision, { waitMs: 20 })).toBeUndefined();
      const abort = new AbortController();
      const waiting = it.store.waitFor("k", revision, { waitMs: 60_000, signal: abort.signal });
      abort.abort();
      expect(await waiting).toBeUndefined();
      expect(await it.store.waitFor("k", 0, { waitMs: 60_000, signal: abort.signal })).toSatisfy(
        (entry) => entry === undefined || (entry as { revision: number }).revision === revision,
      );
    });

    it("refuses keys and values outside its limits", async () => {
      await using it = await make();
      for (const key of ["", "../x", "a b", "k".repeat(201)]) {
        await expect(it.store.read(key)).rejects.toMatchObject({ code: "TM-CLUSTER-LEASE-STORE-VALUE" });
      }
      await expect(it.store.compareAndSet("k", 0, "x".repeat(300_000))).rejects.toMatchObject({ code: "TM-CLUSTER-LEASE-STORE-VALUE" });
      await expect(it.store.compareAndSet("k", 0, undefined)).rejects.toMatchObject({ code: "TM-CLUSTER-LEASE-STORE-VALUE" });
    });
  });
}
