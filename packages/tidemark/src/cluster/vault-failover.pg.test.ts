// Failovers with a real vault: it is a member of the synchronous set, votes, completes the standby, and never reigns.
import { existsSync, readFileSync } from "node:fs";
import { cp, rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { ClusterRecord } from "./cluster-record.ts";
import type { StackOptions } from "./testing/cluster-stack.ts";
import { ClusterStack, STORE } from "./testing/cluster-stack.ts";
import { CommitLoad } from "./testing/commit-load.ts";

let stack: ClusterStack | undefined;

afterEach(async () => {
  await stack?.dispose();
  stack = undefined;
});

/** Quick to suspect, so that a test waits for the protocol and not for its patience. */
const QUICK = { suspectAfterMs: 500, leaseMs: 1_000 };

async function started(options?: StackOptions): Promise<{ cluster: ClusterStack; primary: string; standby: string }> {
  const required = options?.required ?? 2;
  const cluster = await ClusterStack.make({ vaults: 1, required, policy: { kind: "never-lose" }, failover: QUICK, ...options });
  stack = cluster;
  await cluster.startAll();
  const { primary } = await cluster.until(
    "standby and vault are members",
    () => record(cluster),
    ({ sets }) => sets.length === 1 && sets[0]?.required === required && sets[0].members.length === (options?.nodes ?? 2),
  );
  return { cluster, primary, standby: cluster.store.nodes.find((node) => node.name !== primary)?.name ?? "" };
}

async function record(cluster: ClusterStack): Promise<ClusterRecord> {
  const key = `/v1/lease-store/${encodeURIComponent(`cluster/${STORE}`)}`;
  const { value } = (await cluster.ask(cluster.config.control.port, key)).body as { value?: ClusterRecord };
  if (value === undefined) throw new Error("there is no record yet");
  return value;
}

/** Makes the standby receive nothing, and waits until commits go on with the vault alone. */
async function holdBack(cluster: ClusterStack, standby: string): Promise<void> {
  await cluster.ask(cluster.agentPort(standby), "/hold-back", { hold: true });
  await cluster.until(
    "the vault is the only member",
    () => record(cluster),
    ({ sets }) => sets.length === 1 && sets[0]?.required === 1 && sets[0].members.every((member) => member.node === "vault1"),
  );
}

/** The machine of a node is gone, agent and all. */
async function lose(cluster: ClusterStack, node: string): Promise<void> {
  await cluster.signal(node, "SIGKILL");
  await cluster.signalPostgres(node, "SIGKILL");
}

/** Resolves as soon as a file's JSON is as wanted; looks again without a pause, so that a kill comes right after it was written. */
async function seen(path: string, isSo: (content: Record<string, { epoch?: number } | undefined>) => boolean): Promise<void> {
  const endMs = Date.now() + 30_000;
  for (;;) {
    try {
      if (isSo(JSON.parse(readFileSync(path, "utf8")) as Record<string, { epoch?: number }>)) return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    if (Date.now() > endMs) throw new Error(`${path} did not become what was waited for`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a cluster of two nodes and a vault", () => {
  it("waits for both copies by default, and names the vault by its identity (R6)", async () => {
    const { cluster, standby } = await started();
    const { sets } = await record(cluster);
    expect(sets[0]?.members.map((member) => member.node).sort()).toEqual([standby, "vault1"].sort());
    expect(sets[0]?.members.find((member) => member.node === "vault1")?.identity).toMatch(/^tidemark_vault_vault1_[0-9a-f]{32}$/);
    expect((await cluster.report()).synchronous).toBe("2 synchronous copies");
  });

  it("completes a standby that was held back from the vault, which alone had what was acknowledged", async () => {
    const { cluster, primary, standby } = await started();
    const load = new CommitLoad(cluster);
    await load.more(50);
    await holdBack(cluster, standby);
    const before = await cluster.openRoute();
    await load.more(300);
    await lose(cluster, primary);
    const after = await cluster.openRoute(before, 60_000);
    // The survivor and the vault go on together.
    await load.more(20);
    await load.stop();
    expect(after.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
    expect((await record(cluster)).loss).toBeUndefined();
    const report = await cluster.report();
    expect(report.lastFailover).toMatchObject({ kind: "failover", to: standby, completion: { from: "vault1" } });
    expect(report.lastFailover?.completion?.bytes).toBeGreaterThan(0);
    const status = await cluster.agent(standby);
    expect(Object.keys(status.promotionMs ?? {})).toEqual(["fetch", "replay", "settle", "record", "promote", "reign"]);
    // The old primary comes back as a standby, and the set is whole again.
    await cluster.start(primary);
    await cluster.until(
      "the set is whole again",
      () => record(cluster),
      ({ sets }) => sets.length === 1 && sets[0]?.required === 2,
      60_000,
    );
  });

  it("completes a standby that has not followed since the timeline before, across the switch", async () => {
    const { cluster, primary } = await started({ nodes: 3, required: 1 });
    const [second = "", behind = ""] = cluster.store.nodes.map((node) => node.name).filter((name) => name !== primary);
    const load = new CommitLoad(cluster);
    await cluster.ask(cluster.agentPort(behind), "/hold-back", { hold: true });
    await load.more(100);
    const before = await cluster.openRoute();
    await lose(cluster, primary);
    const between = await cluster.openRoute(before, 60_000);
    expect(between).toMatchObject({ node: second, timeline: 2 });
    await load.more(100);
    await cluster.until(
      "the vault is the only member",
      () => record(cluster),
      ({ sets }) => sets.length === 1 && sets[0]?.members.length === 1 && sets[0].members[0]?.node === "vault1",
    );
    await load.more(100);
    await lose(cluster, second);
    const after = await cluster.openRoute(between, 60_000);
    await load.more(20);
    await load.stop();
    expect(after).toMatchObject({ node: behind, timeline: 3 });
    expect((await cluster.report()).lastFailover).toMatchObject({ to: behind, completion: { from: "vault1" } });
    expect(await load.missingOn(behind)).toEqual([]);
    expect((await record(cluster)).loss).toBeUndefined();
  });

  it.each(["promise", "vote"] as const)("loses nothing when the vault is killed right after its %s was stored", async (what) => {
    const { cluster, primary, standby } = await started();
    const load = new CommitLoad(cluster);
    await holdBack(cluster, standby);
    await load.more(200);
    const before = await cluster.openRoute();
    const file = join(cluster.store.vaults[0]?.directory ?? "", "vault.json");
    const stored = seen(file, (content) => (content[what]?.epoch ?? 0) > before.epoch);
    await lose(cluster, primary);
    await stored;
    await cluster.signal("vault1", "SIGKILL");
    // Nobody else has what it acknowledged: no promotion without it.
    await delay(2_500);
    expect((await record(cluster)).primary).toBe(primary);
    await cluster.start("vault1");
    const after = await cluster.openRoute(before, 60_000);
    await load.stop();
    expect(after.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
    expect((await record(cluster)).loss).toBeUndefined();
  });

  it.each(["promise", "vote"] as const)("loses nothing when the standby's agent is killed right after its %s was stored", async (what) => {
    const { cluster, primary, standby } = await started({ required: 1 });
    const load = new CommitLoad(cluster);
    await load.more(200);
    const before = await cluster.openRoute();
    const dataDir = cluster.store.nodes.find((node) => node.name === standby)?.dataDir ?? "";
    const stored = seen(join(dataDir, "tidemark-node.json"), (content) => (content[what]?.epoch ?? 0) > before.epoch);
    await lose(cluster, primary);
    await stored;
    await cluster.signal(standby, "SIGKILL");
    await cluster.start(standby);
    const after = await cluster.openRoute(before, 60_000);
    await load.more(20);
    await load.stop();
    expect(after.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
  });

  it("loses nothing when the candidate's agent is killed in the middle of the completion", async () => {
    const { cluster, primary, standby } = await started();
    const load = new CommitLoad(cluster);
    await holdBack(cluster, standby);
    await load.more(200);
    const before = await cluster.openRoute();
    const dataDir = cluster.store.nodes.find((node) => node.name === standby)?.dataDir ?? "";
    await lose(cluster, primary);
    await cluster.until(
      "the completion has begun",
      async () => existsSync(`${dataDir}.completion`),
      (begun) => begun,
    );
    await cluster.signal(standby, "SIGKILL");
    await cluster.start(standby);
    const after = await cluster.openRoute(before, 60_000);
    await load.more(20);
    await load.stop();
    expect(after.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
  });

  it.each([
    ["the claim", (value: ClusterRecord, epoch: number) => value.claim !== undefined && value.epoch === epoch],
    ["the new reign", (value: ClusterRecord, epoch: number) => value.epoch > epoch],
  ] as const)("loses nothing when control is killed right after the lease store took %s", async (_what, isSo) => {
    const { cluster, primary, standby } = await started();
    const load = new CommitLoad(cluster);
    await holdBack(cluster, standby);
    await load.more(200);
    const before = await cluster.openRoute();
    await lose(cluster, primary);
    await cluster.until(
      "it stands in the lease store",
      () => record(cluster),
      (value) => isSo(value, before.epoch),
    );
    await cluster.signal("control", "SIGKILL");
    await cluster.start("control");
    const after = await cluster.openRoute(before, 60_000);
    await load.more(20);
    await load.stop();
    expect(after.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
    expect((await record(cluster)).loss).toBeUndefined();
  });

  it("refuses to promote with k = 1 when primary and vault are lost together, and goes on when the vault is back (R7)", async () => {
    const { cluster, primary, standby } = await started({ required: 1 });
    const load = new CommitLoad(cluster);
    await load.more(100);
    const before = await cluster.openRoute();
    await Promise.all([lose(cluster, primary), cluster.signal("vault1", "SIGKILL")]);
    const blocked = await cluster.until(
      "the failover is blocked",
      () => cluster.report(),
      (report) => report.state === "blocked",
    );
    expect(blocked.decision.obstacle).toContain("votes are missing: 1");
    expect((await record(cluster)).primary).toBe(primary);
    await cluster.start("vault1");
    const after = await cluster.openRoute(before, 60_000);
    await load.stop();
    expect(after.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
  });

  it("does not take the vote of a vault whose disk was set back, and goes on when the newest is there again (R6)", async () => {
    const { cluster, primary, standby } = await started();
    const load = new CommitLoad(cluster);
    await holdBack(cluster, standby);
    await load.more(50);
    const directory = cluster.store.vaults[0]?.directory ?? "";
    await cluster.signal("vault1", "SIGKILL");
    await cp(directory, `${directory}-snapshot`, { recursive: true });
    const sql = await cluster.connect(primary);
    // At least where the snapshot ends.
    const [row] = await sql<{ lsn: string }[]>`SELECT pg_current_wal_flush_lsn()::text AS lsn`;
    await sql.end();
    await cluster.start("vault1");
    const reported = async (): Promise<bigint> =>
      parseLsn((await cluster.report()).vaults[0]?.status?.vault?.recoveryPoint?.lastWholeRecordLsn ?? "0/0");
    // What control has not heard of is not seen (a heartbeat): docs/failover-protocol.md, R6.
    await cluster.until("the vault has reported more", reported, (lsn) => lsn > parseLsn(row?.lsn ?? "0/0"));
    const before = await cluster.openRoute();
    await cluster.signal("vault1", "SIGKILL");
    await lose(cluster, primary);
    await load.stop();
    await rename(directory, `${directory}-newest`);
    await rename(`${directory}-snapshot`, directory);
    await cluster.start("vault1");
    await cluster.until(
      "the vote is refused",
      () => cluster.report(),
      (report) => report.decision.obstacle?.includes("its data is older than it was") === true,
    );
    expect((await record(cluster)).primary).toBe(primary);
    await cluster.signal("vault1", "SIGKILL");
    await rename(directory, `${directory}-snapshot`);
    await rename(`${directory}-newest`, directory);
    await cluster.start("vault1");
    const after = await cluster.openRoute(before, 60_000);
    expect(after.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
  });

  it("goes on with k = 2 when primary and vault are lost together (R7)", async () => {
    const { cluster, primary, standby } = await started({ policy: { kind: "available" } });
    const load = new CommitLoad(cluster);
    await load.more(100);
    const before = await cluster.openRoute();
    await Promise.all([lose(cluster, primary), cluster.signal("vault1", "SIGKILL")]);
    const after = await cluster.openRoute(before, 60_000);
    await load.more(20);
    await load.stop();
    expect(after.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
    expect((await record(cluster)).loss).toBeUndefined();
  });

  it("starts a crashed primary again without a claim when only the vault is left (R8)", async () => {
    const { cluster, primary, standby } = await started();
    const load = new CommitLoad(cluster, 2);
    await holdBack(cluster, standby);
    await lose(cluster, standby);
    await load.more(50);
    await cluster.until(
      "nobody counts on the standby any more",
      () => cluster.report(),
      ({ nodes }) => (nodes.find((node) => node.node === standby)?.ageMs ?? 0) > QUICK.leaseMs,
    );
    const before = await record(cluster);
    await cluster.signalPostgres(primary, "SIGKILL");
    await cluster.until(
      "the primary is up again",
      () => cluster.agent(primary),
      (status) => status.open && status.postmasterPid !== undefined,
    );
    await load.more(50);
    await load.stop();
    const after = await record(cluster);
    expect([after.primary, after.epoch, after.claim]).toEqual([primary, before.epoch, undefined]);
    expect(await load.missingOn(primary)).toEqual([]);
  });
});
