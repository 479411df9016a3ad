// The data-loss traps that a receiver of WAL meets, each against a real server.
import { open, readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { PostgresMajor } from "@tidemark/postgres/binaries";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_SETTINGS, cloneStandby, startPrimary, untilStreaming } from "@tidemark/postgres/testing/cluster-fixture";
import { testMajors } from "@tidemark/postgres/testing/test-majors";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RunningVault, ask, flushLsn, removePlace, switchWal, targetOf, vaultPlace, writeWal } from "./testing/running-vault.ts";

describe.each(testMajors())("a vault of PostgreSQL %i", (major: PostgresMajor) => {
  let place: string;
  let servers: TestServer[];
  beforeEach(async () => {
    place = await vaultPlace();
    servers = [];
  });
  afterEach(async () => {
    for (const server of servers) await server.dispose();
    await removePlace(place);
  });

  async function primaryWith(settings?: Record<string, string>): Promise<TestServer> {
    const primary = await startPrimary({ major, ...(settings === undefined ? {} : { settings }) });
    servers.push(primary);
    return primary;
  }

  /** A standby of `primary` that streams from it. */
  async function standbyOf(primary: TestServer, name: string): Promise<TestServer> {
    const standby = await cloneStandby(primary, { name });
    servers.push(standby);
    await standby.server.start({ awaitReady: "standby" });
    await untilStreaming(primary, name);
    return standby;
  }

  async function replayed(standby: TestServer, lsn: Lsn): Promise<void> {
    for (;;) {
      const [row] = await ask<{ there: boolean }>(standby, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there", [
        `0/${lsn.toString(16)}`,
      ]);
      if (row?.there === true) return;
    }
  }

  async function promote(standby: TestServer): Promise<void> {
    await ask(standby, "SELECT pg_promote()");
  }

  it("begins where its slot reserves WAL, and the slot reserves it from its making on (trap 4)", async () => {
    const primary = await primaryWith();
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.streaming();
    const [slot] = await ask<{ restart: string | null }>(
      primary,
      "SELECT restart_lsn::text AS restart FROM pg_replication_slots WHERE slot_name = $1",
      [vault.file.identity],
    );
    expect(slot?.restart).toMatch(/^0\//);
    expect(vault.file.run?.from).toEqual({ timeline: 1, lsn: "0/1000000" });
  });

  it("goes on from its frontier after the primary restarted, to the byte (trap 3)", async () => {
    const primary = await primaryWith();
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.reached(await writeWal(primary, 2));
    await primary.server.stop("immediate");
    await primary.server.start({ awaitReady: "accepting" });
    await vault.reached(await writeWal(primary, 2));
    expect(vault.status.gaps).toEqual([]);
    expect(vault.faultCodes()).toEqual([]);
  });

  it("refuses another cluster at its old address, and takes nothing from it (trap 9)", async () => {
    const primary = await primaryWith();
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.reached(await writeWal(primary, 1));
    const before = vault.file;
    const other = await primaryWith();
    await writeWal(other, 3);
    vault.follow(other);
    await vault.until("it refuses", (status) => status.state === "refusing");
    expect(vault.faultCodes()).toEqual(["TM-VAULT-SYSTEM-IDENTIFIER"]);
    expect(vault.file).toEqual(before);
    const slots = await ask(other, "SELECT slot_name FROM pg_replication_slots");
    expect(slots).toEqual([]);
    vault.follow(primary);
    await vault.reached(await writeWal(primary, 1));
    expect(vault.faultCodes()).toEqual([]);
  });

  it("follows a promotion from the old timeline's frontier, not from the new slot's position (trap 7)", async () => {
    const primary = await primaryWith();
    const standby = await standbyOf(primary, "s1");
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.reached(await writeWal(primary, 1));
    // Away while the timeline goes on and ends: the new primary's slot will begin at its last checkpoint, beyond the frontier.
    await vault.stop();
    const end = await writeWal(primary, 3);
    await replayed(standby, end);
    await primary.server.stop("immediate");
    await promote(standby);
    await ask(standby, "CHECKPOINT");
    await using again = await RunningVault.start(place, targetOf(standby));
    const status = await again.reached(await writeWal(standby, 1));
    expect(status.recoveryPoint?.timeline).toBe(2);
    expect(status.gaps).toEqual([]);
    expect(status.faults).toEqual([]);
    expect(again.file.run).toEqual({ from: vault.file.run?.from, timeline: 2 });
    // The trap was there: the slot reserves from beyond what was missing.
    const [made] = await ask<{ beyond: boolean }>(standby, "SELECT redo_lsn > $1::pg_lsn AS beyond FROM pg_control_checkpoint()", [
      vault.status.recoveryPoint?.flushedLsn ?? "",
    ]);
    expect(made?.beyond).toBe(true);
  });

  it("keeps every history file of the line, byte for byte, also those of timelines it never received (trap 8)", async () => {
    const primary = await primaryWith();
    const first = await standbyOf(primary, "s1");
    const second = await standbyOf(primary, "s2");
    await using vault = await RunningVault.start(place, targetOf(primary));
    const end = await writeWal(primary, 1);
    await vault.reached(end);
    await vault.stop();
    await replayed(first, end);
    await replayed(second, end);
    await primary.server.stop("immediate");
    await promote(first);
    const onTwo = await writeWal(first, 1);
    // The second one follows over the switch, then takes over: timeline 3, whose chain has a file in the middle.
    await second.server.configure({
      ...TEST_SETTINGS,
      primary_conninfo: `host=127.0.0.1 port=${first.connection.port} user=${first.connection.user} application_name=s2 passfile='${join(second.folder, "upstream.pgpass")}'`,
      primary_slot_name: "",
    });
    await writePassfileFor(second, first);
    second.server.reload();
    await replayed(second, onTwo);
    await promote(second);
    await using again = await RunningVault.start(place, targetOf(second));
    const status = await again.reached(await writeWal(second, 1));
    expect(status.recoveryPoint?.timeline).toBe(3);
    expect(status.faults).toEqual([]);
    for (const timeline of [2, 3] as Timeline[]) {
      const name = `0000000${timeline}.history`;
      expect(await readFile(join(again.wal, name), "utf8")).toBe(
        await readFile(join(second.server.options.dataDir, "pg_wal", name), "utf8"),
      );
    }
  });

  it("records WAL that was recycled as a gap, alarms, asks for a base backup, and begins a new run as a new member (traps 4, 5)", async () => {
    const primary = await primaryWith({ max_slot_wal_keep_size: "32MB", max_wal_size: "48MB", min_wal_size: "32MB" });
    await using vault = await RunningVault.start(place, targetOf(primary));
    const had = await writeWal(primary, 1);
    await vault.reached(had);
    await vault.stop();
    const before = vault.file;
    for (let i = 0; i < 8; i++) {
      await writeWal(primary, 4);
      await switchWal(primary);
    }
    await ask(primary, "CHECKPOINT");
    const [slot] = await ask<{ status: string }>(primary, "SELECT wal_status AS status FROM pg_replication_slots");
    expect(slot?.status).toBe("lost");
    await using again = await RunningVault.start(place, targetOf(primary));
    const status = await again.reached(await writeWal(primary, 1));
    expect(status.state).toBe("streaming");
    expect(status.gaps).toHaveLength(1);
    const [gap] = status.gaps;
    // From exactly what was here: nothing before it is given up, nothing after it is joined to it.
    expect(parseLsn(gap?.from.lsn ?? "")).toBeGreaterThanOrEqual(had);
    expect(gap?.to).toEqual(again.file.run?.from);
    expect(parseLsn(gap?.to.lsn ?? "")).toBeGreaterThan(parseLsn(gap?.from.lsn ?? ""));
    expect(status.baseBackupWanted?.from).toEqual(gap?.to);
    expect(again.faultCodes()).toEqual(expect.arrayContaining(["TM-VAULT-SLOT-LOST", "TM-VAULT-GAP"]));
    expect(again.file.identity).not.toBe(before.identity);
    const left = await ask<{ name: string }>(primary, "SELECT slot_name AS name FROM pg_replication_slots");
    expect(left.map((one) => one.name)).toEqual([again.file.identity]);
    // It is known after a restart as well.
    await again.stop();
    await using third = await RunningVault.start(place, targetOf(primary));
    await third.reached(await writeWal(primary, 1));
    expect(third.status.gaps).toEqual(status.gaps);
    expect(third.faultCodes()).toContain("TM-VAULT-GAP");
  });

  it("keeps going without a gap when its slot was dropped and the WAL is still there (trap 4)", async () => {
    const primary = await primaryWith();
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.reached(await writeWal(primary, 1));
    await vault.stop();
    await ask(primary, "SELECT pg_drop_replication_slot($1)", [vault.file.identity]);
    const end = await writeWal(primary, 1);
    await ask(primary, "CHECKPOINT");
    await using again = await RunningVault.start(place, targetOf(primary));
    await again.reached(end);
    expect(again.status.gaps).toEqual([]);
    expect(again.file.identity).toBe(vault.file.identity);
  });

  it("moves WAL of the old primary past the fork to the evidence, and goes on at the fork (trap 11)", async () => {
    const primary = await primaryWith();
    const standby = await standbyOf(primary, "s1");
    await using vault = await RunningVault.start(place, targetOf(primary));
    const shared = await writeWal(primary, 1);
    await vault.reached(shared);
    await replayed(standby, shared);
    // The standby sees no more; the vault does.
    await standby.server.configure({ ...TEST_SETTINGS, primary_conninfo: "" });
    standby.server.reload();
    for (;;) {
      const rows = await ask(primary, "SELECT 1 AS one FROM pg_stat_replication WHERE application_name = 's1'");
      if (rows.length === 0) break;
    }
    // Past several segments: sealed ones have to go too.
    for (let i = 0; i < 2; i++) {
      await writeWal(primary, 1);
      await switchWal(primary);
    }
    const lost = await writeWal(primary, 1);
    await vault.reached(lost);
    const served = await readdir(vault.wal);
    await promote(standby);
    vault.follow(standby);
    const status = await vault.reached(await writeWal(standby, 1), 2);
    const fault = status.faults.find((one) => one.code === "TM-VAULT-DIVERGED");
    expect(fault?.range?.from.timeline).toBe(1);
    expect(parseLsn(fault?.range?.from.lsn ?? "")).toBeLessThan(lost);
    expect(parseLsn(fault?.range?.to.lsn ?? "")).toBeGreaterThanOrEqual(lost);
    const evidence = join(place, fault?.evidence ?? "");
    const kept = await readdir(evidence);
    expect(kept).toContain("evidence.json");
    expect(kept.filter((name) => name.startsWith("00000001"))).toHaveLength(3);
    // What is served of timeline 1 ends at the fork: one partial file, zeros past it.
    const old = (await readdir(vault.wal)).filter((name) => name.startsWith("00000001") && !name.endsWith(".history"));
    expect(old.length).toBeLessThan(served.length);
    const cutAt = parseLsn(fault?.range?.from.lsn ?? "");
    const last = await readFile(join(vault.wal, old.sort().at(-1) ?? ""));
    expect(last.subarray(Number(cutAt % 0x100_0000n)).every((byte) => byte === 0)).toBe(true);
    // The evidence has the bytes.
    const whole = await readFile(join(evidence, kept.filter((name) => name.startsWith("00000001")).sort()[0] ?? ""));
    expect(whole.subarray(Number(cutAt % 0x100_0000n)).some((byte) => byte !== 0)).toBe(true);
  });

  it("says which range differs when the new timeline's copy is not what is here, and overwrites nothing (traps 3, 10)", async () => {
    const primary = await primaryWith();
    const standby = await standbyOf(primary, "s1");
    await using vault = await RunningVault.start(place, targetOf(primary));
    const end = await writeWal(primary, 1);
    await vault.reached(end);
    await replayed(standby, end);
    const partial = (await readdir(vault.wal)).find((name) => name.endsWith(".partial")) ?? "";
    const file = await open(join(vault.wal, partial), "r+");
    await file.write(Buffer.from([0xff]), 0, 1, 70_001);
    await file.close();
    const changed = await readFile(join(vault.wal, partial));
    await promote(standby);
    vault.follow(standby);
    const status = await vault.until("it refuses", ({ state }) => state === "refusing");
    const fault = status.faults.find(({ code }) => code === "TM-VAULT-OTHER-BYTES");
    expect(parseLsn(fault?.range?.from.lsn ?? "") % 0x100_0000n).toBe(70_001n);
    expect(parseLsn(fault?.range?.to.lsn ?? "")).toBeGreaterThanOrEqual(end);
    expect(fault?.range?.to.timeline).toBe(2);
    expect((await readFile(join(vault.wal, partial))).subarray(0, 80_000)).toEqual(changed.subarray(0, 80_000));
  });

  it("refuses the old primary after it followed the new one, whatever it writes (R6, trap 24)", async () => {
    const primary = await primaryWith();
    const standby = await standbyOf(primary, "s1");
    await using vault = await RunningVault.start(place, targetOf(primary));
    const end = await writeWal(primary, 1);
    await vault.reached(end);
    await replayed(standby, end);
    await promote(standby);
    vault.follow(standby);
    await vault.reached(await writeWal(standby, 1));
    await writeWal(primary, 4);
    const before = vault.status.recoveryPoint;
    vault.follow(primary);
    await vault.until("it refuses", (status) => status.detail?.includes("timeline 1") === true);
    expect(vault.status.recoveryPoint?.timeline).toBe(before?.timeline);
  });

  it("says clearly that another uses its slot, and goes on when that ends (R6)", async () => {
    const primary = await primaryWith();
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.reached(await writeWal(primary, 1));
    const copy = await vaultPlace();
    try {
      // The folder was copied: two vaults with one identity and one slot.
      await vault.stop();
      const { cp } = await import("node:fs/promises");
      await cp(place, copy, { recursive: true });
      await rm(join(copy, "lock.sqlite"), { force: true });
      await using first = await RunningVault.start(place, targetOf(primary));
      await first.streaming();
      await using second = await RunningVault.start(copy, targetOf(primary));
      const status = await second.until("it says so", (now) => now.faults.some((fault) => fault.code === "TM-VAULT-SLOT-IN-USE"));
      expect(status.state).toBe("waiting");
      expect(status.detail).toContain(first.file.identity);
      await first.reached(await writeWal(primary, 1));
      await first.stop();
      await second.reached(await flushLsn(primary));
      expect(second.faultCodes()).toEqual([]);
    } finally {
      await removePlace(copy);
    }
  });

  it("warns of an idle timeout that would invalidate its slot (trap 6)", async () => {
    if (major < 18) return;
    const primary = await primaryWith({ idle_replication_slot_timeout: "1d" });
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.streaming();
    expect(vault.faultCodes()).toEqual(["TM-VAULT-SLOT-IDLE-TIMEOUT"]);
  });

  it("is a new member once its folder was wiped (R6)", async () => {
    const primary = await primaryWith();
    await using vault = await RunningVault.start(place, targetOf(primary));
    await vault.streaming();
    await vault.stop();
    await rm(place, { recursive: true, force: true });
    await using again = await RunningVault.start(place, targetOf(primary));
    await again.streaming();
    expect(again.file.identity).not.toBe(vault.file.identity);
  });
});

async function writePassfileFor(standby: TestServer, upstream: TestServer): Promise<void> {
  const { writePassfile } = await import("@tidemark/postgres/make-standby");
  const { Redacted } = await import("@tidemark/kernel/redacted");
  await writePassfile(
    join(standby.folder, "upstream.pgpass"),
    { user: upstream.connection.user, password: new Redacted(upstream.connection.password) },
    standby.server.options.user,
  );
}
