// One configuration of real servers per finding, and its healthy twin.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  freePort,
  startPrimary,
  startPrimaryWithStandby,
  TEST_STANDBY,
  type TestPair,
  type TestServer,
} from "@tidemark/postgres/testing/cluster-fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { session, until } from "../check/testing/checked-server.ts";
import { configFolder, examine, named, type ConfigFolder } from "./testing/examined.ts";
import { startSlowLink } from "./testing/slow-link.ts";

const NORTH_A = { machine: "a1", zone: "a", region: "north", account: "shop" };
const NORTH_B = { machine: "b1", zone: "b", region: "north", account: "shop" };
const SOUTH = { machine: "s1", zone: "s", region: "south", account: "shop" };
const NODE_LOSS = { "node-loss": { rpo: "10s", rto: "15m" } };

let pair: TestPair;
let lone: TestServer;
let folder: ConfigFolder;

beforeAll(async () => {
  [pair, lone, folder] = await Promise.all([startPrimaryWithStandby({ synchronous: true }), startPrimary(), configFolder()]);
});
afterAll(async () => {
  await Promise.all([pair?.dispose(), lone?.dispose(), folder?.[Symbol.asyncDispose]()]);
});

const primary = (domain: Readonly<Record<string, string>> = NORTH_A): Promise<object> => folder.server(pair.primary.connection, domain);
const standby = (domain: Readonly<Record<string, string>> = NORTH_B): Promise<object> => folder.server(pair.standby.connection, domain);

/** A shop on one observed store, with these copies. */
function shop(copies: Readonly<Record<string, object>>, service: object = {}): Promise<string> {
  return folder.write({
    services: { shop: { tier: "high", why: "a test", stores: ["shop"], objectives: NODE_LOSS, ...service } },
    stores: { shop: { kind: "observed", copies } },
  });
}

const healthyShop = async (service?: object): Promise<string> => shop({ db1: await primary(), [TEST_STANDBY]: await standby() }, service);

describe("a doctor of real servers", () => {
  it("accuses a primary with a synchronous standby in another zone of nothing that needs the configuration", async () => {
    const report = await examine(await healthyShop());
    const names = named(report);
    for (const finding of report.findings) expect(["db1", TEST_STANDBY].map((name) => `shop/${name}`)).toContain(finding.subject);
    expect(names).not.toContain("target-away shop/postgresql db1");
    expect(names).not.toContain("store-without-copy shop");
    expect(names).not.toContain("exposure-above-objective shop node-loss");
    expect(names).not.toContain("exposure-unknown shop node-loss");
    expect(report.exposure.find(({ scenario }) => scenario === "node-loss")).toMatchObject({
      judgement: "within",
      exposure: { kind: "known", ms: 0 },
      uses: [`shop/${TEST_STANDBY}`],
    });
    expect(report.exposureFrom).toBe("own");
    expect(report.servers.map(({ role }) => role)).toEqual(["primary", "standby"]);
    expect(JSON.stringify(report)).not.toContain(pair.primary.connection.password);
  });

  it("names copies that share a machine, what would be lost with it, and is silent once they are apart", async () => {
    const together = named(await examine(await shop({ db1: await primary(), [TEST_STANDBY]: await standby(NORTH_A) })));
    expect(together).toContain("copies-one-domain shop");
    expect(together).toContain("exposure-above-objective shop node-loss");
    const apart = named(await examine(await healthyShop()));
    expect(apart).not.toContain("copies-one-domain shop");
  });

  it("says that it does not know where no domain is named, and that a replica is under another name", async () => {
    const zoneLoss = { objectives: { "zone-loss": { rpo: "10s", rto: "15m" } } };
    const nowhere = named(await examine(await shop({ db1: await primary(), [TEST_STANDBY]: await standby({ machine: "b1" }) }, zoneLoss)));
    expect(nowhere).toContain("exposure-unknown shop zone-loss");
    expect(nowhere).not.toContain("copies-one-domain shop");
    expect(nowhere).not.toContain("copy-unnamed shop");
    const misnamed = named(await examine(await shop({ db1: await primary(), db2: await standby() })));
    expect(misnamed).toContain("copy-unnamed shop");
  });

  it("names a store that is there once", async () => {
    const names = named(await examine(await shop({ db1: await folder.server(lone.connection, NORTH_A) })));
    expect(names).toContain("store-without-copy shop");
  });

  it("names a server of another cluster, and what does not answer", async () => {
    const other = named(
      await examine(
        await shop({ db1: await primary(), [TEST_STANDBY]: await standby(), db3: await folder.server(lone.connection, SOUTH) }),
      ),
    );
    expect(other).toContain("other-cluster shop");
    const closed = { ...lone.connection, port: await freePort() };
    const away = named(
      await examine(await shop({ db1: await primary(), [TEST_STANDBY]: await standby(), db3: await folder.server(closed, SOUTH) })),
    );
    expect(away).toContain("target-away shop/postgresql db3");
    expect(away).not.toContain("other-cluster shop");
    const denied = { ...lone.connection, password: "hush-hush" };
    const refused = await examine(await shop({ db1: await folder.server(denied, NORTH_A) }));
    expect(named(refused)).toContain("target-away shop/postgresql db1");
    expect(JSON.stringify(refused)).not.toContain("hush-hush");
  });

  it("names an objective below the way to a copy in another region, and is silent where the way is short", async () => {
    await using link = await startSlowLink(pair.standby.connection.port, 60);
    const region = { objectives: { "region-loss": { rpo: "20ms", rto: "15m" } } };
    const far = await folder.server({ ...pair.standby.connection, port: link.port }, SOUTH);
    const report = await examine(await shop({ db1: await primary(), [TEST_STANDBY]: far }, region));
    expect(named(report)).toContain("objective-below-round-trip shop region-loss");
    const near = named(
      await examine(
        await shop(
          { db1: await primary(), [TEST_STANDBY]: await standby(SOUTH) },
          { objectives: { "region-loss": { rpo: "1s", rto: "15m" } } },
        ),
      ),
    );
    expect(near).not.toContain("objective-below-round-trip shop region-loss");
  });

  it("names an objective that protects hardly anything, and is silent where there is more to lose", async () => {
    const objectives = { "node-loss": { rpo: "1s", rto: "1m" } };
    const quiet = named(await examine(await healthyShop({ objectives, business: { unit: "contracts", perHour: 0.1 } })));
    expect(quiet).toContain("objective-beyond-need shop node-loss");
    const busy = named(await examine(await healthyShop({ objectives, business: { unit: "orders", perHour: 1_200 } })));
    expect(busy).not.toContain("objective-beyond-need shop node-loss");
  });

  it("names a disk with less free space than asked for, and is silent with more", async () => {
    const path = join(folder.path, "journal");
    await mkdir(path);
    const folders = [{ what: "journal", path }];
    const file = await healthyShop();
    const full = await examine(file, { thresholds: { freeShare: 1.01 }, change: (plan) => ({ ...plan, folders }) });
    expect(named(full)).toContain("disk-low journal");
    const roomy = await examine(file, { thresholds: { freeShare: 0, criticalFreeShare: 0 }, change: (plan) => ({ ...plan, folders }) });
    expect(named(roomy)).not.toContain("disk-low journal");
    const absent = [{ what: "journal", path: join(path, "not here") }];
    const elsewhere = await examine(file, { change: (plan) => ({ ...plan, folders: absent }) });
    expect(elsewhere.unknown.map(({ part }) => part)).toContain("free space of the journal");
  });

  // The last one: the pair is no pair after it.
  it("names two primaries of one cluster, and not one primary under two addresses", async () => {
    await using link = await startSlowLink(pair.primary.connection.port, 0);
    const vip = await folder.server({ ...pair.primary.connection, port: link.port }, NORTH_A);
    const twice = named(await examine(await shop({ db1: await primary(), vip, [TEST_STANDBY]: await standby() })));
    expect(twice).not.toContain("two-primaries shop");
    const sql = session(pair.standby.connection);
    await sql.unsafe("select pg_promote()");
    await until("it is promoted", async () => (await sql.unsafe("select pg_is_in_recovery() as r"))[0]?.["r"] === false);
    await sql.end({ timeout: 1 });
    const split = await examine(await healthyShop());
    expect(named(split)).toContain("two-primaries shop");
    expect(split.findings.find(({ name }) => name === "two-primaries")?.evidence.join()).toMatch(/timeline 1.*timeline 2/);
  });
});
