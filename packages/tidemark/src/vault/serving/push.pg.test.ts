import { chmod, chown, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startPrimary, TEST_SETTINGS, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { choosePostgresUser } from "@tidemark/postgres/unprivileged-user";
import { ask, flushLsn, switchWal } from "../testing/running-vault.ts";
import { backupOf, recover, ServedVault, TIDEMARK } from "./testing/served-vault.ts";

let primary: TestServer;
let vault: ServedVault;

beforeEach(async () => {
  primary = await startPrimary({ settings: { archive_mode: "on", archive_command: "" } });
  vault = await ServedVault.start(primary);
  await ask(primary, "CREATE TABLE orders (id bigserial PRIMARY KEY, note text)");
});

afterEach(async () => {
  await vault[Symbol.asyncDispose]();
  await primary.dispose();
});

async function orders(count: number): Promise<void> {
  await ask(primary, `INSERT INTO orders (note) SELECT 'order ' || n FROM generate_series(1, ${count}) AS n`);
}

/** Turns archiving on. A base backup waits for it. */
async function archiving(): Promise<void> {
  await primary.server.configure({ ...TEST_SETTINGS, archive_mode: "on", archive_command: `${TIDEMARK} wal push "%p" ${vault.options}` });
  primary.server.reload();
}

/** Resolves once the server says that everything up to `segment` is archived. */
async function archived(segment: string): Promise<void> {
  const deadlineMs = performance.now() + 90_000;
  for (;;) {
    const [row] = await ask<{ last: string | null }>(primary, "SELECT last_archived_wal AS last FROM pg_stat_archiver");
    if ((row?.last ?? "").slice(0, 24) >= segment) return;
    if (performance.now() > deadlineMs)
      throw new Error(`archived only up to ${row?.last}: ${await readFile(primary.server.options.logFile, "utf8")}`);
    await new Promise((resolve) => void setTimeout(resolve, 50));
  }
}

async function segmentNow(): Promise<string> {
  const [row] = await ask<{ name: string }>(primary, "SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS name");
  return row?.name ?? "";
}

test("archive_command = tidemark wal push archives what the vault has by streaming without keeping it twice", async () => {
  await orders(100);
  const segment = await segmentNow();
  await switchWal(primary);
  await vault.vault.reached(await flushLsn(primary));
  await archiving();
  await archived(segment);
  const pushed = await readdir(join(vault.directory, "pushed")).catch(() => []);
  expect(pushed.filter((name) => name === segment)).toEqual([]);
});

test("WAL that came by archive_command alone is recovered, beyond what the receiver has", async () => {
  await archiving();
  await using restored = await backupOf(primary, { restore_command: vault.restoreCommand() });
  // The receiver follows a port where nobody answers from now on.
  vault.vault.follow({ ...primary, connection: { ...primary.connection, port: 1 } });
  await vault.vault.until("it no longer streams", ({ state }) => state !== "streaming");
  await orders(100);
  await switchWal(primary);
  await orders(10);
  const segment = await segmentNow();
  await switchWal(primary);
  await archived(segment);
  await primary.server.kill();
  expect(await recover(restored)).toBe("opened");
  const [row] = await ask<{ count: string }>(restored, "SELECT count(*) AS count FROM orders");
  expect(Number(row?.count)).toBe(110);
  expect(await readdir(join(vault.directory, "pushed"))).toContain(segment);
});

test("a segment that the vault refuses stays with the server, which says so", async () => {
  const user = choosePostgresUser();
  if (user.switches) await chown(vault.folder, user.uid, user.gid);
  await chmod(join(vault.folder, "token"), 0o644);
  await primary.server.configure({ ...TEST_SETTINGS, archive_mode: "on", archive_command: `${TIDEMARK} wal push "%p" ${vault.options}` });
  primary.server.reload();
  await switchWal(primary);
  await expect
    .poll(async () => (await ask<{ failed: string }>(primary, "SELECT failed_count AS failed FROM pg_stat_archiver"))[0]?.failed, {
      timeout: 60_000,
    })
    .not.toBe("0");
  expect(await readFile(primary.server.options.logFile, "utf8")).toContain("TM-PLATFORM-SECRET");
});
