import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import { segmentName } from "@tidemark/postgres/wal/segment-name";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { RunningVault, ask, flushLsn, removePlace, switchWal, targetOf, vaultPlace, writeWal } from "./testing/running-vault.ts";

let place: string;
let primary: TestServer;
beforeEach(async () => {
  place = await vaultPlace();
  primary = await startPrimary();
});
afterEach(async () => {
  await primary.dispose();
  await removePlace(place);
});

describe("a vault", () => {
  it("receives from its slot's first segment on, and goes on where it ended after a stop", async () => {
    await using first = await RunningVault.start(place, targetOf(primary));
    await first.streaming();
    await first.reached(await writeWal(primary, 3));
    await switchWal(primary);
    await first.reached(await flushLsn(primary));
    await first.stop();
    const end = await writeWal(primary, 2);
    await using second = await RunningVault.start(place, targetOf(primary));
    await second.reached(end);
    expect(second.file.identity).toBe(first.file.identity);
    expect(second.file.run).toEqual(first.file.run);
    expect(second.status.faults).toEqual([]);
    expect((await readdir(second.wal)).sort()).toMatchObject([
      expect.stringMatching(/^0000000100000000000000\d\d$/),
      expect.stringMatching(/\.partial$/),
    ]);
  });
});

describe("a vault whose disk fails", () => {
  it("stops for good with FAIL-STOP, acknowledges nothing more, and goes on whole when it is started on a sound disk (trap 2)", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.reached(await writeWal(primary, 1));
    const before = vault.status.recoveryPoint;
    // The next segment's file cannot be made: something else stands in its place.
    const next = segmentName({ timeline: 1 as Timeline, lsn: (parseLsn(before?.flushedLsn ?? "") + 0x100_0000n) as Lsn }, 0x100_0000);
    const obstacle = join(vault.wal, `${next}.partial`);
    await mkdir(obstacle);
    await switchWal(primary);
    await writeWal(primary, 1);
    expect(await vault.failure()).toMatchObject({ code: "TM-VAULT-FAIL-STOP", retry: "never" });
    const [row] = await ask<{ streams: number }>(primary, "SELECT count(*)::int AS streams FROM pg_stat_replication");
    expect(row?.streams).toBe(0);
    await rm(obstacle, { recursive: true });
    await using again = await RunningVault.start(place, targetOf(primary));
    await again.reached(await writeWal(primary, 1));
    expect(again.status.gaps).toEqual([]);
    expect(again.faultCodes()).toEqual([]);
  });
});
