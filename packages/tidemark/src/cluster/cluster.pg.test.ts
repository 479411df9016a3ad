import { afterEach, describe, expect, it } from "vitest";
import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { ClusterStack, STORE } from "./testing/cluster-stack.ts";
import { CommitLoad } from "./testing/commit-load.ts";
import type { StackOptions } from "./testing/cluster-stack.ts";

let stack: ClusterStack | undefined;

async function started(options?: StackOptions): Promise<ClusterStack> {
  stack = await ClusterStack.make(options);
  await stack.startAll();
  if (options?.required !== 0) await stack.synchronous();
  return stack;
}

afterEach(async () => {
  await stack?.dispose();
  stack = undefined;
});

describe("a cluster of two nodes", () => {
  it("keeps every acknowledged commit when the primary is killed, and takes it back as a standby", async () => {
    const it = await started();
    const before = await it.openRoute();
    const load = new CommitLoad(it);
    await load.more(200);
    const killedMs = Date.now();
    await it.signalPostgres(before.node, "SIGKILL");
    const after = await it.openRoute(before);
    await load.more(50);
    const outage = Math.max(...load.gapsMs.filter((gap) => gap.fromMs + gap.ms >= killedMs).map((gap) => gap.ms));
    expect(after.node).not.toBe(before.node);
    expect(after.epoch).toBe(before.epoch + 1);
    expect(await load.missingOn(after.node)).toEqual([]);
    await it.synchronous();
    await load.more(50);
    await load.stop();
    expect((await it.agent(before.node)).state).toBe("standby");
    expect(outage).toBeLessThan(3_000);
    const report = await it.report();
    expect(report.synchronous).toBe("1 synchronous copy");
    expect(report.lastFailover).toMatchObject({ kind: "failover", from: before.node, to: after.node });
    expect(report.record?.loss).toBeUndefined();
    // The old primary had commits that nobody else had, under load: then its data lies aside. Never more than one such folder.
    const folder = dirname(it.store.nodes.find((node) => node.name === before.node)?.dataDir ?? "");
    expect(readdirSync(folder).filter((name) => name.includes(".diverged-")).length).toBeLessThan(2);
  });

  it("fails over from a primary that hangs, and kills it", async () => {
    const it = await started({ failover: { suspectAfterMs: 1_000 } });
    const before = await it.openRoute();
    const load = new CommitLoad(it);
    await load.more(100);
    const hung = await it.postgres(before.node);
    const heldMs = Date.now();
    await it.signalPostgres(before.node, "SIGSTOP");
    const after = await it.openRoute(before);
    expect(Date.now() - heldMs).toBeLessThan(6_000);
    await load.more(50);
    await load.stop();
    expect(await load.missingOn(after.node)).toEqual([]);
    await it.synchronous();
    expect(hung.filter((pid) => existsSync(`/proc/${pid}/cwd`))).toEqual([]);
  });

  it("fails over from a primary whose postmaster alone is held, because it gives no new session", async () => {
    const it = await started({ failover: { suspectAfterMs: 1_000 } });
    const before = await it.openRoute();
    const [postmaster] = await it.postgres(before.node);
    process.kill(postmaster ?? 0, "SIGSTOP");
    const after = await it.openRoute(before);
    expect(after.node).not.toBe(before.node);
  });

  it("goes on when an agent is killed: the next one adopts its PostgreSQL", async () => {
    const it = await started({ failover: { suspectAfterMs: 500, leaseMs: 1_000 } });
    const before = await it.openRoute();
    const [postmaster] = await it.postgres(before.node);
    const load = new CommitLoad(it, 2);
    await load.more(50);
    await it.signal(before.node, "SIGKILL");
    // Longer than lease and suspicion together: PostgreSQL itself answers, so nothing is claimed.
    const silentMs = Date.now();
    await it.until(
      "the agent has been silent for long",
      async () => Date.now() - silentMs,
      (ms) => ms > 4_000,
    );
    await load.more(50);
    await it.start(before.node);
    await it.until(
      "the agent knows its primary",
      () => it.agent(before.node),
      (status) => status.open,
    );
    await load.more(50);
    await load.stop();
    expect((await it.route())?.epoch).toBe(before.epoch);
    expect((await it.postgres(before.node))[0]).toBe(postmaster);
    expect(await load.missingOn(before.node)).toEqual([]);
  });

  it("fails over from an adopted primary as from one of its own", async () => {
    const it = await started();
    const before = await it.openRoute();
    await it.signal(before.node, "SIGKILL");
    await it.start(before.node);
    await it.until(
      "the agent knows its primary",
      () => it.agent(before.node),
      (status) => status.open,
    );
    await it.signalPostgres(before.node, "SIGKILL");
    expect((await it.openRoute(before)).node).not.toBe(before.node);
  });

  it("fails over when the machine of the primary is gone, agent and all", async () => {
    const it = await started({ failover: { suspectAfterMs: 500, leaseMs: 1_000 } });
    const before = await it.openRoute();
    await it.signal(before.node, "SIGKILL");
    await it.signalPostgres(before.node, "SIGKILL");
    const after = await it.openRoute(before);
    expect(after.node).not.toBe(before.node);
    await it.start(before.node);
    await it.synchronous();
    expect((await it.agent(before.node)).state).toBe("standby");
  });

  it("goes on without control, and fails over once it is back", async () => {
    // Within the time that a crashed primary leaves to a claim before it starts again where it is: control has to be back by then.
    const it = await started({ failover: { suspectAfterMs: 20_000 } });
    const before = await it.openRoute();
    const sql = await it.connect(before.node);
    await it.signal("control", "SIGKILL");
    await sql`INSERT INTO orders (id, note) VALUES (1, 'without control')`;
    await sql.end();
    await it.signalPostgres(before.node, "SIGKILL");
    await it.start("control");
    const after = await it.openRoute(before);
    const there = await it.connect(after.node);
    expect(await there`SELECT note FROM orders`).toEqual([{ note: "without control" }]);
    await there.end();
    expect(after.systemIdentifier).toBe(before.systemIdentifier);
  });

  it("comes up again as it was when everything was killed at once", async () => {
    const it = await started();
    const before = await it.openRoute();
    const load = new CommitLoad(it);
    await load.more(100);
    await Promise.all([
      it.signal("control", "SIGKILL"),
      ...it.store.nodes.map((node) => it.signal(node.name, "SIGKILL")),
      ...it.store.nodes.map((node) => it.signalPostgres(node.name, "SIGKILL")),
    ]);
    await load.stop();
    await it.startAll();
    const after = await it.synchronous();
    expect(after.node).toBe(before.node);
    expect(await load.missingOn(after.node)).toEqual([]);
  });

  it("stops PostgreSQL cleanly with its agents, and starts again in the same reign", async () => {
    const it = await started();
    const before = await it.openRoute();
    await Promise.all([...it.store.nodes.map((node) => it.signal(node.name, "SIGTERM")), it.signal("control", "SIGTERM")]);
    for (const node of it.store.nodes) expect(existsSync(`${node.dataDir}/postmaster.pid`)).toBe(false);
    await it.startAll();
    const after = await it.synchronous();
    expect([after.node, after.epoch]).toEqual([before.node, before.epoch]);
  });

  it("blocks commits under never-lose while the standby is away, and lets them go when it is back", async () => {
    const it = await started({ policy: { kind: "never-lose" }, failover: { suspectAfterMs: 500 } });
    const route = await it.openRoute();
    const standby = it.store.nodes.find((node) => node.name !== route.node)?.name ?? "";
    await it.ask(it.agentPort(standby), "/hold-back", { hold: true });
    await it.until(
      "the standby receives nothing",
      () => it.agent(standby),
      (status) => status.streaming === false,
    );
    const sql = await it.connect(route.node);
    let returned = false;
    const commit = sql`INSERT INTO orders (id, note) VALUES (1, 'waits')`.then(() => (returned = true));
    const beganMs = Date.now();
    await it.until(
      "some time has passed",
      async () => Date.now() - beganMs,
      (ms) => ms > 2_000,
    );
    expect(returned).toBe(false);
    await it.ask(it.agentPort(standby), "/hold-back", { hold: false });
    await commit;
    await sql.end();
  });

  it("goes on asynchronously under available, says so, and comes back to synchronous", async () => {
    const it = await started({ failover: { suspectAfterMs: 500 } });
    const route = await it.openRoute();
    const standby = it.store.nodes.find((node) => node.name !== route.node)?.name ?? "";
    await it.ask(it.agentPort(standby), "/hold-back", { hold: true });
    await it.until(
      "commits are asynchronous",
      () => it.report(),
      (report) => report.route?.guarantee === "asynchronous",
    );
    expect((await it.report()).synchronous).toBe("asynchronous: a failover may lose the newest commits until another copy is back");
    const sql = await it.connect(route.node);
    await sql`INSERT INTO orders (id, note) VALUES (1, 'alone')`;
    await sql.end();
    await it.ask(it.agentPort(standby), "/hold-back", { hold: false });
    await it.synchronous();
    expect((await it.report()).record?.sets).toHaveLength(1);
  });

  it("states the loss in numbers before it promotes an asynchronous standby that was held back", async () => {
    const it = await started({ required: 0 });
    const before = await it.openRoute();
    const standby = it.store.nodes.find((node) => node.name !== before.node)?.name ?? "";
    await it.until(
      "the standby streams",
      () => it.agent(standby),
      (status) => status.streaming === true,
    );
    const load = new CommitLoad(it, 2);
    await load.more(50);
    await it.ask(it.agentPort(standby), "/hold-back", { held: true });
    await it.until(
      "the standby receives nothing",
      () => it.agent(standby),
      (status) => status.streaming === false,
    );
    await load.more(300);
    await it.until(
      "the primary has reported since",
      () => it.report(),
      (report) => (report.nodes.find((node) => node.node === standby)?.lagBytes ?? 0) > 10_000,
    );
    await it.signalPostgres(before.node, "SIGKILL");
    const after = await it.openRoute(before);
    await load.stop();
    expect(after.node).toBe(standby);
    const missing = await load.missingOn(after.node);
    expect(missing.length).toBeGreaterThan(0);
    const { record } = await it.report();
    expect(record?.loss).toMatchObject({ candidate: standby, acceptedBy: "policy available" });
    expect(record?.loss?.bytes).toBeGreaterThan(10_000);
    await it.until(
      "the old primary is a standby",
      () => it.agent(before.node),
      (status) => status.state === "standby" && status.streaming === true,
    );
    // What the old primary alone had is kept as evidence.
    const folder = dirname(it.store.nodes.find((node) => node.name === before.node)?.dataDir ?? "");
    expect(readdirSync(folder).filter((name) => name.includes(".diverged-"))).toHaveLength(1);
  });

  it("answers load balancers by role, and nobody else without the token", async () => {
    const it = await started();
    const route = await it.openRoute();
    const standby = it.store.nodes.find((node) => node.name !== route.node)?.name ?? "";
    const ask = async (node: string, path: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${it.agentPort(node)}${path}`)).status;
    expect(await ask(route.node, "/primary")).toBe(200);
    expect(await ask(route.node, "/replica")).toBe(503);
    expect(await ask(standby, "/primary")).toBe(503);
    expect(await ask(standby, "/replica")).toBe(200);
    expect(await ask(standby, "/status")).toBe(401);
    expect(await ask(standby, "/route")).toBe(401);
    expect((await fetch(`http://127.0.0.1:${it.config.control.port}/v1/lease-store/cluster%2F${STORE}`)).status).toBe(401);
    expect((await it.ask(it.agentPort(standby), "/route")).body).toMatchObject({ node: route.node, epoch: 1 });
  });
});
