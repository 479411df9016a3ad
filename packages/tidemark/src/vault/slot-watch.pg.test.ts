import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { SlotWatch } from "./slot-watch.ts";
import { ask, switchWal, targetOf, writeWal } from "./testing/running-vault.ts";

let primary: TestServer;
beforeEach(async () => {
  primary = await startPrimary({ settings: { max_slot_wal_keep_size: "32MB", max_wal_size: "48MB", min_wal_size: "32MB" } });
});
afterEach(async () => primary.dispose());

it("sees the slot come close to losing WAL, and lose it, as a role that may only replicate (trap 5)", async () => {
  await ask(primary, "CREATE ROLE receiver LOGIN REPLICATION PASSWORD 'receives'");
  await ask(primary, "SELECT pg_create_physical_replication_slot('vault', true)");
  const stop = new AbortController();
  const login = { user: "receiver", password: new Redacted("receives") };
  const watch = new SlotWatch(systemClock, () => ({
    target: { epoch: 0, claimed: false, ...targetOf(primary), login },
    identity: "vault",
  }));
  try {
    await watch.look();
    expect(watch.status).toMatchObject({ walStatus: "reserved", active: false });
    expect(watch.status?.safeWalBytes).toBeGreaterThan(0);
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) {
      await writeWal(primary, 1);
      await switchWal(primary);
      await watch.look();
      seen.add(watch.status?.walStatus ?? "unknown");
    }
    await ask(primary, "CHECKPOINT");
    await watch.look();
    expect(watch.status?.walStatus).toBe("lost");
    expect(seen).toContain("unreserved");
  } finally {
    stop.abort();
    await watch.run(stop.signal);
  }
});
