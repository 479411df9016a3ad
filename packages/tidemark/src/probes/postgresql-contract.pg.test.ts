import { afterAll, beforeAll, expect, it } from "vitest";
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
    const through = (tampering: Tampering) => async (): Promise<ProbeUnderTest> => {
      const proxy = await startTamperingProxy({ host: "127.0.0.1", port: server.connection.port }, tampering);
      return {
        probe: make(targetOf(server, { port: proxy.port })),
        open: () => proxy.open,
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
        const first = await under.probe.probe(AbortSignal.timeout(500));
        expect(typeof first.ok).toBe("boolean");
        // A bit may be flipped where it does no harm at once, as in the name of a prepared statement.
        await under.probe.probe(AbortSignal.timeout(500));
        expect(await under.probe.probe(AbortSignal.timeout(5_000))).toMatchObject({ ok: true });
        expect(await under.open?.()).toBe(1);
        await under.probe.close();
      },
    );
  }
}

function targetOf(server: TestServer, other?: Partial<PostgresqlTarget>): PostgresqlTarget {
  const { host, port, user, password, database } = server.connection;
  return { host, port, user, password: new Redacted(password), database, tls: "disable", ...other };
}
