// Promises and votes of a vault (R3, R4), and what keeps it from voting.
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_SETTINGS, startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { testMajors } from "@tidemark/postgres/testing/test-majors";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterRecord } from "../cluster/cluster-record.ts";
import { RunningVault, ask, flushLsn, removePlace, sqlOn, targetOf, vaultPlace, writeWal } from "./testing/running-vault.ts";
import { receivedCommits } from "./testing/received-commits.ts";

const epoch = (value: number): Epoch => value as Epoch;

describe.each(testMajors())("a vault of PostgreSQL %i", (major) => {
  let place: string;
  let primary: TestServer;
  beforeEach(async () => {
    place = await vaultPlace();
    primary = await startPrimary({ major });
  });
  afterEach(async () => {
    await primary.dispose();
    await removePlace(place);
  });

  async function synchronous(vault: RunningVault): Promise<void> {
    await primary.server.configure({ ...TEST_SETTINGS, synchronous_standby_names: `ANY 1 (${vault.file.identity})` });
    primary.server.reload();
    for (;;) {
      const [row] = await ask<{ state: string }>(primary, "SELECT sync_state AS state FROM pg_stat_replication");
      if (row?.state === "quorum") return;
    }
  }

  it("is a fence: after its vote nothing is acknowledged, and every acknowledged commit lies before the vote (R3, R4)", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    await vault.streaming();
    await ask(primary, "CREATE TABLE t (id int)");
    await synchronous(vault);
    const acknowledged = new Set<number>();
    let over = false;
    const sessions = Array.from({ length: 3 }, async () => {
      const sql = sqlOn(primary);
      try {
        while (!over) {
          const [row] = await sql<{ xid: string }[]>`insert into t values (1) returning pg_current_xact_id()::text as xid`;
          if (!over) acknowledged.add(Number(row?.xid));
        }
      } catch {
        // The server is killed in the end.
      } finally {
        await sql.end({ timeout: 1 });
      }
    });
    while (acknowledged.size < 20) await delay(2);
    const vote = await vault.vault.revoke(epoch(2));
    const count = await countOn(primary);
    await delay(50);
    over = true;
    expect(vote).toMatchObject({ node: "vault1", identity: vault.file.identity, epoch: 2, timeline: 1 });
    expect(vote.contiguousFrom).toEqual(vault.file.run?.from);
    // The vote is exactly the end of the last whole record in the files, and all that was acknowledged lies before it.
    const received = receivedCommits(vault.wal);
    expect(received.end).toBe(parseLsn(vote.end));
    expect([...acknowledged].filter((xid) => !received.xids.has(xid))).toEqual([]);
    // A commit now waits for ever: the server has lost its only synchronous member.
    const late = sqlOn(primary);
    const waiting = late`insert into t values (2)`.then(() => "acknowledged");
    waiting.catch(() => undefined);
    expect(await Promise.race([waiting, delay(700, "waits")])).toBe("waits");
    expect(await countOn(primary)).toBe(count);
    expect(vault.status.state).toBe("revoked");
    await primary.server.kill();
    await Promise.allSettled([...sessions, waiting, late.end({ timeout: 1 })]);
  });

  it("answers the same vote again, refuses an older epoch, and remembers both over a restart", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    await vault.reached(await writeWal(primary, 1));
    const vote = await vault.vault.revoke(epoch(3));
    await writeWal(primary, 1);
    expect(await vault.vault.revoke(epoch(3))).toEqual(vote);
    await expect(vault.vault.revoke(epoch(2))).rejects.toMatchObject({ code: "TM-CLUSTER-STALE-EPOCH" });
    await vault.stop();
    const stored = JSON.parse(await readFile(join(place, "vault.json"), "utf8")) as { promise: unknown; vote: unknown };
    expect(stored).toMatchObject({ promise: { epoch: 3 }, vote });
    await using again = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    await again.until("it is open", (status) => status.state !== "starting");
    expect(await again.vault.revoke(epoch(3))).toEqual(vote);
    await expect(again.vault.revoke(epoch(2))).rejects.toMatchObject({ code: "TM-CLUSTER-STALE-EPOCH" });
    // A later claim gets the same end: nothing was received meanwhile.
    expect(await again.vault.revoke(epoch(4))).toMatchObject({ epoch: 4, end: vote.end, timeline: vote.timeline });
  });

  it("does not answer its vote again over WAL that turned out to be damaged since (R4)", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    await vault.reached(await writeWal(primary, 1));
    const vote = await vault.vault.revoke(epoch(2));
    const end = parseLsn(vote.end);
    vault.vault.reach.doubtBy(() => [{ timeline: 1 as Timeline, start: 0n as Lsn, end }]);
    await expect(vault.vault.revoke(epoch(2))).rejects.toMatchObject({ code: "TM-CLUSTER-ABSTAINED" });
    vault.vault.reach.doubtBy(() => []);
    expect(await vault.vault.revoke(epoch(2))).toEqual(vote);
  });

  it("follows nobody of an epoch below its promise, not after a restart either, and the promised one once it stands (R3)", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    await vault.reached(await writeWal(primary, 1));
    const vote = await vault.vault.revoke(epoch(2));
    await writeWal(primary, 1);
    vault.follow(primary, { epoch: epoch(1) });
    vault.follow(primary, { epoch: epoch(2), claimed: true });
    await vault.stop();
    await using again = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    await again.until("it is open", (status) => status.state === "revoked");
    await delay(500);
    expect(again.status.recoveryPoint?.flushedLsn).toBe(vote.end);
    expect(await ask(primary, "SELECT 1 AS one FROM pg_stat_replication")).toEqual([]);
    again.follow(primary, { epoch: epoch(2) });
    await again.reached(await flushLsn(primary));
    expect(again.file.epoch).toBe(2);
    await expect(again.vault.revoke(epoch(1))).rejects.toMatchObject({ code: "TM-CLUSTER-STALE-EPOCH" });
  });

  it("abstains without WAL, and promises all the same (R4)", async () => {
    const dead = { ...targetOf(primary), port: 1, epoch: epoch(1) };
    await using vault = await RunningVault.start(place, dead);
    await vault.until("it is open", (status) => status.state !== "starting");
    await expect(vault.vault.revoke(epoch(2))).rejects.toMatchObject({ code: "TM-CLUSTER-ABSTAINED" });
    expect(vault.file.promise).toEqual({ epoch: 2 });
    vault.follow(primary, { epoch: epoch(1) });
    await delay(300);
    expect(vault.file.run).toBeUndefined();
  });

  it("abstains when its end does not lie on the recorded line (R4, trap 24)", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    const end = await writeWal(primary, 1);
    await vault.reached(end);
    const record: Partial<ClusterRecord> = {
      epoch: epoch(2),
      timeline: 2 as Timeline,
      forkLsn: "0/1000100",
      forkedFrom: 1 as Timeline,
      reigns: [],
    };
    vault.source.record = () => record as never;
    await expect(vault.vault.revoke(epoch(3))).rejects.toMatchObject({ code: "TM-CLUSTER-ABSTAINED" });
    expect(vault.file.vote).toBeUndefined();
  });

  it("after a kill with a torn tail it votes the last whole record, and goes on from there", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    await vault.reached(await writeWal(primary, 2));
    await vault.stop();
    const { end } = receivedCommits(vault.wal);
    const partial = await partialOf(vault.wal);
    const bytes = await readFile(partial);
    // Half of the next record, as a write that was cut off leaves it.
    const at = Number(end % 0x100_0000n);
    await writeWal(primary, 1);
    const next = await readFile(join(primary.server.options.dataDir, "pg_wal", partial.slice(-32, -8)));
    next.copy(bytes, at, at, at + 20);
    await writeFile(partial, bytes);
    await using again = await RunningVault.start(place, { ...targetOf(primary), port: 1, epoch: epoch(1) });
    await again.until("it is open", (status) => status.state !== "starting");
    expect((await again.vault.revoke(epoch(2))).end).toBe(`0/${end.toString(16).toUpperCase()}`);
    expect(again.faultCodes()).toEqual([]);
    again.follow(primary, { epoch: epoch(2) });
    await again.reached(await flushLsn(primary));
    expect(again.faultCodes()).toEqual([]);
  });

  it("finds a flipped bit after a start, says its range, keeps the evidence, abstains until it was received again, and heals", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    const written = await writeWal(primary, 4);
    await vault.reached(written);
    await vault.stop();
    const { end } = receivedCommits(vault.wal);
    const partial = await partialOf(vault.wal);
    const bytes = await readFile(partial);
    // Well before the end, so that whole records stand behind it.
    const flip = Number(end % 0x100_0000n) - 300_000;
    bytes[flip] = (bytes[flip] ?? 0) ^ 0x10;
    await writeFile(partial, bytes);
    await using again = await RunningVault.start(place, { ...targetOf(primary), port: 1, epoch: epoch(1) });
    const status = await again.until("it is open", (now) => now.state !== "starting");
    const fault = status.faults.find((one) => one.code === "TM-VAULT-CORRUPT");
    expect(parseLsn(fault?.range?.from.lsn ?? "") % 0x100_0000n).toBeLessThanOrEqual(BigInt(flip));
    expect(parseLsn(fault?.range?.to.lsn ?? "")).toBeGreaterThan(parseLsn(fault?.range?.from.lsn ?? ""));
    expect(await readdir(join(place, fault?.evidence ?? ""))).toContain(partial.slice(vault.wal.length + 1));
    await expect(again.vault.revoke(epoch(2))).rejects.toMatchObject({ code: "TM-CLUSTER-ABSTAINED" });
    again.follow(primary, { epoch: epoch(2) });
    await again.reached(await flushLsn(primary));
    await again.until("it is whole again", () => again.file.repair === undefined);
    expect(parseLsn((await again.vault.revoke(epoch(3))).end)).toBeGreaterThanOrEqual(written);
    const sound = receivedCommits(again.wal);
    expect(sound.end).toBeGreaterThanOrEqual(written);
  });

  it("calls a newest segment that is gone damage, not a shorter log (NO-HOLE)", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }));
    await vault.reached(await writeWal(primary, 20));
    await vault.vault.revoke(epoch(2));
    await vault.stop();
    await rm(await partialOf(vault.wal));
    await using again = await RunningVault.start(place, { ...targetOf(primary), port: 1, epoch: epoch(1) });
    await again.until("it is open", (now) => now.state !== "starting");
    expect(again.faultCodes()).toContain("TM-VAULT-CORRUPT");
    await expect(again.vault.revoke(epoch(3))).rejects.toMatchObject({ code: "TM-CLUSTER-ABSTAINED" });
    again.follow(primary, { epoch: epoch(3) });
    await again.reached(await flushLsn(primary));
    expect(again.status.gaps).toEqual([]);
  });

  it("is not moved by a wall clock that jumps", async () => {
    let offsetMs = 0;
    const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + offsetMs };
    await using vault = await RunningVault.start(place, targetOf(primary, { epoch: epoch(1) }), { clock });
    await vault.reached(await writeWal(primary, 1));
    for (const jump of [-86_400_000, 86_400_000, -10]) {
      offsetMs = jump;
      const status = await vault.reached(await writeWal(primary, 1));
      expect(status.silentMs).toBeGreaterThanOrEqual(0);
    }
    expect(parseLsn((await vault.vault.revoke(epoch(2))).end)).toBeGreaterThan(0n);
  });

  it("is held by one process only", async () => {
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.streaming();
    await expect(RunningVault.start(place, targetOf(primary))).rejects.toMatchObject({ code: "TM-VAULT-LOCKED" });
  });
});

async function partialOf(wal: string): Promise<string> {
  const name = (await readdir(wal))
    .filter((one) => one.endsWith(".partial"))
    .sort()
    .at(-1);
  return join(wal, name ?? "");
}

async function countOn(server: TestServer): Promise<number> {
  const [row] = await ask<{ count: number }>(server, "SELECT count(*)::int AS count FROM t");
  return row?.count ?? -1;
}
