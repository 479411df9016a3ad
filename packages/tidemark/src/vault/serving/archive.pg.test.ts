import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { ask, flushLsn, switchWal } from "../testing/running-vault.ts";
import { ArchivedVault } from "./testing/archived-vault.ts";
import { backupOf, recover, serverLog } from "./testing/served-vault.ts";

let primary: TestServer;
let vault: ArchivedVault;

beforeEach(async () => {
  primary = await startPrimary();
  vault = await ArchivedVault.start(primary);
  await ask(primary, "CREATE TABLE orders (id bigserial PRIMARY KEY, note text)");
});

afterEach(async () => {
  await vault[Symbol.asyncDispose]();
  await primary.dispose();
});

/** Orders in three whole segments and 10 more; all of it is received, and archived. */
async function archivedOrders(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await ask(primary, "INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, 100) AS n");
    await switchWal(primary);
  }
  await ask(primary, "INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, 10) AS n");
  await vault.vault.reached(await flushLsn(primary));
  await vault.settled();
  return 310;
}

async function count(server: TestServer): Promise<number> {
  const [row] = await ask<{ count: string }>(server, "SELECT count(*) AS count FROM orders");
  return Number(row?.count);
}

describe("when the vault and its disk are gone", () => {
  test("its object store alone recovers everything that was archived, the partial segment too", async () => {
    await using restored = await backupOf(primary, { restore_command: vault.restoreCommand("--without-vault") });
    const orders = await archivedOrders();
    await primary.server.kill();
    await vault.close();
    await rm(vault.vault.wal, { recursive: true });
    await vault.giveToPostgres();
    expect(await recover(restored)).toBe("opened");
    expect(await count(restored)).toBe(orders);
  });

  test("PostgreSQL stops where only the vault would know whether there is more, until an operator says that it is lost", async () => {
    await using restored = await backupOf(primary, { restore_command: vault.restoreCommand("--patience 0") });
    await archivedOrders();
    await primary.server.kill();
    await vault.close();
    await vault.giveToPostgres();
    expect(await recover(restored)).toBe("stopped");
    expect(await serverLog(restored)).toContain("TM-VAULT-UNSURE");
  });

  test("PostgreSQL stops at a key that is wrong, and at one that is missing, instead of promoting short", async () => {
    const command = vault.restoreCommand("--without-vault --patience 0");
    await using wrong = await backupOf(primary, { restore_command: command });
    await using missing = await backupOf(primary, { restore_command: command });
    await archivedOrders();
    await primary.server.kill();
    await vault.close();
    const away = join(vault.folder, "right.key");
    await rename(vault.keyFile, away);
    await writeFile(vault.keyFile, `${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
    await vault.giveToPostgres();
    expect(await recover(wrong)).toBe("stopped");
    expect(await serverLog(wrong)).toContain("TM-SEAL-KEY-MISSING");
    await rm(vault.keyFile);
    expect(await recover(missing)).toBe("stopped");
    expect(await serverLog(missing)).toContain("TM-SEAL-KEY-SOURCE");
  });

  test("tidemark wal status says so, and what its object store has", async () => {
    await archivedOrders();
    const well = await vault.run("status");
    expect(well).toMatchObject({ code: 0, err: "" });
    expect(well.out).toContain("✓ nothing is missing, damaged or held up");
    await vault.close();
    const gone = await vault.run("status");
    expect(gone.code).toBe(1);
    expect(gone.out).toMatch(/does not answer/);
    expect(gone.out).toMatch(/main +restores to 0\/[0-9A-F]+ on/);
    for (const line of [...well.out.split("\n"), ...gone.out.split("\n")]) expect(line.length).toBeLessThanOrEqual(60);
  });
});
