// An agent answers that its node has voted or is fenced. It is killed right before and right after each step that leads to the
// answer; its PostgreSQL goes on, or stays away, without it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { NodeFile } from "./agent/node-file.ts";
import { NODE_FILE } from "./agent/node-file.ts";
import type { NodeStep } from "./agent/postgres-node.ts";
import type { PrimaryRoute } from "./cluster-record.ts";
import type { StackOptions } from "./testing/cluster-stack.ts";
import { ClusterStack } from "./testing/cluster-stack.ts";
import { CommitLoad } from "./testing/commit-load.ts";

let stack: ClusterStack | undefined;
afterEach(async () => {
  await stack?.dispose();
  stack = undefined;
});

interface Started {
  readonly cluster: ClusterStack;
  readonly route: PrimaryRoute;
  readonly standby: string;
}

async function started(policy: StackOptions["policy"]): Promise<Started> {
  const cluster = await ClusterStack.make({
    ...(policy === undefined ? {} : { policy }),
    failover: { suspectAfterMs: 1_000 },
  });
  stack = cluster;
  await cluster.startAll();
  const route = await cluster.synchronous();
  return { cluster, route, standby: cluster.store.nodes.find((node) => node.name !== route.node)?.name ?? "" };
}

/** Another agent on the same PostgreSQL, which kills itself at `step`. */
async function replaceAgent(cluster: ClusterStack, node: string, step: NodeStep): Promise<void> {
  await cluster.signal(node, "SIGKILL");
  await cluster.start(node, step);
  await cluster.until(
    "the agent knows its PostgreSQL",
    () => cluster.agent(node),
    (status) => status.open || status.streaming === true,
  );
}

function nodeFile(cluster: ClusterStack, node: string): NodeFile {
  const dataDir = cluster.store.nodes.find((one) => one.name === node)?.dataDir ?? "";
  return JSON.parse(readFileSync(join(dataDir, NODE_FILE), "utf8")) as NodeFile;
}

/** How many receive WAL from `node`. */
async function receivers(cluster: ClusterStack, node: string): Promise<number> {
  const sql = await cluster.connect(node);
  try {
    return (await sql`SELECT FROM pg_stat_replication`).length;
  } finally {
    await sql.end({ timeout: 0 });
  }
}

describe("an agent that is killed", () => {
  it.each([
    ["right before its promise is stored", "promising"],
    ["right after its promise is stored", "promised"],
    ["right before it answers its vote", "voted"],
    ["right after it answered its vote", "answered /revoke"],
  ] as const)("%s keeps what it stored, and the node that is promoted has every commit (R3, R4)", async (_, step) => {
    const { cluster, route, standby } = await started({ kind: "never-lose" });
    await replaceAgent(cluster, standby, step);
    const load = new CommitLoad(cluster);
    await load.more(50);
    const epoch = route.epoch + 1;
    const revoke = (): Promise<{ status: number; body: unknown }> => cluster.ask(cluster.agentPort(standby), "/revoke", { epoch });
    const answer = await revoke().catch(() => undefined);
    await cluster.gone(standby);
    expect(answer !== undefined).toBe(step === "answered /revoke");
    const { promise, vote } = nodeFile(cluster, standby);
    const voted = step === "voted" || step === "answered /revoke";
    expect(promise?.epoch).toBe(step === "promising" ? undefined : epoch);
    expect(vote?.epoch).toBe(voted ? epoch : undefined);
    if (answer !== undefined) expect(answer.body).toEqual(vote);
    if (voted) {
      // Nobody receives, so nothing can be acknowledged any more, and the next agent leaves it so.
      const none = (): Promise<number> => receivers(cluster, route.node);
      await cluster.until("nobody receives from the primary", none, (count) => count === 0);
      await cluster.start(standby);
      const again = await cluster.until("it votes again", revoke, ({ status }) => status === 200);
      expect(again.body).toEqual(vote);
      expect(await none()).toBe(0);
    } else {
      // It has told nobody anything, so commits may go on.
      await load.more(20);
      await cluster.start(standby);
    }
    await cluster.signalPostgres(route.node, "SIGKILL");
    const after = await cluster.openRoute(route);
    expect(after).toMatchObject({ node: standby, epoch });
    await cluster.synchronous();
    await load.more(20);
    await load.stop();
    expect(await load.missingOn(standby)).toEqual([]);
  });

  it.each([
    ["right before its promise is stored", "promising"],
    ["right before it answers that it is fenced", "promised"],
    ["right after it answered that it is fenced", "answered /fence"],
  ] as const)("%s never reigns again in the old epoch, and comes back as a standby (ONE-WRITER)", async (_, step) => {
    const { cluster, route, standby } = await started({ kind: "available" });
    await replaceAgent(cluster, route.node, step);
    const load = new CommitLoad(cluster);
    await load.more(50);
    const hung = await cluster.postgres(route.node);
    await cluster.signalPostgres(route.node, "SIGSTOP");
    await cluster.gone(route.node);
    // PostgreSQL is ended first; then the promise, and only then the answer.
    expect(hung.filter((pid) => existsSync(`/proc/${pid}/cwd`))).toEqual([]);
    expect(nodeFile(cluster, route.node).promise?.epoch).toBe(step === "promising" ? undefined : route.epoch + 1);
    const after = await cluster.openRoute(route);
    expect(after).toMatchObject({ node: standby, epoch: route.epoch + 1 });
    await load.more(50);
    await cluster.start(route.node);
    await cluster.synchronous();
    await load.more(20);
    await load.stop();
    expect((await cluster.agent(route.node)).state).toBe("standby");
    expect((await cluster.route())?.node).toBe(standby);
    expect(await load.missingOn(standby)).toEqual([]);
  });
});
