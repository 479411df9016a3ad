// What those who read a vault's WAL add to it, put together as the role does.
import { mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ReadVault } from "./testing/read-vault.ts";
import { ask, flushLsn, removePlace, switchWal, writeWal } from "./testing/running-vault.ts";

let folder: string;
let primary: TestServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-readers-"));
  primary = await startPrimary();
});
afterEach(async () => {
  await primary.dispose();
  await removePlace(folder);
});

const archivedTo = (vault: ReadVault): bigint => parseLsn(vault.status.archive?.stores[0]?.recoveryPoint?.lsn ?? "0/0");

/** A commit, with when it was made and where its record begins and ends. */
async function commit(): Promise<{ atMs: number; end: bigint }> {
  await ask(primary, "CREATE TABLE IF NOT EXISTS t (id int)");
  await ask(primary, "INSERT INTO t VALUES (1)");
  const end = await flushLsn(primary);
  const [row] = await ask<{ ms: string }>(primary, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text AS ms");
  return { atMs: Number(row?.ms) + 1, end };
}

describe("a time whose WAL is only in the archive", () => {
  it("is found there, also after the index of commits was lost", async () => {
    let early: Awaited<ReturnType<typeof commit>>;
    {
      await using vault = await ReadVault.start({ folder, primary, keepLocalBytes: 0 });
      await vault.running.streaming();
      await writeWal(primary, 1);
      early = await commit();
      for (let i = 0; i < 3; i++) {
        await switchWal(primary);
        await writeWal(primary, 1);
      }
      await vault.running.reached(await flushLsn(primary));
      const end = await flushLsn(primary);
      await vault.until("it is archived and the old segments have left", () => {
        const oldest = vault.status.archive?.local.oldest;
        return archivedTo(vault) >= end && (oldest === undefined || parseLsn(oldest.lsn) > early.end);
      });
      const found = await vault.ask("GET", `/time-to-lsn?timeMs=${early.atMs}`);
      expect(found.status).toBe(200);
      expect(parseLsn((found.body as { lsn: string }).lsn)).toBeLessThan(early.end);
      expect(early.end - parseLsn((found.body as { lsn: string }).lsn)).toBeLessThan(1_000n);
      await vault.stop();
    }
    const place = join(folder, "vault");
    for (const name of await readdir(place)) if (name.startsWith("commits.sqlite")) await rm(join(place, name));
    await using again = await ReadVault.start({ folder, primary, keepLocalBytes: 0 });
    await again.running.streaming();
    await again.until("commits are read", (status) => status.recoveryPoint?.commitsSinceLsn !== undefined && status.archive !== undefined);
    const found = await again.ask("GET", `/time-to-lsn?timeMs=${early.atMs}`);
    expect(found.body).toMatchObject({ timeline: 1 });
    expect(early.end - parseLsn((found.body as { lsn: string }).lsn)).toBeLessThan(1_000n);
    // Nothing reaches so far back: that is said as well.
    const before = await again.ask("GET", "/time-to-lsn?timeMs=1000");
    expect(before.body).toMatchObject({ code: "TM-VAULT-BEFORE-WAL" });
  }, 60_000);
});

describe("a stop", () => {
  /** The ends of the partial objects of the store. */
  async function partials(): Promise<bigint[]> {
    const names = await readdir(join(folder, "archive"), { recursive: true });
    return names.flatMap((name) => {
      const end = /\.partial-([0-9A-F]{16})$/.exec(name)?.[1];
      return end === undefined ? [] : [BigInt(`0x${end}`)];
    });
  }

  it("waits until the object store has the last partial segment, with the shutdown checkpoint that was received", async () => {
    await using vault = await ReadVault.start({ folder, primary, partialEveryMs: 3_600_000 });
    await vault.running.streaming();
    await vault.until("the first partial one is archived", ({ archive }) => archive?.stores[0]?.recoveryPoint !== undefined);
    const first = archivedTo(vault);
    await writeWal(primary, 1);
    await vault.running.reached(await flushLsn(primary));
    // The server waits with its end until its receivers have the checkpoint.
    await primary.server.stop("fast");
    const flushed = parseLsn(vault.status.recoveryPoint?.flushedLsn ?? "");
    expect(archivedTo(vault)).toBe(first);
    expect(await vault.stop()).toBe(true);
    expect((await partials()).reduce((most, end) => (end > most ? end : most), 0n)).toBe(flushed);
  }, 60_000);

  it("does not wait for ever for a store that is away, and says so", async () => {
    await using vault = await ReadVault.start({ folder, primary });
    await vault.running.streaming();
    await vault.until("it is archived", ({ archive }) => archive?.stores[0]?.recoveryPoint !== undefined);
    await rename(join(folder, "archive"), join(folder, "away"));
    await writeFile(join(folder, "archive"), "no folder");
    await vault.running.reached(await writeWal(primary, 1));
    const before = performance.now();
    expect(await vault.stop(700)).toBe(false);
    expect(performance.now() - before).toBeLessThan(10_000);
  }, 60_000);
});
