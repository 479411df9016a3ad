import { afterAll, beforeAll, expect, it } from "vitest";
import { sleep } from "@tidemark/kernel/clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_PASSWORD, freePort, startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { startTamperingProxy } from "@tidemark/postgres/testing/tampering-proxy";
import type { Tampering } from "@tidemark/postgres/testing/tampering-proxy";
import { testMajors } from "@tidemark/postgres/testing/test-majors";
import { CanaryProbe } from "../canary/canary-probe.ts";
import type { Condition, ProbeUnderTest } from "./contract/probe-contract.ts";
import { describeProbeContract } from "./contract/probe-contract.ts";
import { PostgresqlProbe } from "./postgresql-probe.ts";
import type { PostgresqlTarget } from "./postgresql/postgresql-target.ts";
import type { Probe } from "./probe.ts";
import { StoreObservation } from "./store-observation.ts";
import { startOtherService } from "./testing/other-service.ts";
import { startRewritingProxy } from "./testing/rewriting-proxy.ts";

/** After the damage a turn is given up within this, milliseconds: it waits for bytes that were never sent. */
const GIVE_UP_AFTER_DAMAGE_MS = 500;
/** A turn of the canary is 60 bytes of the server, after a login of about 600. */
const MOST_TURNS = 60;

type MakeProbe = (target: PostgresqlTarget) => Probe;

const postgresqlProbe: MakeProbe = (target) =>
  new PostgresqlProbe({ name: "pg1", domain: {}, target, observation: new StoreObservation("orders"), clock: systemClock });
const canaryProbe: MakeProbe = (target) => new CanaryProbe({ store: "orders", target, clock: systemClock });

for (const major of testMajors()) {
  let server: TestServer;

  beforeAll(async () => {
    server = await startPrimary({ major });
    const canary = new CanaryProbe({ store: "orders", target: targetOf(server), clock: systemClock });
    await canary.ensure(AbortSignal.timeout(10_000));
    await canary.close();
  });
  afterAll(() => server.dispose());

  for (const [kind, make] of [
    ["postgresql", postgresqlProbe],
    ["canary", canaryProbe],
  ] as const) {
    const through = (tampering: Tampering) => async (): Promise<ProbeUnderTest & { reached: Promise<void> }> => {
      const proxy = await startTamperingProxy({ host: "127.0.0.1", port: server.connection.port }, tampering);
      return {
        probe: make(targetOf(server, { port: proxy.port })),
        open: () => proxy.open,
        reached: proxy.reached,
        [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
      };
    };
    const alone = (target: PostgresqlTarget): ProbeUnderTest => ({ probe: make(target), [Symbol.asyncDispose]: () => Promise.resolve() });
    const targets: Record<Condition, () => Promise<ProbeUnderTest>> = {
      well: through({ afterBytes: 0, how: "pass" }),
      down: async () => alone(targetOf(server, { port: await freePort() })),
      slow: through({ afterBytes: 0, how: "hold" }),
      denied: () => Promise.resolve(alone(targetOf(server, { password: new Redacted("this one is wrong: s3cret") }))),
      version: async () => {
        const proxy = await startRewritingProxy(server.connection.port, { from: `server_version\0${major}.`, to: "server_version\x0011." });
        return { probe: make(targetOf(server, { port: proxy.port })), [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
      },
      garbage: async () => {
        const other = await startOtherService();
        return {
          probe: make(targetOf(server, { port: other.port })),
          open: () => other.open,
          [Symbol.asyncDispose]: () => other[Symbol.asyncDispose](),
        };
      },
    };
    describeProbeContract(`${kind}, PostgreSQL ${major}`, { targets, secrets: [TEST_PASSWORD, "s3cret"] });

    // Of the login, of the first answers, and in the middle of the long one.
    it.each([
      [0, "flip"],
      [1, "flip"],
      [5, "flip"],
      [40, "flip"],
      [400, "flip"],
      [600, "flip"],
      [900, "flip"],
      [2_500, "flip"],
      [30, "cut"],
      [700, "cut"],
      [2_500, "cut"],
    ] as const)(
      `${kind} on PostgreSQL ${major} survives an answer that is damaged at byte %i (%s), and is well at the second turn after it`,
      async (afterBytes, how) => {
        await using under = await through({ afterBytes, how })();
        // A turn that has not come so far takes the time that it takes; after the damage it may wait for what never comes.
        const damaged = new AbortController();
        let isDamaged = false;
        const giveUp = under.reached.then(async () => {
          isDamaged = true;
          await sleep(systemClock, GIVE_UP_AFTER_DAMAGE_MS);
          damaged.abort();
        });
        for (let turn = 0; !isDamaged && turn < MOST_TURNS; turn++) await under.probe.probe(damaged.signal);
        await giveUp;
        // A bit may be flipped where it does no harm at once, as at the end of an answer.
        await under.probe.probe(AbortSignal.timeout(GIVE_UP_AFTER_DAMAGE_MS));
        expect(await under.probe.probe(AbortSignal.timeout(60_000))).toMatchObject({ ok: true });
        expect(await under.open?.()).toBe(1);
        await under.probe.close();
      },
    );

    it(`${kind} on PostgreSQL ${major} does not believe a damaged description of an answer a second time`, async () => {
      const named = kind === "canary" ? "writtenMs" : "clockMs";
      const proxy = await startRewritingProxy(server.connection.port, { from: named, to: `?${named.slice(1)}`, times: 1 });
      await using _ = proxy;
      const probe = make(targetOf(server, { port: proxy.port }));
      expect(await probe.probe(AbortSignal.timeout(60_000))).toMatchObject({ ok: false, code: "TM-PROBE-GARBAGE" });
      expect(await probe.probe(AbortSignal.timeout(60_000))).toMatchObject({ ok: true });
      await probe.close();
    });
  }
}

function targetOf(server: TestServer, other?: Partial<PostgresqlTarget>): PostgresqlTarget {
  const { host, port, user, password, database } = server.connection;
  return { host, port, user, password: new Redacted(password), database, tls: "disable", ...other };
}
