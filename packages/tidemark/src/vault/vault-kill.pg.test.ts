// The vault as the only synchronous member, killed at any instant: what was acknowledged is there, whole, without a hole.
import type { ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import type { Epoch } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { seededRandom } from "@tidemark/kernel/random";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_SETTINGS, startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { testMajors } from "@tidemark/postgres/testing/test-majors";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { VaultFile } from "./vault-file.ts";
import type { VaultStep } from "./vault.ts";
import { receivedCommits } from "./testing/received-commits.ts";
import { RunningVault, ask, flushLsn, removePlace, sqlOn, switchWal, targetOf, vaultPlace, writeWal } from "./testing/running-vault.ts";

const ENTRY = fileURLToPath(new URL("testing/vault-process.ts", import.meta.url));
const KILLS = Number(process.env["TIDEMARK_TEST_KILLS"] ?? "12");
const SEED = Number(process.env["TIDEMARK_TEST_SEED"] ?? String(Math.floor(Math.random() * 1_000_000)));

let place: string;
let primary: TestServer;
let children: ChildProcess[];

async function startProcess(more: { epoch?: number; killAt?: VaultStep } = {}): Promise<{ child: ChildProcess; identity: string }> {
  const { host, port, user, password } = primary.connection;
  const child = fork(ENTRY, [JSON.stringify({ directory: place, host, port, user, password, ...more })], {
    execArgv: ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  children.push(child);
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the vault ended with ${String(code)} before it began`);
  });
  ended.catch(() => undefined);
  const [message] = (await Promise.race([once(child, "message"), ended])) as [{ identity: string }];
  return { child, identity: message.identity };
}

async function killProcess(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

async function waitFor(identity: string): Promise<void> {
  await primary.server.configure({ ...TEST_SETTINGS, synchronous_standby_names: `ANY 1 (${identity})` });
  primary.server.reload();
  for (;;) {
    const [row] = await ask<{ state: string }>(primary, "SELECT sync_state AS state FROM pg_stat_replication WHERE application_name = $1", [
      identity,
    ]);
    if (row?.state === "quorum") return;
  }
}

describe.each(testMajors())("a vault of PostgreSQL %i that is killed", (major) => {
  beforeEach(async () => {
    children = [];
    place = await vaultPlace();
    primary = await startPrimary({ major });
    await ask(primary, "CREATE TABLE acknowledged (id bigserial, pad text)");
  });
  afterEach(async () => {
    for (const child of children) child.kill("SIGKILL");
    await primary.dispose();
    await removePlace(place);
  });

  it(`has every commit that was acknowledged, in whole records, after ${KILLS} kills (seed ${SEED}, ACK-DURABLE, NO-HOLE)`, async () => {
    const random = seededRandom(SEED);
    let { child, identity } = await startProcess();
    await waitFor(identity);
    const acknowledged = new Set<number>();
    let writing = true;
    const sessions = Array.from({ length: 4 }, async (_, index) => {
      const sql = sqlOn(primary);
      try {
        // Large rows, so that records go over pages and segments.
        while (writing) {
          const [row] = await sql<
            { xid: string }[]
          >`insert into acknowledged (pad) select repeat(md5(random()::text), ${index * 400}) returning pg_current_xact_id()::text as xid`;
          acknowledged.add(Number(row?.xid));
        }
      } finally {
        await sql.end();
      }
    });
    const filler = (async () => {
      while (writing) {
        await switchWal(primary);
        await delay(150);
      }
    })();
    for (let kill = 0; kill < KILLS; kill++) {
      // Commits flow again, and then at any instant.
      const before = acknowledged.size;
      while (acknowledged.size === before) await delay(2);
      await delay(Math.floor(random.fraction() * 200));
      await killProcess(child);
      const promised = new Set(acknowledged);
      const { xids } = receivedCommits(join(place, "wal"));
      const missing = [...promised].filter((xid) => !xids.has(xid));
      expect(missing, `kill ${kill}: of ${promised.size} acknowledged`).toEqual([]);
      ({ child } = await startProcess());
    }
    writing = false;
    await Promise.all([...sessions, filler]);
    expect(acknowledged.size).toBeGreaterThan(KILLS);
    await killProcess(child);
    const { xids } = receivedCommits(join(place, "wal"));
    expect([...acknowledged].filter((xid) => !xids.has(xid))).toEqual([]);
    await using after = await RunningVault.start(place, targetOf(primary));
    await after.reached(await flushLsn(primary));
    expect(after.status.faults).toEqual([]);
    expect(after.file.identity).toBe(identity);
  });

  it.each(["halting", "voting", "voted"] as const)(
    "keeps its promise when it is killed while it votes (%s), and its vote has every commit that was acknowledged (R3, R4)",
    async (killAt) => {
      const { child, identity } = await startProcess({ epoch: 1, killAt });
      await waitFor(identity);
      const acknowledged = new Set<number>();
      let over = false;
      const sessions = Array.from({ length: 3 }, async () => {
        const sql = sqlOn(primary);
        try {
          for (;;) {
            const [row] = await sql<
              { xid: string }[]
            >`insert into acknowledged (pad) values ('a') returning pg_current_xact_id()::text as xid`;
            if (over) return;
            acknowledged.add(Number(row?.xid));
          }
        } catch {
          // The server is killed in the end, while commits wait.
        } finally {
          await sql.end({ timeout: 0 });
        }
      });
      while (acknowledged.size < 50) await delay(1);
      const exit = once(child, "exit");
      child.send({ revoke: 2 });
      expect(await exit).toEqual([null, "SIGKILL"]);
      const file = JSON.parse(await readFile(join(place, "vault.json"), "utf8")) as VaultFile;
      // What it was killed before or after was durable by then: the promise before the halt, the vote before the answer.
      expect(file.promise).toEqual({ epoch: 2 });
      expect(file.vote?.epoch).toBe(killAt === "voted" ? 2 : undefined);
      await using again = await RunningVault.start(place, targetOf(primary, { epoch: 1 as Epoch }));
      await again.until("it is open", ({ state }) => state === "revoked");
      const count = acknowledged.size;
      await delay(300);
      // It follows nobody of the old epoch, so nothing is acknowledged any more.
      expect(acknowledged.size).toBe(count);
      expect(await ask(primary, "SELECT 1 AS one FROM pg_stat_replication")).toEqual([]);
      const vote = await again.vault.revoke(2 as Epoch);
      if (killAt === "voted") expect(vote).toEqual(file.vote);
      const { xids, end } = receivedCommits(again.wal);
      expect(parseLsn(vote.end)).toBe(end);
      expect([...acknowledged].filter((xid) => !xids.has(xid))).toEqual([]);
      over = true;
      await primary.server.kill();
      await Promise.all(sessions);
    },
  );

  it("has what was acknowledged, and may have more, when a wait was cancelled (trap 15)", async () => {
    const { child, identity } = await startProcess();
    await waitFor(identity);
    await ask(primary, "INSERT INTO acknowledged (pad) VALUES ('before')");
    // Away: the next commit waits, is cancelled, and stands on the primary with a warning only.
    await killProcess(child);
    const notices: string[] = [];
    const sql = postgres({
      ...primary.connection,
      max: 1,
      fetch_types: false,
      onnotice: (notice) => void notices.push(String(notice["code"])),
    });
    const watcher = sqlOn(primary);
    const [own] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
    const waiting = sql<{ xid: string }[]>`insert into acknowledged (pad) values ('cancelled') returning pg_current_xact_id()::text as xid`;
    const outcome = waiting.then((rows) => Number(rows[0]?.xid));
    for (;;) {
      const [row] = await watcher<{ event: string }[]>`select wait_event as event from pg_stat_activity where pid = ${own?.pid ?? 0}`;
      if (row?.event === "SyncRep") break;
    }
    await watcher`select pg_cancel_backend(${own?.pid ?? 0})`;
    const xid = await outcome;
    expect(notices).toEqual(["01000"]);
    await Promise.all([sql.end(), watcher.end()]);
    // Unacknowledged: it is not here, and nobody may say that it is.
    expect(receivedCommits(join(place, "wal")).xids.has(xid)).toBe(false);
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.reached(await flushLsn(primary));
    await ask(primary, "INSERT INTO acknowledged (pad) VALUES ('after')");
    // It came with the rest: what was cancelled may be there.
    expect(receivedCommits(join(place, "wal")).xids.has(xid)).toBe(true);
  });

  it("goes on without a hole when it was killed while it was far behind (NO-HOLE)", async () => {
    const end = await writeWal(primary, 60);
    const { child } = await startProcess();
    for (;;) {
      await delay(15);
      try {
        if (receivedCommits(join(place, "wal")).end > 0x200_0000n) break;
      } catch {
        // Nothing is there yet.
      }
    }
    await killProcess(child);
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.reached(end);
    expect(vault.status.gaps).toEqual([]);
    expect(vault.status.faults).toEqual([]);
    const { end: whole } = receivedCommits(join(place, "wal"));
    expect(whole).toBeGreaterThanOrEqual(end);
  });
});
