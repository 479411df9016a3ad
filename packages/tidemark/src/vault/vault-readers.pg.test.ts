// What those who read a vault's WAL add to it, put together as the role does.
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Epoch } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { receivedCommits } from "./testing/received-commits.ts";
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
  });
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
  });

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
  });
});

describe("WAL that is missing here and that the server has removed", () => {
  /** A vault that archived everything and was stopped, whose last sealed segment the server removes. Answers that segment. */
  async function archivedAndRemoved(): Promise<string> {
    await using vault = await ReadVault.start({ folder, primary });
    await vault.running.streaming();
    for (let i = 0; i < 4; i++) {
      await writeWal(primary, 1);
      await switchWal(primary);
    }
    const end = await writeWal(primary, 1);
    await vault.running.reached(end);
    await vault.until("all is archived", () => archivedTo(vault) >= end);
    expect(await vault.stop()).toBe(true);
    const sealed = (await readdir(join(folder, "vault", "wal"))).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort();
    const last = sealed.at(-1) ?? "";
    // The slot keeps nothing before the segment that grows.
    const removed = (): Promise<object[]> => ask(primary, "SELECT 1 AS one FROM pg_ls_waldir() WHERE name = $1", [last]);
    for (let i = 0; i < 20 && (await removed()).length > 0; i++) await ask(primary, "CHECKPOINT");
    expect(await removed()).toEqual([]);
    return last;
  }

  const object = async (name: string): Promise<string> => {
    const names = await readdir(join(folder, "archive"), { recursive: true });
    return join(folder, "archive", names.find((one) => one.endsWith(`/${name}`)) ?? "");
  };

  it("is taken from the archive and is no gap; the vault votes again once it is whole (R4)", async () => {
    const name = await archivedAndRemoved();
    const path = join(folder, "vault", "wal", name);
    const bytes = await readFile(path);
    await rm(path);
    await using vault = await ReadVault.start({ folder, primary });
    await vault.running.reached(await writeWal(primary, 1));
    expect(await readFile(path)).toEqual(bytes);
    expect(vault.status.gaps).toEqual([]);
    expect(vault.status.baseBackupWanted).toBeUndefined();
    await vault.until("it is whole", () => vault.running.file.repair === undefined);
    // Who watches the segments saw that it was gone, and hears a moment later that the receiver has put it back.
    await vault.until("nobody doubts it any more", () => vault.running.vault.reach.doubts()?.length === 0);
    // What was here behind the missing segment is evidence.
    expect(vault.status.faults.map(({ code }) => code)).toContain("TM-VAULT-CORRUPT");
    const vote = await vault.running.vault.revoke(2 as Epoch);
    expect(vote.contiguousFrom).toEqual(vault.running.file.run?.from);
    expect(receivedCommits(vault.running.wal).end).toBe(parseLsn(vote.end));
  });

  it("is a gap when the archive's copy is damaged as well: nothing that fails its check gets in", async () => {
    const name = await archivedAndRemoved();
    const path = join(folder, "vault", "wal", name);
    await rm(path);
    const copy = await readFile(await object(name));
    copy[Math.floor(copy.length / 2)]! ^= 0x10;
    await writeFile(await object(name), copy);
    await using vault = await ReadVault.start({ folder, primary });
    await vault.until("the gap is recorded", ({ gaps }) => gaps.length > 0);
    await vault.running.reached(await flushLsn(primary));
    expect(await readdir(vault.running.wal)).not.toContain(name);
  });

  it("waits for a store that is away instead of calling it a gap, and does not vote meanwhile", async () => {
    const name = await archivedAndRemoved();
    const path = join(folder, "vault", "wal", name);
    const bytes = await readFile(path);
    await rm(path);
    // The catalogue is gone too: nobody here knows what the store has.
    await rm(join(folder, "vault", "catalogue.sqlite"));
    await rename(join(folder, "archive"), join(folder, "away"));
    await writeFile(join(folder, "archive"), "no folder");
    await using vault = await ReadVault.start({ folder, primary });
    await vault.until("it waits", ({ state, faults }) => state === "waiting" && faults.some(({ code }) => code === "TM-VAULT-UNSURE"));
    expect(vault.status.gaps).toEqual([]);
    await expect(vault.running.vault.revoke(2 as Epoch)).rejects.toMatchObject({ code: "TM-CLUSTER-ABSTAINED" });
    await rm(join(folder, "archive"));
    await rename(join(folder, "away"), join(folder, "archive"));
    vault.running.follow(primary, { epoch: 2 as Epoch });
    await vault.running.reached(await writeWal(primary, 1));
    expect(await readFile(path)).toEqual(bytes);
    expect(vault.status.gaps).toEqual([]);
  });
});

describe("a flipped bit in a sealed segment that is in no archive", () => {
  /** A vault whose store is away, with a sealed segment that was digested and then damaged. */
  async function damaged(vault: ReadVault, before: () => Promise<unknown>): Promise<{ path: string; right: Buffer; wrong: Buffer }> {
    await vault.running.streaming();
    for (let i = 0; i < 3; i++) {
      await writeWal(primary, 1);
      await switchWal(primary);
    }
    await vault.running.reached(await writeWal(primary, 1));
    await vault.until("the segments are digested", ({ archive }) => (archive?.local.digested ?? 0) >= 3);
    const name = (await readdir(vault.running.wal)).filter((one) => /^[0-9A-F]{24}$/.test(one)).sort()[1] ?? "";
    const path = join(vault.running.wal, name);
    const right = await readFile(path);
    const wrong = Buffer.from(right);
    wrong[123_456]! ^= 0x10;
    await before();
    await writeFile(path, wrong);
    return { path, right, wrong };
  }

  beforeEach(() => writeFile(join(folder, "archive"), "no folder"));

  it("is received again from the primary, and the damaged segment is kept", async () => {
    await using vault = await ReadVault.start({ folder, primary });
    const { path, right, wrong } = await damaged(vault, () => Promise.resolve());
    await vault.until("it is mended", () => readFileSync(path).equals(right));
    await vault.until("nothing is damaged any more", ({ faults }) => !faults.some(({ code }) => code === "TM-VAULT-DAMAGED"));
    const diverged = join(folder, "vault", "diverged");
    const kept = (await readdir(diverged, { recursive: true })).find((one) => one.endsWith(`/${basename(path)}`)) ?? "";
    expect((await readFile(join(diverged, kept))).equals(wrong)).toBe(true);
    expect((await vault.running.vault.revoke(2 as Epoch)).contiguousFrom).toEqual(vault.running.file.run?.from);
  });

  it("keeps the vault from voting while nobody can give it (R4)", async () => {
    await using vault = await ReadVault.start({ folder, primary });
    const { path, wrong } = await damaged(vault, () => primary.server.stop("immediate"));
    await vault.until("it is found", ({ faults }) => faults.some(({ code }) => code === "TM-VAULT-DAMAGED"));
    await expect(vault.running.vault.revoke(2 as Epoch)).rejects.toMatchObject({ code: "TM-CLUSTER-ABSTAINED" });
    expect((await readFile(path)).equals(wrong)).toBe(true);
  });
});

describe("an archive that cannot be opened", () => {
  it("keeps the vault from voting: whether a segment here is damaged is not known (R4)", async () => {
    {
      await using vault = await ReadVault.start({ folder, primary });
      await vault.running.reached(await writeWal(primary, 1));
      await vault.until("it is archived", ({ archive }) => archive?.stores[0]?.recoveryPoint !== undefined);
      await vault.stop();
    }
    const place = join(folder, "vault");
    for (const name of await readdir(place)) if (name.startsWith("catalogue.sqlite")) await rm(join(place, name));
    await mkdir(join(place, "catalogue.sqlite"));
    await using vault = await ReadVault.start({ folder, primary });
    await vault.running.reached(await writeWal(primary, 1));
    await vault.until("it is said", ({ faults }) => faults.some(({ code }) => code === "TM-VAULT-CATALOGUE-AWAY"));
    await expect(vault.running.vault.revoke(2 as Epoch)).rejects.toMatchObject({ code: "TM-CLUSTER-ABSTAINED" });
    // The promise holds all the same.
    expect(vault.running.file.promise).toEqual({ epoch: 2 });
  });
});
