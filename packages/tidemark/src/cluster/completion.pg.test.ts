// The completion of a candidate on real PostgreSQL servers, with WAL that is served from the old primary's own folder.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Epoch } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { segmentName } from "@tidemark/postgres/wal/segment-name";
import type { ClusterRecord } from "./cluster-record.ts";
import type { Vote } from "./failover-state.ts";
import { ClusterStack, STORE } from "./testing/cluster-stack.ts";
import { ServedWal } from "./testing/served-wal.ts";

const SEGMENT_BYTES = 16_777_216;

let stack: ClusterStack | undefined;
let served: ServedWal | undefined;

afterEach(async () => {
  await served?.close();
  await stack?.dispose();
  [stack, served] = [undefined, undefined];
});

interface Behind {
  readonly cluster: ClusterStack;
  readonly wal: ServedWal;
  readonly standby: string;
  readonly vote: Vote;
  /** What to tell the candidate, besides what a test changes. */
  readonly order: { epoch: number; target: string; timeline: number; from: string };
  readonly count: number;
  /** Where the first third of the rows ends, and a record. */
  readonly third: string;
}

/** A standby that was held back while its primary committed, over several segments; the primary is dead, the standby has promised. */
async function behind(): Promise<Behind> {
  const cluster = await ClusterStack.make({ vaults: 1, required: 0 });
  stack = cluster;
  await cluster.start("control");
  await Promise.all(cluster.store.nodes.map((node) => cluster.start(node.name)));
  const { node: primary, epoch } = await cluster.openRoute();
  const standby = cluster.store.nodes.find((node) => node.name !== primary)?.name ?? "";
  await cluster.until(
    "the standby streams",
    () => cluster.agent(standby),
    (status) => status.streaming === true,
  );
  await cluster.ask(cluster.agentPort(standby), "/hold-back", { hold: true });
  await cluster.until(
    "the standby receives nothing",
    () => cluster.agent(standby),
    (status) => status.streaming === false,
  );
  const { count, third } = await fill(cluster, primary);
  const sql = await cluster.connect(primary);
  const [row] = await sql<{ lsn: string }[]>`SELECT pg_current_wal_flush_lsn()::text AS lsn`;
  await sql.end();
  const dataDir = cluster.store.nodes.find((node) => node.name === primary)?.dataDir ?? "";
  const wal = await ServedWal.listen(join(dataDir, "pg_wal"), cluster.store.vaults[0]?.port ?? 0);
  served = wal;
  await cluster.signal("control", "SIGSTOP");
  await cluster.signal(primary, "SIGKILL");
  await cluster.signalPostgres(primary, "SIGKILL");
  const claimed = epoch + 1;
  const vote = (await cluster.ask(cluster.agentPort(standby), "/revoke", { epoch: claimed })).body as Vote;
  return {
    cluster,
    wal,
    standby,
    vote,
    count,
    third,
    order: { epoch: claimed, target: row?.lsn ?? "", timeline: vote.timeline, from: "vault1" },
  };
}

/** Commits over three segments. Answers how many rows there are, and where the first third of them ends. */
async function fill(cluster: ClusterStack, primary: string): Promise<{ count: number; third: string }> {
  const sql = await cluster.connect(primary);
  let count = 0;
  let third = "";
  for (let round = 0; round < 3; round++) {
    await sql`INSERT INTO orders (id, note) SELECT g, repeat('x', 100) FROM generate_series(${count + 1}::int, ${count + 2_000}::int) g`;
    count += 2_000;
    if (round === 0) third = (await sql<{ lsn: string }[]>`SELECT pg_current_wal_flush_lsn()::text AS lsn`)[0]?.lsn ?? "";
    if (round < 2) await sql.unsafe("SELECT pg_logical_emit_message(false, 'fill', repeat('y', 9000000))");
  }
  await sql.end();
  return { count, third };
}

async function rows(cluster: ClusterStack, node: string): Promise<number> {
  const sql = await cluster.connect(node);
  const [row] = await sql<{ n: number }[]>`SELECT count(*)::int AS n FROM orders`;
  await sql.end({ timeout: 0 });
  return row?.n ?? -1;
}

/** The segments between the standby's vote and the target. */
function segmentsOf({ vote, order }: Behind): string[] {
  const names: string[] = [];
  const start = parseLsn(vote.end) / BigInt(SEGMENT_BYTES);
  for (let number = start; number * BigInt(SEGMENT_BYTES) < parseLsn(order.target); number++)
    names.push(segmentName({ timeline: vote.timeline, lsn: (number * BigInt(SEGMENT_BYTES)) as never }, SEGMENT_BYTES));
  return names;
}

async function restoreCommand(cluster: ClusterStack, node: string): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  const dataDir = cluster.store.nodes.find((one) => one.name === node)?.dataDir ?? "";
  return /^restore_command = '(.*)'$/m.exec(await readFile(join(dataDir, "tidemark.conf"), "utf8"))?.[1] ?? "none";
}

describe("a completion", () => {
  it("replays up to the target, and no byte further, takes its restore command back, and lets nothing be lost", async () => {
    const it = await behind();
    const { cluster, standby, order } = it;
    expect(parseLsn(it.vote.end)).toBeLessThan(parseLsn(order.target));
    expect(segmentsOf(it).length).toBeGreaterThan(1);
    const done = await cluster.ask(cluster.agentPort(standby), "/complete", order);
    expect(done).toMatchObject({ status: 200 });
    expect(it.wal.asked).toEqual(segmentsOf(it));
    expect(await restoreCommand(cluster, standby)).toBe("");
    const again = (await cluster.ask(cluster.agentPort(standby), "/revoke", { epoch: order.epoch })).body as Vote;
    expect(again.end).toBe(order.target);
    expect(await rows(cluster, standby)).toBe(it.count);
    // Once more: there is nothing left to do.
    expect((await cluster.ask(cluster.agentPort(standby), "/complete", order)).status).toBe(200);
    expect(it.wal.asked).toEqual(segmentsOf(it));
    await cluster.signal("control", "SIGCONT");
    const after = await cluster.openRoute({ epoch: (order.epoch - 1) as Epoch } as never, 60_000);
    expect(after.node).toBe(standby);
    expect(await rows(cluster, standby)).toBe(it.count);
    const record = (await cluster.ask(cluster.config.control.port, `/v1/lease-store/${encodeURIComponent(`cluster/${STORE}`)}`)).body as {
      value: ClusterRecord;
    };
    expect(record.value.forkLsn).toBe(order.target);
    expect(existsSync(`${cluster.store.nodes.find((node) => node.name === standby)?.dataDir ?? ""}.completion`)).toBe(false);
  });

  it("goes no byte beyond the target, also when more is given: what is recorded as the fork must be where replay ends (R9)", async () => {
    const { cluster, wal, standby, order, third } = await behind();
    wal.givesMore = true;
    expect((await cluster.ask(cluster.agentPort(standby), "/complete", { ...order, target: third })).status).toBe(200);
    const vote = (await cluster.ask(cluster.agentPort(standby), "/revoke", { epoch: order.epoch })).body as Vote;
    expect(vote.end).toBe(third);
    expect(await rows(cluster, standby)).toBe(2_000);
  });

  it("is refused for another epoch than the promised one, from an unknown vault, and by a node that is no revoked standby", async () => {
    const { cluster, standby, order } = await behind();
    const ask = (change: object) => cluster.ask(cluster.agentPort(standby), "/complete", { ...order, ...change });
    expect(await ask({ epoch: order.epoch + 1 })).toMatchObject({ status: 409, body: { code: "TM-CLUSTER-STALE-EPOCH" } });
    expect(await ask({ epoch: order.epoch - 1 })).toMatchObject({ status: 409, body: { code: "TM-CLUSTER-STALE-EPOCH" } });
    expect(await ask({ from: "vault2" })).toMatchObject({ status: 404 });
    expect(await ask({ target: "nonsense" })).toMatchObject({ status: 400 });
  });

  it("that gets damaged, short, foreign or no WAL fails, restores nothing more, and can be had again", async () => {
    const it = await behind();
    const { cluster, wal, standby, order } = it;
    const ask = () => cluster.ask(cluster.agentPort(standby), "/complete", order);
    const [first = "", second = ""] = segmentsOf(it);
    const troubles: [string, string, ServedWal["trouble"]][] = [
      ["a flipped bit in the second segment", "damaged at", (name, bytes) => flip(name === second, bytes, 100_000)],
      ["another system identifier", "damaged at", (name, bytes) => flip(name === second, bytes, 24)],
      ["a short file", "ended after", (name, bytes, response) => name === first && (response.end(bytes.subarray(0, 8_192)), true)],
      [
        "a broken connection",
        "asked the vault",
        (name, bytes, response) => name === second && (response.write(bytes.subarray(0, 8_192)), response.destroy(), true),
      ],
      [
        "nothing there",
        "TM-VAULT-END-OF-WAL",
        (name, _bytes, response) => name === second && (response.writeHead(404).end('{"code":"TM-VAULT-END-OF-WAL"}'), true),
      ],
      ["zeros", "damaged at", (name, bytes) => (name === second && bytes.fill(0, 500_000), false)],
      ["silence", "nothing came for 3000 ms", (name) => name === second],
      [
        "silence in the middle",
        "nothing came for 3000 ms",
        (name, bytes, response) => name === second && response.write(bytes.subarray(0, 8_192)) !== undefined,
      ],
    ];
    for (const [what, words, trouble] of troubles) {
      wal.trouble = trouble;
      expect(await ask(), what).toMatchObject({
        status: 409,
        body: { code: "TM-CLUSTER-NOT-COMPLETED", detail: expect.stringContaining(words) },
      });
      expect(await restoreCommand(cluster, standby), what).toBe("");
    }
    wal.trouble = undefined;
    expect((await ask()).status).toBe(200);
    expect(await rows(cluster, standby)).toBe(it.count);
  });

  it("ends for a later claim, whose vote is not kept waiting", async () => {
    const it = await behind();
    const { cluster, wal, standby, order } = it;
    const [, second = ""] = segmentsOf(it);
    wal.trouble = (name) => name === second;
    const held = wal.untilAsked(second);
    const completion = cluster.ask(cluster.agentPort(standby), "/complete", order);
    await held;
    const later = await cluster.ask(cluster.agentPort(standby), "/revoke", { epoch: order.epoch + 1 });
    expect(await completion).toMatchObject({ status: 409, body: { detail: "the completion was ended for a later claim" } });
    const vote = later.body as Vote;
    expect(later.status).toBe(200);
    // What was fetched and replayed meanwhile is voted with.
    expect(parseLsn(vote.end)).toBeGreaterThan(parseLsn(it.vote.end));
    wal.trouble = undefined;
    expect((await cluster.ask(cluster.agentPort(standby), "/complete", { ...order, epoch: order.epoch + 1 })).status).toBe(200);
    expect(await rows(cluster, standby)).toBe(it.count);
  });

  it("whose agent is killed in the middle leaves a standby that votes and can be completed again", async () => {
    const it = await behind();
    const { cluster, wal, standby, order } = it;
    const [, second = ""] = segmentsOf(it);
    wal.trouble = (name) => name === second;
    const held = wal.untilAsked(second);
    const completion = cluster.ask(cluster.agentPort(standby), "/complete", order).catch(() => "cut off");
    await held;
    await cluster.signal(standby, "SIGKILL");
    expect(await completion).toBe("cut off");
    expect(await restoreCommand(cluster, standby)).toContain(".completion");
    wal.trouble = undefined;
    await cluster.start(standby);
    const later = { ...order, epoch: order.epoch + 1 };
    const vote = (await cluster.ask(cluster.agentPort(standby), "/revoke", { epoch: later.epoch })).body as Vote;
    expect(parseLsn(vote.end)).toBeGreaterThan(parseLsn(it.vote.end));
    expect(parseLsn(vote.end)).toBeLessThan(parseLsn(order.target));
    expect(await restoreCommand(cluster, standby)).toBe("");
    expect((await cluster.ask(cluster.agentPort(standby), "/complete", later)).status).toBe(200);
    expect(await rows(cluster, standby)).toBe(it.count);
  });
});

function flip(here: boolean, bytes: Buffer, at: number): boolean {
  if (here) bytes[at] = (bytes[at] ?? 0) ^ 1;
  return false;
}
