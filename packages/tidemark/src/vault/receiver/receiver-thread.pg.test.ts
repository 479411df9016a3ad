// The receiver has a thread and a heap of its own: what the vault's main thread does, or does not do, is not felt by commits.
import type { ChildProcess } from "node:child_process";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_SETTINGS, startPrimary, untilSynchronous } from "@tidemark/postgres/testing/cluster-fixture";
import { ask, removePlace, sqlOn, vaultPlace, writeWal } from "../testing/running-vault.ts";

const ENTRY = fileURLToPath(new URL("testing/pausable-vault-process.ts", import.meta.url));
const SETTINGS = { ...TEST_SETTINGS, wal_sender_timeout: "1s", wal_keep_size: "2GB", max_wal_size: "2GB" };
const MOST_MEMORY_MIB = 256;
const BACKLOG_MIB = 300;

describe("the receiver's thread", () => {
  let primary: TestServer;
  let place: string;
  let child: ChildProcess | undefined;

  beforeEach(async () => {
    place = await vaultPlace();
    primary = await startPrimary({ settings: SETTINGS });
    await ask(primary, "CREATE TABLE written (id bigserial)");
  });

  afterEach(async () => {
    child?.kill("SIGKILL");
    await primary.dispose();
    await removePlace(place);
  });

  async function startVault(): Promise<string> {
    const { host, port, user, password } = primary.connection;
    child = fork(ENTRY, [JSON.stringify({ directory: place, host, port, user, password })], {
      execArgv: ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const [{ identity }] = (await once(child, "message")) as [{ identity: string }];
    return identity;
  }

  it("goes on acknowledging commits while the main thread stands still for longer than wal_sender_timeout", async () => {
    const identity = await startVault();
    await primary.server.configure({ ...SETTINGS, synchronous_standby_names: identity });
    primary.server.reload();
    await untilSynchronous(primary, identity);
    const sender = (): Promise<{ pid: number }[]> =>
      ask(primary, "SELECT pid FROM pg_stat_replication WHERE application_name = $1", [identity]);
    const before = await sender();
    const sql = sqlOn(primary);
    let paused = true;
    const over = once(child as ChildProcess, "message").then(() => (paused = false));
    child?.send({ pauseMs: 4_000 });
    let commits = 0;
    let slowestMs = 0;
    while (paused) {
      const startMs = performance.now();
      await sql`INSERT INTO written DEFAULT VALUES`;
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
      commits += 1;
    }
    await over;
    await sql.end();
    expect(commits).toBeGreaterThan(100);
    expect(slowestMs).toBeLessThan(3_000);
    expect(await sender()).toEqual(before);
  });

  it.runIf(process.platform === "linux")(`takes a backlog of ${BACKLOG_MIB} MiB within ${MOST_MEMORY_MIB} MiB of memory`, async () => {
    const identity = await startVault();
    await primary.server.configure({ ...SETTINGS, synchronous_standby_names: "" });
    child?.kill("SIGKILL");
    const target = await writeWal(primary, BACKLOG_MIB);
    await startVault();
    await expect
      .poll(
        async () => {
          const [row] = await ask<{ there: boolean }>(
            primary,
            "SELECT flush_lsn >= $2::pg_lsn AS there FROM pg_stat_replication WHERE application_name = $1",
            [identity, `${(target >> 32n).toString(16)}/${(target & 0xffff_ffffn).toString(16)}`],
          );
          return row?.there ?? false;
        },
        { timeout: 60_000, interval: 20 },
      )
      .toBe(true);
    const status = readFileSync(`/proc/${child?.pid}/status`, "utf8");
    const peakKib = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]);
    expect(peakKib / 1_024).toBeLessThan(MOST_MEMORY_MIB);
  });
});
