// The rules of docs/failover-protocol.md where a real PostgreSQL is the trap.
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterRecord } from "./cluster-record.ts";
import type { StackOptions } from "./testing/cluster-stack.ts";
import { ClusterStack, STORE } from "./testing/cluster-stack.ts";
import { CommitLoad } from "./testing/commit-load.ts";

let stack: ClusterStack | undefined;

async function started(options?: StackOptions): Promise<{ cluster: ClusterStack; primary: string; standby: string }> {
  stack = await ClusterStack.make(options);
  await stack.startAll();
  const route = options?.required === 0 ? await stack.openRoute() : await stack.synchronous();
  const standby = stack.store.nodes.find((node) => node.name !== route.node)?.name ?? "";
  return { cluster: stack, primary: route.node, standby };
}

const key = `/v1/lease-store/${encodeURIComponent(`cluster/${STORE}`)}`;

async function record(cluster: ClusterStack): Promise<{ value: ClusterRecord; revision: number }> {
  return (await cluster.ask(cluster.config.control.port, key)).body as { value: ClusterRecord; revision: number };
}

afterEach(async () => {
  await stack?.dispose();
  stack = undefined;
});

describe("R3: a revocation", () => {
  it("is fast and loses nothing when a query on the standby conflicts with replay", async () => {
    const { cluster, primary, standby } = await started({ settings: { max_standby_streaming_delay: "-1" } });
    const before = await cluster.openRoute();
    const writer = await cluster.connect(primary);
    await writer`INSERT INTO orders (id, note) SELECT g, 'old' FROM generate_series(1, 5000) g`;
    await cluster.until(
      "the rows are on the standby",
      async () => {
        const look = await cluster.connect(standby);
        const [row] = await look<{ n: number }[]>`SELECT count(*)::int AS n FROM orders`;
        await look.end();
        return row?.n;
      },
      (n) => n === 5_000,
    );
    const reader = await cluster.connect(standby);
    // One connection, and the snapshot is taken before the rows go.
    await reader.unsafe("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM orders").simple();
    const holds = reader.unsafe("SELECT pg_sleep(120)").execute();
    holds.catch(() => undefined);
    await writer`DELETE FROM orders WHERE id <= 4999`;
    await writer`VACUUM orders`;
    await writer`INSERT INTO orders (id, note) VALUES (6000, 'behind the conflict')`;
    await cluster.until(
      "replay is held back",
      () => cluster.agent(standby),
      (status) => status.receivedLsn !== undefined && status.lsn !== undefined && status.receivedLsn !== status.lsn,
    );
    const killedMs = Date.now();
    await cluster.signalPostgres(primary, "SIGKILL");
    const after = await cluster.openRoute(before);
    expect(Date.now() - killedMs).toBeLessThan(5_000);
    expect(after.node).toBe(standby);
    await expect(holds).rejects.toThrow();
    const look = await cluster.connect(standby);
    expect(await look`SELECT id::int FROM orders ORDER BY id`).toEqual([{ id: 5_000 }, { id: 6_000 }]);
    await look.end();
    await Promise.all([writer.end({ timeout: 0 }), reader.end({ timeout: 0 })]);
  });

  it("ends the receiver before it answers, and the primary acknowledges nothing any more", async () => {
    const { cluster, primary, standby } = await started({ policy: { kind: "never-lose" } });
    // A claim, as a coordinator would write it; its own is not there to go on with it.
    const { value, revision } = await record(cluster);
    await cluster.signal("control", "SIGSTOP");
    const vote = (await cluster.ask(cluster.agentPort(standby), "/revoke", { epoch: value.epoch + 1 })).body as { end: string };
    expect((await cluster.agent(standby)).receivedLsn === undefined || vote.end !== undefined).toBe(true);
    const writer = await cluster.connect(primary);
    let returned = false;
    const commit = writer`INSERT INTO orders (id, note) VALUES (1, 'after the revocation')`.then(
      () => (returned = true),
      () => undefined,
    );
    await delay(3_000);
    expect(returned).toBe(false);
    expect(revision).toBeGreaterThan(0);
    await cluster.signal("control", "SIGCONT");
    await writer.end({ timeout: 0 });
    await commit;
  });
});

describe("R2: a promotion", () => {
  it("that comes late is refused, and changes nothing", async () => {
    const { cluster, primary, standby } = await started();
    const before = await cluster.openRoute();
    const late = { epoch: before.epoch, target: "0/0", incumbent: false };
    const refused = await cluster.ask(cluster.agentPort(standby), "/promote", late);
    expect(refused).toMatchObject({ status: 409, body: { code: "TM-CLUSTER-STALE-EPOCH" } });
    // Of an epoch that nobody claimed.
    expect((await cluster.ask(cluster.agentPort(standby), "/promote", { ...late, epoch: before.epoch + 1 })).status).toBe(409);
    await cluster.signalPostgres(primary, "SIGKILL");
    const after = await cluster.openRoute(before);
    await cluster.synchronous();
    const again = { epoch: after.epoch, target: "0/0", incumbent: false };
    expect((await cluster.ask(cluster.agentPort(primary), "/promote", again)).status).toBe(409);
    expect((await cluster.ask(cluster.agentPort(primary), "/promote", { ...again, incumbent: true })).status).toBe(409);
    expect(await cluster.agent(primary)).toMatchObject({ state: "standby", inRecovery: true });
    expect((await record(cluster)).value).toMatchObject({ epoch: after.epoch, primary: standby });
  });

  it("takes the timeline that the record hands out, also where PostgreSQL would take a lower one", async () => {
    const { cluster, primary, standby } = await started();
    const before = await cluster.openRoute();
    const { value, revision } = await record(cluster);
    await cluster.ask(cluster.config.control.port, key, { expected: revision, value: { ...value, nextTimeline: 5 } });
    await cluster.signalPostgres(primary, "SIGKILL");
    const after = await cluster.openRoute(before);
    expect([after.node, after.timeline]).toEqual([standby, 5]);
    await cluster.synchronous();
    // Its agent says what its last probe saw, which may be from before it streamed.
    await cluster.until(
      "the old primary follows on the new timeline",
      () => cluster.agent(primary),
      (status) => status.state === "standby" && status.timeline === 5,
    );
  });

  it("that is older than the node's promise is refused, as is a fence for a reign that stands", async () => {
    const { cluster, primary, standby } = await started();
    await cluster.signal("control", "SIGSTOP");
    expect((await cluster.ask(cluster.agentPort(standby), "/revoke", { epoch: 7 })).status).toBe(200);
    expect(await cluster.ask(cluster.agentPort(standby), "/revoke", { epoch: 6 })).toMatchObject({
      status: 409,
      body: { code: "TM-CLUSTER-STALE-EPOCH" },
    });
    expect((await cluster.ask(cluster.agentPort(primary), "/fence", { epoch: 1 })).status).toBe(409);
    await cluster.signal("control", "SIGCONT");
  });
});

describe("R8: a claim", () => {
  it("ends with the incumbent when only that is sure to hold everything, and it starts again", async () => {
    const { cluster, primary, standby } = await started({ policy: { kind: "never-lose" } });
    const load = new CommitLoad(cluster, 2);
    await load.more(100);
    const before = await cluster.openRoute();
    await cluster.signalPostgres(primary, "SIGKILL");
    await cluster.until(
      "the new reign is recorded",
      () => record(cluster),
      ({ value }) => value.epoch > before.epoch && value.primary === standby,
    );
    await cluster.until(
      "it is promoted",
      () => cluster.agent(standby),
      (status) => status.inRecovery === false,
    );
    await cluster.signalPostgres(standby, "SIGKILL");
    await cluster.synchronous(60_000);
    await load.more(20);
    await load.stop();
    const last = await cluster.openRoute();
    expect(await load.missingOn(last.node)).toEqual([]);
    expect((await record(cluster)).value.loss).toBeUndefined();
  });
});

describe("R5: an asynchronous primary", () => {
  it("stops before its lease ends when the lease store is away, and starts again when that is back", async () => {
    const leaseMs = 4_000;
    const { cluster, primary } = await started({ required: 0, failover: { leaseMs } });
    await cluster.until(
      "commits are asynchronous",
      () => record(cluster),
      ({ value }) => value.sets.length === 1 && value.sets[0]?.required === 0,
    );
    // What the lease is about: no commit is acknowledged behind its end, however late this test sees PostgreSQL stopped.
    const load = new CommitLoad(cluster, 1);
    await load.more(10);
    const stoppedMs = Date.now();
    await cluster.signal("control", "SIGSTOP");
    await cluster.until(
      "PostgreSQL is stopped",
      () => cluster.agent(primary),
      (status) => status.postmasterPid === undefined,
    );
    expect(load.lastMs - stoppedMs).toBeLessThan(leaseMs);
    await cluster.signal("control", "SIGCONT");
    await cluster.until(
      "the primary is open again",
      () => cluster.agent(primary),
      (status) => status.open,
    );
    expect((await cluster.openRoute()).node).toBe(primary);
    await load.stop();
    expect(await load.missingOn(primary)).toEqual([]);
  });

  it("with a synchronous copy goes on without the lease store: there the revocation is the fence", async () => {
    const { cluster, primary } = await started({ failover: { leaseMs: 1_000 } });
    await cluster.signal("control", "SIGSTOP");
    await delay(3_000);
    const sql = await cluster.connect(primary);
    await sql`INSERT INTO orders (id, note) VALUES (1, 'acknowledged')`;
    await sql.end();
    await cluster.signal("control", "SIGCONT");
  });
});

describe("R6: an identity", () => {
  it("is new for data that was made anew, and the set follows it", async () => {
    const { cluster, standby } = await started();
    const before = (await cluster.agent(standby)).identity;
    const dataDir = cluster.store.nodes.find((node) => node.name === standby)?.dataDir ?? "";
    expect(JSON.parse(await readFile(`${dataDir}/tidemark-node.json`, "utf8"))).toMatchObject({ node: standby, identity: before });
    await cluster.signal(standby, "SIGKILL");
    await cluster.signalPostgres(standby, "SIGKILL");
    const { rm } = await import("node:fs/promises");
    await rm(dataDir, { recursive: true, force: true });
    await cluster.start(standby);
    const route = await cluster.until(
      "the new member is synchronous",
      () => cluster.synchronous(),
      (one) => !one.demanded.includes(before ?? ""),
    );
    const after = (await cluster.agent(standby)).identity;
    expect(after).not.toBe(before);
    expect(route.demanded).toEqual([after]);
  });
});

describe("the set of a primary", () => {
  it("is recorded as asynchronous before waiting commits are released by that (trap 16)", async () => {
    const { cluster, primary, standby } = await started({ failover: { suspectAfterMs: 3_000 } });
    await cluster.ask(cluster.agentPort(standby), "/hold-back", { hold: true });
    await cluster.until(
      "the standby receives nothing",
      () => cluster.agent(standby),
      (status) => status.streaming === false,
    );
    const sql = await cluster.connect(primary);
    const before = await record(cluster);
    expect(before.value.sets).toMatchObject([{ required: 1 }]);
    await sql`INSERT INTO orders (id, note) VALUES (1, 'waits, then goes on alone')`;
    const after = await record(cluster);
    expect(after.value.sets.some((set) => set.required === 0)).toBe(true);
    expect(after.revision).toBeGreaterThan(before.revision);
    await sql.end();
  });

  it("closes again under bounded, once the newest commits are exposed for longer than the bound", async () => {
    const { cluster, primary, standby } = await started({
      policy: { kind: "bounded", mostLossMs: 2_500 },
      failover: { suspectAfterMs: 500 },
    });
    await cluster.ask(cluster.agentPort(standby), "/hold-back", { hold: true });
    const sql = await cluster.connect(primary);
    let blockedMs = 0;
    let count = 0;
    const beganMs = Date.now();
    // It returns once the policy has gone on without the standby; until then commits wait for another reason than the bound.
    await sql`INSERT INTO orders (id, note) VALUES (${++count}, 'exposed')`;
    while (blockedMs === 0 && Date.now() - beganMs < 20_000) {
      const outcome = await Promise.race([
        sql`INSERT INTO orders (id, note) VALUES (${++count}, 'exposed')`.then(() => "returned"),
        delay(1_500, "waits"),
      ]);
      if (outcome === "waits" && (await record(cluster)).value.sets.every((set) => set.required === 1)) blockedMs = Date.now() - beganMs;
      else await delay(50);
    }
    expect(blockedMs).toBeGreaterThan(2_500);
    expect((await cluster.report()).synchronous).toBe("no synchronous copy: commits wait until another copy is back");
    await cluster.ask(cluster.agentPort(standby), "/hold-back", { hold: false });
    await cluster.synchronous();
    await sql.end();
  });

  it("warns of a role whose commits do not wait (trap 19), and ends two connections under one identity (R6)", async () => {
    const { cluster, primary, standby } = await started();
    const sql = await cluster.connect(primary);
    await sql.unsafe(`ALTER ROLE ${cluster.store.user} SET synchronous_commit = off`);
    await sql.end();
    const { identity = "" } = await cluster.agent(standby);
    const { ReplicationClient } = await import("@tidemark/postgres/replication-client");
    const { systemClock } = await import("@tidemark/kernel/platform/system-clock");
    const { Redacted } = await import("@tidemark/kernel/redacted");
    const { REPLICATION_USER, derivedPassword } = await import("./store-secrets.ts");
    const token = new Redacted((await readFile(cluster.config.control.internalTokenFile, "utf8")).trim());
    const double = await ReplicationClient.connect({
      host: "127.0.0.1",
      port: cluster.store.nodes.find((node) => node.name === primary)?.port ?? 0,
      user: REPLICATION_USER,
      password: derivedPassword(token, STORE, REPLICATION_USER),
      applicationName: identity,
      clock: systemClock,
    });
    const copy = (async () => {
      for await (const _event of double.baseBackup({ label: "another one", checkpoint: "fast", maxRateKb: 100 })) continue;
    })();
    await expect(copy).rejects.toThrow();
    double.close();
    for (const warning of [`two connections are called ${identity}`, "sets synchronous_commit below"]) {
      await cluster.until(
        "the agent has warned of both",
        () => cluster.agent(primary),
        (one) => one.warnings.join("\n").includes(warning),
      );
    }
    await cluster.synchronous();
  });
});

describe("a recorded primary", () => {
  it("whose data is gone is replaced, and comes back as a clone", async () => {
    const { cluster, primary, standby } = await started();
    const load = new CommitLoad(cluster, 2);
    await load.more(50);
    const before = await cluster.openRoute();
    await cluster.signal(primary, "SIGKILL");
    await cluster.signalPostgres(primary, "SIGKILL");
    const { rm } = await import("node:fs/promises");
    await rm(cluster.store.nodes.find((node) => node.name === primary)?.dataDir ?? "", { recursive: true, force: true });
    await cluster.start(primary);
    const after = await cluster.openRoute(before);
    expect(after.node).toBe(standby);
    await cluster.synchronous();
    await load.more(50);
    await load.stop();
    expect(await load.missingOn(after.node)).toEqual([]);
    expect((await cluster.agent(primary)).state).toBe("standby");
  });
});

describe("R7: an empty lease store", () => {
  it("never makes a new cluster over data that exists", async () => {
    const { cluster } = await started();
    await cluster.signal("control", "SIGKILL");
    for (const node of cluster.store.nodes) {
      await cluster.signal(node.name, "SIGKILL");
      await cluster.signalPostgres(node.name, "SIGKILL");
    }
    const { rm } = await import("node:fs/promises");
    await rm(`${cluster.config.stateDir}/control`, { recursive: true });
    await cluster.startAll();
    for (const node of cluster.store.nodes) {
      const status = await cluster.until(
        "the node says why it waits",
        () => cluster.agent(node.name),
        (one) => one.state === "waiting",
      );
      expect(status.detail).toBe("the lease store is empty and this node has data");
    }
    expect(await cluster.route()).toBeUndefined();
  });
});
