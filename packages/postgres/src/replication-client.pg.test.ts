import { execFileSync } from "node:child_process";
import { chmod, chown, readFile } from "node:fs/promises";
import type { AddressInfo, Server } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { Redacted } from "@tidemark/kernel/redacted";
import { readControlFile, readSystemIdentifier } from "./control-file.ts";
import { ReplicationClient } from "./replication-client.ts";
import type { TestPair } from "./testing/cluster-fixture.ts";
import { TEST_SETTINGS, replicationLogin, startPrimary, startPrimaryWithStandby } from "./testing/cluster-fixture.ts";
import { startTamperingProxy } from "./testing/tampering-proxy.ts";

const hasOpenssl = ((): boolean => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false; // Only this test needs a certificate, and Node cannot make one.
  }
})();

describe("the replication client", () => {
  let pair: TestPair;
  let client: ReplicationClient;

  beforeAll(async () => {
    pair = await startPrimaryWithStandby({ synchronous: false });
    client = await ReplicationClient.connect(replicationLogin(pair.primary.connection));
  });

  afterAll(async () => {
    client.close();
    await pair.dispose();
  });

  it("identifies the system as pg_control does, on primary and standby alike", async () => {
    const facts = await client.identifySystem();
    expect(facts.timeline).toBe(1);
    expect(facts.flushLsn).toBeGreaterThan(0n);
    const standby = await ReplicationClient.connect(replicationLogin(pair.standby.connection));
    expect((await standby.identifySystem()).systemIdentifier).toBe(facts.systemIdentifier);
    standby.close();
    for (const { server } of [pair.primary, pair.standby]) expect(await readSystemIdentifier(server.dataDir)).toBe(facts.systemIdentifier);
    expect((await readControlFile(pair.standby.server.dataDir)).state).toBe("in-archive-recovery");
  });

  it("shows settings", async () => {
    expect(await client.show("wal_segment_size")).toBe("16MB");
    await expect(client.show("no_such_setting")).rejects.toMatchObject({ code: "TM-PG-SERVER", details: { sqlstate: "42704" } });
  });

  it("makes, reads and drops a slot; one made with reserveWal keeps WAL from the first moment (trap 4)", async () => {
    await client.createPhysicalSlot("kept", { reserveWal: true });
    await client.createPhysicalSlot("idle");
    const kept = await client.readSlot("kept");
    expect(kept).toMatchObject({ type: "physical", restartTimeline: 1 });
    expect(kept?.restartLsn).toBeLessThanOrEqual((await client.identifySystem()).flushLsn);
    expect(await client.readSlot("idle")).toEqual({ type: "physical" });
    await expect(client.createPhysicalSlot("kept")).rejects.toMatchObject({ code: "TM-PG-SERVER", details: { sqlstate: "42710" } });
    await client.dropSlot("kept");
    await client.dropSlot("idle");
    expect(await client.readSlot("kept")).toBeUndefined();
    await expect(client.dropSlot("kept")).rejects.toMatchObject({ code: "TM-PG-SERVER", details: { sqlstate: "42704" } });
  });

  it("loses a temporary slot with its connection", async () => {
    const other = await ReplicationClient.connect(replicationLogin(pair.primary.connection));
    await other.createPhysicalSlot("passing", { temporary: true });
    expect(await client.readSlot("passing")).toBeDefined();
    other.close();
    await expect.poll(() => client.readSlot("passing"), { timeout: 20_000 }).toBeUndefined();
  });

  it("refuses a name that could leave the command", async () => {
    for (const name of ["", "a b", "a; DROP_REPLICATION_SLOT b", 'a"', "A"])
      await expect(client.readSlot(name)).rejects.toMatchObject({ code: "TM-PG-SETTING" });
  });

  it("logs in with SCRAM-SHA-256 only: a wrong password or an unknown user is refused with a code", async () => {
    const login = replicationLogin(pair.primary.connection);
    await expect(ReplicationClient.connect({ ...login, password: new Redacted("wrong") })).rejects.toMatchObject({
      code: "TM-PG-AUTHENTICATION",
      details: { sqlstate: "28P01" },
    });
    await expect(ReplicationClient.connect({ ...login, user: "nobody_here" })).rejects.toMatchObject({ code: "TM-PG-AUTHENTICATION" });
  });

  it("may not replicate as a role without the attribute", async () => {
    const sql = postgres({ ...pair.primary.connection, max: 1, fetch_types: false });
    await sql`create role reader login password 'reader'`;
    await sql.end();
    const login = { ...replicationLogin(pair.primary.connection), user: "reader", password: new Redacted("reader") };
    const error = await ReplicationClient.connect(login).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "TM-PG-SERVER", details: { sqlstate: "42501" } });
  });

  it("refuses to go on without TLS when TLS was asked for", async () => {
    await expect(ReplicationClient.connect({ ...replicationLogin(pair.primary.connection), tls: {} })).rejects.toMatchObject({
      code: "TM-PG-CONNECTION",
      message: expect.stringContaining("TLS"),
    });
  });

  it.runIf(hasOpenssl)("speaks TLS, and only with a server whose certificate it was told to trust", async () => {
    await using server = await startPrimary();
    const { dataDir, user } = server.server.options;
    const [key, certificate] = [join(dataDir, "server.key"), join(dataDir, "server.crt")];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        key,
        "-out",
        certificate,
      ],
      { stdio: "ignore" },
    );
    if (user.switches) for (const path of [key, certificate]) await chown(path, user.uid, user.gid);
    await chmod(key, 0o600);
    await server.server.configure({ ...TEST_SETTINGS, ssl: "on" });
    await server.server.stop("fast");
    await server.server.start({ awaitReady: "accepting" });
    const login = replicationLogin(server.connection);
    const secure = await ReplicationClient.connect({ ...login, tls: { ca: await readFile(certificate) } });
    expect((await secure.identifySystem()).timeline).toBe(1);
    secure.close();
    await expect(ReplicationClient.connect({ ...login, tls: {} })).rejects.toMatchObject({
      code: "TM-PG-CONNECTION",
      cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" },
    });
  });

  it("says that the connection broke, wherever in the login it breaks", async () => {
    const { connection } = pair.primary;
    await using whole = await startTamperingProxy(connection, { afterBytes: 0, how: "pass" });
    (await ReplicationClient.connect({ ...replicationLogin(connection), port: whole.port })).close();
    for (let afterBytes = 0; afterBytes < whole.serverBytes; afterBytes += 7) {
      await using proxy = await startTamperingProxy(connection, { afterBytes, how: "cut" });
      const error = await ReplicationClient.connect({ ...replicationLogin(connection), port: proxy.port }).catch((error: unknown) => error);
      expect(error, `cut after ${afterBytes} bytes`).toMatchObject({ code: "TM-PG-CONNECTION" });
    }
  });

  it("gives up on a server that is silent, at a closed port, and when it is told to", async () => {
    const silent: Server = createServer((socket) => void socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const login = { ...replicationLogin(pair.primary.connection), port: (silent.address() as AddressInfo).port };
    await expect(ReplicationClient.connect({ ...login, connectTimeoutMs: 100 })).rejects.toMatchObject({ code: "TM-PG-CONNECTION" });
    const abort = new AbortController();
    const attempt = ReplicationClient.connect({ ...login, signal: abort.signal });
    abort.abort();
    await expect(attempt).rejects.toMatchObject({ code: "TM-PG-CONNECTION" });
    await new Promise((resolve) => silent.close(resolve));
    await expect(ReplicationClient.connect(login)).rejects.toMatchObject({ code: "TM-PG-CONNECTION" });
  });

  it("fetches the history of a timeline after a promotion, which did not take the 5 s of a standby that waits for its dead primary", async () => {
    const before = await client.identifySystem();
    await pair.primary.server.kill();
    const startedAt = performance.now();
    await pair.standby.server.promote();
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    const sql = postgres({ ...pair.standby.connection, max: 1, fetch_types: false });
    await sql`create table written_at_once ()`;
    await sql.end();
    const promoted = await ReplicationClient.connect(replicationLogin(pair.standby.connection));
    const facts = await promoted.identifySystem();
    expect(facts).toMatchObject({ systemIdentifier: before.systemIdentifier, timeline: 2 });
    const [fork, ...rest] = await promoted.timelineHistory(2 as Timeline);
    expect(rest).toEqual([]);
    expect(fork?.timeline).toBe(1);
    expect(fork?.switchLsn).toBeGreaterThan(parseLsn("0/0"));
    expect(fork?.switchLsn).toBeLessThanOrEqual(facts.flushLsn);
    expect(await promoted.timelineHistory(1 as Timeline)).toEqual([]);
    await expect(promoted.timelineHistory(9 as Timeline)).rejects.toMatchObject({ code: "TM-PG-SERVER" });
    promoted.close();
  });
});
