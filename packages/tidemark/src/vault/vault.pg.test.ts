import { readdir } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { RunningVault, flushLsn, removePlace, switchWal, targetOf, vaultPlace, writeWal } from "./testing/running-vault.ts";

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
