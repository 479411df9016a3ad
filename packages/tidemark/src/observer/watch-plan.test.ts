import { Redacted } from "@tidemark/kernel/redacted";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { describe, expect, it } from "vitest";
import type { ObservedConfig, ObservedCopyConfig, ObservedSource } from "../config/observed-config.ts";
import { testConfig } from "../gateway/testing/gateway-fixture.ts";
import type { ProbeWorld } from "./probe-world.ts";
import { copyCalled, serversFreshForMs } from "./observed-copy-watch.ts";
import { watchesOf } from "./watch-plan.ts";

const world: ProbeWorld = {
  clock: new ManualClock(),
  random: seededRandom(1),
  logger: silentLogger,
  environment: {},
  readSecret: () => Promise.resolve(new Redacted("s3cret")),
};
const token = new Redacted("internal");
const target = { url: "http://127.0.0.1:1" };
const domain = { machine: "m9" };

function watch(observed: Readonly<Record<string, ObservedConfig>>) {
  return watchesOf({ config: { ...testConfig(), observed }, token, world });
}

const one = (name: string, source: ObservedSource, over: Partial<ObservedCopyConfig> = {}): ObservedCopyConfig => ({
  name,
  domain,
  periodMs: 1_000,
  source,
  ...over,
});

const info = { kind: "file", path: "/nowhere/info.json" } as const;

const ALL: readonly ObservedCopyConfig[] = [
  one("db1", { kind: "postgresql", host: "127.0.0.1", port: 1, user: "u", database: "d", tls: "prefer", passwordFile: "/p" }),
  one("ha", {
    kind: "patroni",
    cluster: "main",
    target: { ...target, bearerFile: "/b" },
    members: { m1: { zone: "a" }, m2: { zone: "b" } },
  }),
  one(
    "rest",
    { kind: "pgbackrest", stanza: "main", info, repositories: { 1: { zone: "a" }, 3: { region: "far" } } },
    { periodMs: 60_000, lockedForMs: 5_000 },
  ),
  one("bar", { kind: "barman", server: "main", backups: info }, { periodMs: 60_000 }),
  one("stream", { kind: "nats", stream: "s", consumer: "c", isCopy: true, target }),
  one("backlog", { kind: "nats", stream: "s", consumer: "c", isCopy: false, target }),
  one("dumps", { kind: "objects", objects: { kind: "folder", directory: "/nowhere" }, prefix: "" }, { periodMs: 60_000 }),
  one("queue", { kind: "prometheus", figure: "queue", query: "up", target }),
  one("snap", { kind: "command", command: ["/bin/true"], environment: {}, says: "age", copyKind: "snapshot" }, { periodMs: 60_000 }),
  one("number", { kind: "command", command: ["/bin/true"], environment: {}, says: "figure" }),
];

describe("how long what a store's servers say serves", () => {
  const server = (name: string, periodMs: number): ObservedCopyConfig =>
    one(name, { kind: "postgresql", host: "127.0.0.1", port: 1, user: "u", database: "d", tls: "prefer" }, { periodMs });
  const seldom = ALL.filter(({ source }) => source.kind !== "postgresql");

  it("is three periods of the one that is asked most seldom, and as long as ever where none is", () => {
    expect(serversFreshForMs({ copies: [server("a", 1_000), server("b", 30_000), ...seldom] })).toBe(90_000);
    expect(serversFreshForMs({ copies: [server("a", 1_000), server("b", 2_000), ...seldom] })).toBeUndefined();
    expect(serversFreshForMs({ copies: seldom })).toBeUndefined();
  });
});

describe("what is looked at", () => {
  it("is one probe for each copy that the configuration names, whatever its source, and the canary where it may be written", async () => {
    const [plan] = watch({ theirs: { copies: ALL, canary: "write" } });
    expect(plan?.probes.map(({ probe }) => probe.name)).toEqual([
      "postgresql db1",
      "patroni ha",
      "pgbackrest rest",
      "barman bar",
      "nats stream",
      "nats backlog",
      "objects dumps",
      "prometheus queue",
      "command snap",
      "command number",
      "canary theirs",
    ]);
    expect(plan?.probes.every(({ probe }) => probe.store === "theirs")).toBe(true);
    expect(watch({ theirs: { copies: ALL, canary: "positions" } })[0]?.probes.some(({ probe }) => probe.name.startsWith("canary"))).toBe(
      false,
    );
    for (const { probe } of plan?.probes ?? []) await probe.close();
  });

  it("has every copy that a source has to find, where the configuration says that it is, and none for mere figures", () => {
    const [plan] = watch({ theirs: { copies: ALL, canary: "off" } });
    expect(plan?.expected.map(({ name, kind, domain: at }) => [name, kind, at])).toEqual([
      ["db1", "standby", domain],
      ["m1", "standby", { zone: "a" }],
      ["m2", "standby", { zone: "b" }],
      ["rest/repo1", "backup", { zone: "a" }],
      ["rest/repo3", "backup", { region: "far" }],
      ["bar", "backup", domain],
      ["stream", "queue", domain],
      ["dumps", "inventory", domain],
      ["snap", "snapshot", domain],
    ]);
    expect(plan?.expected.find(({ name }) => name === "rest/repo1")?.lockedForMs).toBe(5_000);
  });

  it("looks seldom at what costs, gives it time, and does not look more often when it fails", () => {
    const [plan] = watch({ theirs: { copies: ALL, canary: "off" } });
    const paceOf = (name: string) => plan?.probes.find(({ probe }) => probe.name === name)?.pace;
    expect(paceOf("pgbackrest rest")).toEqual({ periodMs: 60_000, timeoutMs: 30_000, mostBackoffMs: 60_000 });
    expect(paceOf("postgresql db1")).toEqual({ periodMs: 1_000, timeoutMs: 2_000, mostBackoffMs: 8_000 });
  });

  it("asks a target with the secret of its file, as a token or as user and password, and with none where there is no file", async () => {
    const asked: (string | null)[] = [];
    const server = (await import("node:http")).createServer((request, response) => {
      asked.push(request.headers.authorization ?? null);
      response.writeHead(503).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const at = (bearerFile?: string): ObservedSource => ({
      kind: "patroni",
      cluster: "main",
      members: {},
      target: { url: `http://127.0.0.1:${port}`, ...(bearerFile === undefined ? {} : { bearerFile }) },
    });
    for (const [source, secret] of [
      [at("/token"), "t0ken"],
      [at("/basic"), "ann:pass"],
      [at(), "unused"],
    ] as const) {
      const [plan] = watchesOf({
        config: { ...testConfig(), observed: { theirs: { copies: [one("ha", source)], canary: "off" } } },
        token,
        world: { ...world, readSecret: () => Promise.resolve(new Redacted(secret)) },
      });
      const probe = plan?.probes[0]?.probe;
      expect(await probe?.probe(AbortSignal.timeout(10_000))).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });
      await probe?.close();
    }
    server.close();
    server.closeAllConnections();
    expect(asked).toEqual(["Bearer t0ken", `Basic ${Buffer.from("ann:pass").toString("base64")}`, null]);
  });

  it("takes a standby for the copy that is called as it streams", () => {
    const copies = [
      one("db-2", { kind: "postgresql", host: "h", port: 1, user: "u", database: "d", tls: "prefer" }),
      one("ha", { kind: "nats", stream: "s", consumer: "c", isCopy: true, target }),
    ];
    for (const name of ["db-2", "db_2", "DB_2"]) expect(copyCalled(copies, name)).toEqual({ name: "db-2", kind: "standby", domain });
    // Not a server, and nobody that is known.
    for (const name of ["ha", "walreceiver", ""]) expect(copyCalled(copies, name)).toBeUndefined();
  });

  it("is every part of a store that Tidemark runs, without standing in the configuration", () => {
    const [plan] = watch({ orders: { copies: [], canary: "write" } });
    const names = plan?.probes.map(({ probe }) => probe.name) ?? [];
    for (const node of testConfig().stores["orders"]?.nodes ?? []) {
      expect(names).toContain(`postgresql ${node.name}`);
      expect(names).toContain(`agent ${node.name}`);
      expect(plan?.expected.find(({ name }) => name === node.name)?.toldBy).toEqual([`postgresql ${node.name}`, `agent ${node.name}`]);
    }
    expect(names).toContain("journal gateway");
    expect(names).toContain("canary orders");
    for (const { probe, pace } of plan?.probes ?? [])
      if (probe.name !== "canary orders") expect(pace?.mostBackoffMs, probe.name).toBeLessThanOrEqual(2_000);
    const { journal, stores } = testConfig();
    const { orders } = stores;
    if (orders === undefined) throw new Error("no store");
    expect(plan?.acknowledgedBy).toEqual({ name: "gateway/journal", domain: journal.domain });
    const observed = { orders: { copies: [], canary: "write" as const } };
    const applied = { ...testConfig(), observed, stores: { orders: { ...orders, acknowledge: "applied" as const } } };
    expect(watchesOf({ config: applied, token, world })[0]?.acknowledgedBy).toBeUndefined();
  });

  it("counts the journal as a copy where the configuration says that nothing is written past the gateway, and nowhere else", () => {
    const plain = testConfig();
    const { orders } = plain.stores;
    if (orders === undefined) throw new Error("no store");
    const plans = watchesOf({
      config: {
        ...plain,
        stores: { ...plain.stores, orders: { ...orders, writes: "gateway" } },
        observed: { orders: { copies: [], canary: "off" }, ledger: { copies: [], canary: "off" } },
      },
      token,
      world,
    });
    const journals = plans.map(({ expected }) => expected.filter(({ kind }) => kind === "journal"));
    expect(journals).toEqual([
      [{ name: "gateway/journal", kind: "journal", domain: { machine: "m1" }, holds: "wal", toldBy: ["journal gateway"] }],
      [],
    ]);
    expect(plans[0]?.probes.map(({ probe }) => probe.name)).toContain("journal gateway");
  });
});
