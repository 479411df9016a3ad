// Findings that need a primary with replicas, and those of a standby. The pair is set wrong and right again.
import { appendFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { startPrimaryWithStandby, TEST_STANDBY, untilStreaming, type TestPair } from "@tidemark/postgres/testing/cluster-fixture";
import type postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SeenExposure } from "./scenario-exposure.ts";
import { change, findings, look, session, startReceiver, until } from "./testing/checked-server.ts";

/** An address of this machine that is no loopback address, if it has one. */
const OTHER_ADDRESS = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

let pair: TestPair;
let sql: postgres.Sql;
let standby: postgres.Sql;

beforeAll(async () => {
  pair = await startPrimaryWithStandby({ synchronous: true, settings: { wal_level: "logical" } });
  sql = session(pair.primary.connection);
  standby = session(pair.standby.connection);
});
afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await standby?.end({ timeout: 1 });
  await pair?.dispose();
});

const primaryFindings = (): Promise<string[]> => findings(pair.primary.connection);
const standbyFindings = (): Promise<string[]> => findings(pair.standby.connection);

async function streams(name: string, times = 1): Promise<void> {
  await until(`${name} streams`, async () => {
    const rows = await sql.unsafe(
      "select flush_lsn from pg_stat_replication where state = 'streaming' and flush_lsn is not null and application_name = $1",
      [name],
    );
    return rows.length === times;
  });
}

describe("a check of a primary with a synchronous standby", () => {
  it("finds nothing wrong with the names, and that the one copy is on the same machine", async () => {
    const report = await look(pair.primary.connection);
    expect(report.unknown).toEqual([]);
    expect(report.findings.map(({ name }) => name)).toEqual([
      "one-failure-domain",
      "checked-as-superuser",
      "commit-timestamps-off",
      "slots-unbounded",
    ]);
    expect(report.copies).toMatchObject([
      { name: TEST_STANDBY, kind: "standby", state: "streaming", synchronous: true, lag: { kind: "known", ms: 0 } },
    ]);
    // A copy beside the original does not survive the machine.
    expect(report.exposure.find(({ scenario }) => scenario === "node-loss")?.exposure.kind).toBe("no-copy");
  });

  it("does not take hidden replicas for none", async () => {
    await sql.unsafe("create role bare login password 'bare'");
    const report = await look({ ...pair.primary.connection, user: "bare", password: "bare" });
    expect(report.unknown.map(({ part }) => part)).toContain("replicas");
    expect(report.findings.map(({ name }) => name)).not.toContain("no-copy");
    expect(report.exposure.find(({ scenario }) => scenario === "node-loss")?.exposure).toMatchObject({
      kind: "unknown",
      why: expect.stringContaining("pg_monitor") as string,
    });
  });

  it("names a synchronous name that matches nothing, a quorum that is too short, and *", async () => {
    await change(sql, { synchronous_standby_names: "FIRST 2 (standby1, ghost)" });
    const report = await look(pair.primary.connection);
    const names = report.findings.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["standby-names-unmatched", "standby-quorum-short"]));
    expect(report.findings.find(({ name }) => name === "standby-names-unmatched")?.evidence[0]).toBe("ghost matches no replica");
    expect(names).not.toContain("standby-names-any");
    await change(sql, { synchronous_standby_names: "*" });
    const any = await primaryFindings();
    expect(any).toContain("standby-names-any");
    expect(any).not.toContain("standby-names-unmatched");
    await change(sql, { synchronous_standby_names: "" });
    expect(await primaryFindings()).toContain("archive-off");
    await change(sql, { synchronous_standby_names: null });
    const healthy = await primaryFindings();
    expect(healthy.filter((name) => name.startsWith("standby-") || name === "archive-off")).toEqual([]);
  });

  it("names two replicas of one name, and is silent once one has left", async () => {
    await change(sql, { synchronous_standby_names: "ANY 1 (twin, standby1)" });
    {
      using _first = await startReceiver(pair.primary.connection, "twin");
      await streams("twin");
      expect(await primaryFindings()).not.toContain("standby-names-ambiguous");
      using _second = await startReceiver(pair.primary.connection, "Twin");
      await streams("Twin");
      expect(await primaryFindings()).toContain("standby-names-ambiguous");
    }
    await change(sql, { synchronous_standby_names: null });
    expect(await primaryFindings()).not.toContain("standby-names-ambiguous");
  });

  it.runIf(OTHER_ADDRESS !== undefined)(
    "sees a copy at another address, and says that nothing is exposed while commits wait for it",
    async () => {
      const { dataDir } = pair.primary.server.options;
      appendFileSync(join(dataDir, "pg_hba.conf"), `\nhost replication all ${OTHER_ADDRESS}/32 scram-sha-256\n`);
      await change(sql, { synchronous_standby_names: "" });
      // What comes from there is another machine to the server, though not in truth.
      const sockets = new Set<Socket>();
      const relay = createServer((client) => {
        const server = connect({ host: "127.0.0.1", port: pair.primary.connection.port, localAddress: OTHER_ADDRESS ?? "" });
        for (const socket of [client, server]) {
          sockets.add(socket);
          socket.on("error", () => undefined);
        }
        client.pipe(server).pipe(client);
      });
      await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
      try {
        using _receiver = await startReceiver({ ...pair.primary.connection, port: (relay.address() as AddressInfo).port }, "far");
        await streams("far");
        const nodeLoss = async (): Promise<SeenExposure | undefined> => {
          const report = await look(pair.primary.connection);
          expect(report.findings.map(({ name }) => name)).not.toContain("one-failure-domain");
          return report.exposure.find(({ scenario }) => scenario === "node-loss");
        };
        expect(await nodeLoss()).toMatchObject({ uses: "far", because: expect.stringContaining("asynchronous") as string });
        await change(sql, { synchronous_standby_names: "ANY 2 (far, standby1)" });
        expect(await nodeLoss()).toMatchObject({ exposure: { kind: "known", ms: 0 }, uses: "far", bytes: 0 });
        // Of one confirmation nobody knows where it came from.
        await change(sql, { synchronous_standby_names: "ANY 1 (far, standby1)" });
        expect((await nodeLoss())?.because).toContain("asynchronous");
      } finally {
        for (const socket of sockets) socket.destroy();
        relay.close();
        await change(sql, { synchronous_standby_names: null });
      }
      await until("it left", async () => (await sql.unsafe("select from pg_stat_replication where application_name = 'far'")).length === 0);
      expect(await primaryFindings()).toContain("one-failure-domain");
    },
  );

  it("names remote_apply that waits for a receiver, and is silent while a standby can fill the quorum", async () => {
    using _receiver = await startReceiver(pair.primary.connection, "vault");
    await streams("vault");
    await change(sql, { synchronous_standby_names: "FIRST 1 (vault)", synchronous_commit: "remote_apply" });
    const report = await look(pair.primary.connection);
    expect(report.findings.map(({ name }) => name)).toContain("remote-apply-receiver");
    expect(report.copies.find(({ name }) => name === "vault")?.kind).toBe("receiver");
    await change(sql, { synchronous_standby_names: "ANY 1 (vault, standby1)" });
    expect(await primaryFindings()).not.toContain("remote-apply-receiver");
    await change(sql, { synchronous_standby_names: "FIRST 1 (vault)", synchronous_commit: null });
    expect(await primaryFindings()).not.toContain("remote-apply-receiver");
    await change(sql, { synchronous_standby_names: null });
  });

  it("names a logical slot that a failover loses, and is silent about one that is copied", async () => {
    await sql.unsafe("select pg_create_logical_replication_slot('feed', 'pgoutput')");
    expect(await primaryFindings()).toContain("logical-slot-no-failover");
    await sql.unsafe(
      "select pg_drop_replication_slot('feed'); select pg_create_logical_replication_slot('feed', 'pgoutput', false, false, true)",
    );
    expect(await primaryFindings()).not.toContain("logical-slot-no-failover");
    await sql.unsafe("select pg_drop_replication_slot('feed')");
  });

  it("names a replica that lacks WAL and says since when at least; afterwards it lacks nothing", async () => {
    const [receiver] = await standby.unsafe("select pid from pg_stat_wal_receiver");
    const pid = Number(receiver?.["pid"]);
    process.kill(pid, "SIGSTOP");
    try {
      for (let message = 0; message < 34; message += 1)
        await sql.unsafe("select pg_logical_emit_message(true, 'tidemark', repeat('x', 1024 * 1024))");
      const report = await look(pair.primary.connection);
      expect(report.findings.map(({ name }) => name)).toContain("replica-behind");
      expect(report.copies[0]?.lag.kind).toBe("at-least");
      expect(report.copies[0]?.missingBytes).toBeGreaterThan(32 * 1024 * 1024);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await until("the standby caught up", async () => !(await primaryFindings()).includes("replica-behind"));
    await until("the standby lacks nothing", async () => (await look(pair.primary.connection)).copies[0]?.missingBytes === 0);
  });
});

describe("a check of a standby", () => {
  it("finds a healthy one healthy, and says that exposure is known on its primary", async () => {
    const report = await look(pair.standby.connection);
    expect(report.server.role).toBe("standby");
    expect(report.unknown).toEqual([]);
    expect(report.findings.filter(({ severity }) => severity !== "notice")).toEqual([]);
    expect(new Set(report.exposure.map(({ exposure }) => exposure.kind))).toEqual(new Set(["unknown"]));
  });

  it("names a paused and a delayed replay, and slots that cannot be copied", async () => {
    const names = ["replay-paused", "replay-delayed", "slot-sync-incomplete"];
    await standby.unsafe("select pg_wal_replay_pause()");
    await change(standby, { recovery_min_apply_delay: "1h", sync_replication_slots: "on" });
    expect(await standbyFindings()).toEqual(expect.arrayContaining(names));
    await standby.unsafe("select pg_wal_replay_resume()");
    await change(standby, { recovery_min_apply_delay: null, sync_replication_slots: null });
    expect((await standbyFindings()).filter((name) => names.includes(name))).toEqual([]);
  });

  it("names a standby that receives nothing, until it does again", async () => {
    await change(standby, { primary_conninfo: "" });
    await until("the receiver ended", async () => (await standby.unsafe("select pid from pg_stat_wal_receiver")).length === 0);
    expect(await standbyFindings()).toContain("standby-not-receiving");
    await change(standby, { primary_conninfo: null });
    await untilStreaming(pair.primary, TEST_STANDBY);
    await until("it receives", async () => !(await standbyFindings()).includes("standby-not-receiving"));
  });
});
