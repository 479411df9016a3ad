// Servers that somebody else runs: a real primary and standby, as a configuration names them, with the grants that the page asks for.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { TestPair } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_STANDBY, startPrimaryWithStandby } from "@tidemark/postgres/testing/cluster-fixture";
import { pino } from "pino";
import postgres from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readSecretLines } from "../alerts/receivers/secret-file.ts";
import { ENSURE_CANARY_SQL } from "../canary/canary-table.ts";
import type { ObservedCopyConfig } from "../config/observed-config.ts";
import { testConfig } from "../gateway/testing/gateway-fixture.ts";
import type { ObservedSecond } from "./observer.ts";
import { Observer } from "./observer.ts";
import { watchesOf } from "./watch-plan.ts";

const PASSWORD = "pa55-of-the-observer";

let pair: TestPair;
let folder: string;
let log = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-observed-"));
  pair = await startPrimaryWithStandby({ synchronous: false });
  const sql = postgres({ ...pair.primary.connection, max: 1, fetch_types: false, onnotice: () => undefined });
  await sql.unsafe(`CREATE ROLE observer LOGIN PASSWORD '${PASSWORD}'; GRANT pg_monitor TO observer; ${ENSURE_CANARY_SQL}
    GRANT USAGE ON SCHEMA tidemark_canary TO observer; GRANT SELECT, INSERT, UPDATE ON tidemark_canary.beat TO observer;`);
  await sql.end({ timeout: 1 });
  await writeFile(join(folder, "wrong"), "another one\n", { mode: 0o600 });
});

afterAll(async () => {
  await pair.dispose();
  await rm(folder, { recursive: true, force: true });
});

function server(name: string, machine: string, of: { host: string; port: number }): ObservedCopyConfig {
  const source = {
    kind: "postgresql" as const,
    host: of.host,
    port: of.port,
    user: "observer",
    database: "postgres",
    tls: "disable" as const,
    passwordFile: join(folder, "wrong"),
  };
  return { name, domain: { machine }, periodMs: 200, source };
}

it("says within seconds what would be lost of them, takes a password that was changed, follows a stall, and logs no secret", async () => {
  const copies = [server("db-1", "m1", pair.primary.connection), server(TEST_STANDBY, "m2", pair.standby.connection)];
  const world = {
    clock: systemClock,
    random: systemRandom,
    logger: pino({ level: "debug" }, { write: (line: string) => (log += line) }),
    environment: {},
    readSecret: async (file: string) => (await readSecretLines(file))[0] ?? new Redacted(""),
  };
  let wake = (): void => undefined;
  let newest: ObservedSecond | undefined;
  const observer = new Observer({
    ...world,
    services: { shop: { stores: ["shop"], objectives: { "node-loss": { rpoMs: 60_000, rtoMs: 60_000 } } } },
    watch: () =>
      watchesOf({
        config: { ...testConfig(), stores: {}, observed: { shop: { copies, canary: "write" } } },
        token: new Redacted("internal"),
        world,
      }),
    onSecond: (second) => {
      newest = second;
      wake();
    },
  });
  const nodeLoss = () => newest?.exposures.find(({ scenario }) => scenario === "node-loss");
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise<void>((resolve) => (wake = resolve));
  };
  const stop = new AbortController();
  const running = observer.run(stop.signal);

  await until(() => [...observer.looks()].filter(({ turn }) => !turn.reading.ok && turn.reading.code === "TM-PROBE-DENIED").length >= 2);
  expect(nodeLoss()).toMatchObject({ judgement: "unknown", exposureMs: { known: false } });
  await writeFile(join(folder, "wrong"), `${PASSWORD}\n`, { mode: 0o600 });

  await until(
    () =>
      nodeLoss()?.exposureMs.known === true &&
      newest?.stores[0]?.newestCommit.known === true &&
      newest.stores[0].newestCommit.method === "canary",
  );
  const [facts] = newest?.stores ?? [];
  expect(facts?.copies.map(({ name, kind, domain }) => [name, kind, domain])).toEqual([
    ["db-1", "primary", { machine: "m1" }],
    [TEST_STANDBY, "standby", { machine: "m2" }],
  ]);
  // As its primary says of the one that streams under this name.
  expect(facts?.copies[1]?.synchronous).toMatchObject({ known: true, value: false });

  const admin = postgres({ ...pair.standby.connection, max: 1, fetch_types: false });
  const [receives] = await admin<{ pid: number }[]>`select pid from pg_stat_activity where backend_type = 'walreceiver'`;
  await admin.end();
  process.kill(receives?.pid ?? 0, "SIGSTOP");
  try {
    // Nobody writes but the canary.
    await until(() => {
      const figure = nodeLoss()?.exposureMs;
      return figure?.known === true && figure.value > 3_000;
    });
  } finally {
    process.kill(receives?.pid ?? 0, "SIGCONT");
  }
  await until(() => {
    const figure = nodeLoss()?.exposureMs;
    return figure?.known === true && figure.value === 0;
  });
  stop.abort();
  await running;
  expect(log + JSON.stringify(newest)).not.toContain(PASSWORD);
});
