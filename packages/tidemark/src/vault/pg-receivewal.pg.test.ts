// The vault's files against those of PostgreSQL's own receiver, over a run with switches and a promotion.
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { cloneStandby, startPrimary, untilStreaming } from "@tidemark/postgres/testing/cluster-fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RunningVault, ask, flushLsn, removePlace, switchWal, targetOf, vaultPlace, writeWal } from "./testing/running-vault.ts";

/** Debian's, of PostgreSQL 15: it speaks with servers of any later version too. */
const PEER = "/usr/lib/postgresql/15/bin/pg_receivewal";
const REQUIRED = process.env["TIDEMARK_REQUIRE_PEERS"] === "1";

/** pg_receivewal on the server, in a folder of its own. It goes on where its folder ends. */
class Peer {
  readonly folder: string;
  readonly #environment: NodeJS.ProcessEnv;
  #process: ChildProcess | undefined;
  #said = "";

  private constructor(folder: string, passfile: string) {
    this.folder = folder;
    this.#environment = { PATH: process.env["PATH"], LC_ALL: "C", PGPASSFILE: passfile };
  }

  static async make(place: string, server: TestServer): Promise<Peer> {
    const folder = join(place, "pg_receivewal");
    await mkdir(folder);
    const passfile = join(place, "pgpass");
    const password = server.connection.password.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
    await writeFile(passfile, `*:*:*:*:${password}\n`);
    await chmod(passfile, 0o600);
    return new Peer(folder, passfile);
  }

  start(server: TestServer): void {
    const { host, port, user } = server.connection;
    const line = ["-D", this.folder, "-h", host, "-p", String(port), "-U", user, "-S", "peer", "--synchronous", "--no-loop", "-w"];
    const child = spawn(PEER, line, { env: this.#environment, stdio: ["ignore", "ignore", "pipe"] });
    child.stderr?.on("data", (chunk: Buffer) => (this.#said += chunk.toString("utf8")));
    this.#process = child;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGINT");
    await exit;
  }

  get said(): string {
    return this.#said;
  }
}

/** Until the peer's slot has confirmed everything up to where the server is. */
async function caughtUp(server: TestServer, peer: Peer): Promise<void> {
  const lsn = await flushLsn(server);
  const endMs = Date.now() + 20_000;
  for (;;) {
    const rows = await ask<{ there: boolean }>(
      server,
      "SELECT flush_lsn >= $1::pg_lsn AS there FROM pg_stat_replication WHERE application_name = 'pg_receivewal'",
      [`${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`],
    );
    if (rows[0]?.there === true) return;
    if (Date.now() > endMs) throw new Error(`pg_receivewal did not catch up: ${peer.said}`);
  }
}

describe.skipIf(!REQUIRED && !existsSync(PEER))("the vault beside pg_receivewal", () => {
  let place: string;
  let servers: TestServer[];
  let peer: Peer | undefined;
  beforeEach(async () => {
    place = await vaultPlace();
    servers = [];
  });
  afterEach(async () => {
    await peer?.stop();
    for (const server of servers) await server.dispose();
    await removePlace(place);
  });

  it("writes the same files, byte for byte, over switches of segments and a promotion", async () => {
    const primary = await startPrimary({ major: 15 });
    servers.push(primary);
    const standby = await cloneStandby(primary, { name: "s1" });
    servers.push(standby);
    await standby.server.start({ awaitReady: "standby" });
    await untilStreaming(primary, "s1");
    await using vault = await RunningVault.start(join(place, "vault"), targetOf(primary));
    await vault.streaming();
    peer = await Peer.make(place, primary);
    // A slot before the first byte, as the vault's: both begin with the segment that it reserves.
    await ask(primary, "SELECT pg_create_physical_replication_slot('peer', true)");
    peer.start(primary);
    for (let i = 0; i < 3; i++) {
      await writeWal(primary, 2);
      await switchWal(primary);
    }
    // Full segments by themselves, and an end in the middle of one.
    const end = await writeWal(primary, 40);
    await vault.reached(end);
    await caughtUp(primary, peer);
    for (;;) {
      const [row] = await ask<{ there: boolean }>(standby, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there", [
        `0/${end.toString(16)}`,
      ]);
      if (row?.there === true) break;
    }
    await primary.server.stop("fast");
    await peer.stop();
    await ask(standby, "SELECT pg_promote()");
    await ask(standby, "SELECT pg_create_physical_replication_slot('peer', true)");
    peer.start(standby);
    vault.follow(standby);
    await writeWal(standby, 2);
    await switchWal(standby);
    const last = await writeWal(standby, 1);
    await vault.reached(last, 2);
    await caughtUp(standby, peer);
    await peer.stop();
    await vault.stop();

    const ours = (await readdir(vault.wal)).sort();
    expect(ours).toEqual((await readdir(peer.folder)).sort());
    expect(ours.filter((name) => /^00000001.{16}$/.test(name)).length).toBeGreaterThanOrEqual(5);
    expect(ours).toContain("00000002.history");
    expect(ours.filter((name) => /^00000002.{16}$/.test(name))).toHaveLength(1);
    expect(ours.filter((name) => name.endsWith(".partial"))).toHaveLength(2);
    for (const name of ours) {
      const [mine, theirs] = [await readFile(join(vault.wal, name)), await readFile(join(peer.folder, name))];
      expect(mine.length, name).toBe(theirs.length);
      expect(mine.compare(theirs), `${name} differs at ${mine.findIndex((byte, at) => byte !== theirs[at])}`).toBe(0);
    }
  });
});
