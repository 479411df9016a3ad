import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Config } from "../config/config.ts";
import type { WriteLife, WriteSpan } from "../metrics/write-life.ts";
import { openTestGateway, order, READ_TOKEN, testConfig, type TestGateway } from "./testing/gateway-fixture.ts";

interface Answer {
  readonly sample: readonly (WriteLife & { readonly spans: readonly WriteSpan[] })[];
  readonly slowest: readonly WriteLife[];
  readonly unfollowed: number;
}

/** A store with a standby, and a vault that archives. */
function copiedConfig(): Config {
  const config = testConfig();
  const orders = config.stores["orders"];
  const [pg1] = orders?.nodes ?? [];
  if (orders === undefined || pg1 === undefined) throw new Error("the test's configuration has a store");
  const objects = { name: "far" } as Config["stores"][string]["vaults"][number]["archive"]["stores"][number];
  const vault = {
    name: "vault1",
    host: "127.0.0.1",
    port: 3,
    directory: "/dev/null/vault1",
    domain: {},
    synchronous: true,
    keepLocalBytes: 0,
    archive: { stores: [objects] },
  } as unknown as Config["stores"][string]["vaults"][number];
  return { ...config, stores: { ...config.stores, orders: { ...orders, nodes: [pg1, { ...pg1, name: "pg2" }], vaults: [vault] } } };
}

/** What control says of the store; the archive's position is the test's to move. */
function report(archived: { lsn: string; timeline: number } | undefined, named: boolean): object {
  const recoveryPoint = archived === undefined ? {} : { recoveryPoint: { ...archived, from: "0/0" } };
  return {
    nodes: [
      { node: "pg1", status: { identity: "id-pg1" } },
      { node: "pg2", ...(named ? { status: { identity: "id-pg2" } } : {}) },
    ],
    vaults: [{ vault: "vault1", status: { identity: "id-vault1", vault: { archive: { stores: [{ name: "far", ...recoveryPoint }] } } } }],
  };
}

/** As long as a machine may need that does other things too. */
const PATIENT = { timeout: 20_000 };

let it: TestGateway;
let archived: { lsn: string; timeline: number } | undefined;
let asked: string[];
/** Whether control knows the standby's name. */
let named: boolean;
beforeEach(async () => {
  archived = undefined;
  named = true;
  asked = [];
  it = await openTestGateway({
    config: copiedConfig(),
    world: {
      control: {
        request: async ({ path }) => {
          asked.push(path);
          return { status: 200, body: report(archived, named) };
        },
      },
    },
  });
});
afterEach(() => it.gateway.close());

async function lives(): Promise<Answer> {
  return (await it.request("GET", "/v1/write-lives", { token: READ_TOKEN })).json as unknown as Answer;
}

async function write(): Promise<{ id: string; partition: number; sequence: string }> {
  const { status, json } = await it.post(order());
  expect(status).toBe(202);
  return json as unknown as { id: string; partition: number; sequence: string };
}

/** The primary is asked what is flushed, once control has said who is who: its second question means that the first was answered. */
async function flushed(copies: readonly { name: string; flushed: string }[], timeline = 1): Promise<void> {
  await expect.poll(() => asked.length, PATIENT).toBeGreaterThan(1);
  await expect.poll(looks, PATIENT).toBeGreaterThan(0);
  it.applier("orders").say({ type: "copies", store: "orders", timeline, copies });
}

const looks = (): number => it.applier("orders").sent.filter(({ type }) => type === "look-at-copies").length;

describe("the lives of writes", () => {
  test("have every stage in order, as the journal, the applier, the primary and control tell", async () => {
    const { id, partition, sequence } = await write();
    it.applier("orders").applied(partition, sequence);
    await expect.poll(looks, PATIENT).toBeGreaterThan(0);
    await flushed([
      { name: "id-vault1", flushed: "0/5000" },
      { name: "id-pg2", flushed: "0/5100" },
      { name: "somebody else", flushed: "F/0" },
    ]);
    expect(asked[0]).toBe("/v1/stores/orders");
    archived = { lsn: "0/6000", timeline: 1 };
    await expect.poll(async () => (await lives()).sample.length, PATIENT).toBe(1);
    const [life] = (await lives()).sample;
    expect(life).toMatchObject({ id, store: "orders", end: "complete", lsn: "0/5000", timeline: 1 });
    const { accepted, journalled, committed, ...copies } = life?.passedMs ?? {};
    const times = [life?.startMs, accepted, journalled, committed].map((at) => at ?? Number.NaN);
    expect(times).toEqual(times.toSorted((one, other) => one - other));
    expect(Object.keys(copies).toSorted()).toEqual(["archived", "standby-flushed", "wal-received"]);
    for (const at of Object.values(copies)) expect(at).toBeGreaterThanOrEqual(committed ?? Number.NaN);
    expect(life?.spans.map(({ name }) => name)).toEqual([
      "tidemark.write",
      "tidemark.write.accept",
      "tidemark.journal.append",
      "tidemark.applier.commit",
      "tidemark.vault.receive",
      "tidemark.standby.flush",
      "tidemark.vault.archive",
    ]);
    expect((await lives()).slowest.map((one) => one.id)).toEqual([id]);
  });

  test("are completed by a standby that control names only later", async () => {
    named = false;
    const { partition, sequence } = await write();
    it.applier("orders").applied(partition, sequence);
    archived = { lsn: "0/6000", timeline: 1 };
    await flushed([{ name: "id-vault1", flushed: "0/5000" }]);
    const before = asked.length;
    await expect.poll(() => asked.length, PATIENT).toBeGreaterThan(before + 1);
    expect((await lives()).sample).toEqual([]);
    named = true;
    const then = asked.length;
    await expect.poll(() => asked.length, PATIENT).toBeGreaterThan(then + 1);
    await flushed([{ name: "id-pg2", flushed: "0/5000" }]);
    await expect.poll(async () => (await lives()).sample.map(({ end }) => end), PATIENT).toEqual(["complete"]);
  });

  test("count nothing of another timeline (R11)", async () => {
    const { partition, sequence } = await write();
    it.applier("orders").applied(partition, sequence);
    await expect.poll(looks, PATIENT).toBeGreaterThan(0);
    archived = { lsn: "F/0", timeline: 2 };
    await flushed(
      [
        { name: "id-vault1", flushed: "F/0" },
        { name: "id-pg2", flushed: "F/0" },
      ],
      2,
    );
    const control = asked.length;
    await expect.poll(() => asked.length, PATIENT).toBeGreaterThan(control + 1);
    expect((await lives()).sample).toEqual([]);
  });

  test("end with the commit where a store has no copies, and are none of a write that is rejected", async () => {
    // Acknowledged once applied: answered without an outcome when nobody waits.
    const written = await it.post(order({ command: "orders.book" }), { headers: { prefer: "wait=0" } });
    expect(written.status).toBe(504);
    const { partition, sequence } = await write();
    it.applier("orders").verdict(partition, sequence, "rejected");
    it.applier("orders").applied(partition, sequence);
    it.applier("ledger").applied(await partitionOf("1"), "1");
    await expect.poll(async () => (await lives()).sample.map(({ store }) => store), PATIENT).toEqual(["ledger"]);
    expect(looks()).toBe(0);
  });

  test("need the right to read", async () => {
    expect((await it.request("GET", "/v1/write-lives", { token: null })).status).toBe(401);
  });
});

/** The partition of the record at `sequence`. */
async function partitionOf(sequence: string): Promise<number> {
  const at = BigInt(sequence) as Parameters<TestGateway["journal"]["read"]>[0];
  const [record] = await it.journal.read(at, at, { records: 1, bytes: 1 });
  return record?.partition ?? -1;
}
