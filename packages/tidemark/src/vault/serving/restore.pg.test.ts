import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { DEFAULT_SEGMENT_BYTES, segmentName, segmentStart } from "@tidemark/postgres/wal/segment-name";
import { ask, flushLsn, switchWal } from "../testing/running-vault.ts";
import { segmentCheck } from "./segment-check.ts";
import { backupOf, recover, ServedVault, serverLog, TEST_TOKEN } from "./testing/served-vault.ts";
import { VaultWalClient } from "./vault-wal-client.ts";

/** Longer than any record that these tests write. */
const LONGEST_HERE_BYTES = 65_536;

let primary: TestServer;
let vault: ServedVault;

beforeEach(async () => {
  primary = await startPrimary();
  vault = await ServedVault.start(primary);
  await ask(primary, "CREATE TABLE orders (id bigserial PRIMARY KEY, note text)");
});

afterEach(async () => {
  await vault[Symbol.asyncDispose]();
  await primary.dispose();
});

async function order(count: number): Promise<void> {
  await ask(primary, `INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, ${count}) AS n`);
}

/** Writes orders into `segments` whole segments and 10 into the one that still grows; the vault has all of it. */
async function ordersOver(segments: number): Promise<number> {
  for (let i = 0; i < segments; i++) {
    await order(100);
    await switchWal(primary);
  }
  await order(10);
  await vault.vault.reached(await flushLsn(primary));
  return segments * 100 + 10;
}

async function count(server: TestServer): Promise<number> {
  const [row] = await ask<{ count: string }>(server, "SELECT count(*) AS count FROM orders");
  return Number(row?.count);
}

async function sealedSegments(): Promise<string[]> {
  return (await readdir(vault.vault.wal)).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort();
}

describe("the growing segment of a server that writes without pause", () => {
  test("is given again and again, always whole records, never less than was durable before it was asked for", async () => {
    let writing = true;
    const writers = [1, 2, 3].map(async () => {
      while (writing) await order(20);
    });
    const client = new VaultWalClient({ name: "vault1", host: "127.0.0.1", port: vault.port }, TEST_TOKEN);
    try {
      for (let i = 0; i < 20; i++) {
        const durable = vault.vault.vault.reach.position()?.lsn ?? 0n;
        const name = segmentName({ timeline: 1 as Timeline, lsn: durable as Lsn }, DEFAULT_SEGMENT_BYTES);
        const { end = 0n, bytes } = await client.get(name);
        // Only a record that was not whole yet may lie between.
        expect(durable - end).toBeLessThan(BigInt(LONGEST_HERE_BYTES));
        const check = segmentCheck(() => Promise.resolve());
        const systemIdentifier = vault.vault.file.systemIdentifier ?? "";
        const start = segmentStart(durable as Lsn, DEFAULT_SEGMENT_BYTES);
        expect(await check(bytes, { timeline: 1 as Timeline, start, upTo: end as Lsn, systemIdentifier })).toBeUndefined();
      }
    } finally {
      writing = false;
      await Promise.all(writers);
    }
  });
});

describe("restore_command = tidemark wal fetch", () => {
  test("replays everything that the vault received, to the last record of the partial segment (trap 12)", async () => {
    await using restored = await backupOf(primary, { restore_command: vault.restoreCommand() });
    const orders = await ordersOver(3);
    await primary.server.kill();
    expect(await recover(restored)).toBe("opened");
    expect(await count(restored)).toBe(orders);
  });

  test("stops PostgreSQL at a segment that is missing in the middle instead of promoting it short (traps 33, 34)", async () => {
    await using restored = await backupOf(primary, { restore_command: vault.restoreCommand() });
    await ordersOver(4);
    await primary.server.kill();
    const middle = (await sealedSegments()).at(-2) ?? "";
    await rm(join(vault.vault.wal, middle));
    expect(await recover(restored)).toBe("stopped");
    const log = await serverLog(restored);
    expect(log).toContain("TM-VAULT-HOLE");
    expect(log).toMatch(new RegExp(`FATAL:.*could not restore file "${middle}" from archive`));
  });
});
