// Follows one figure that is not known from the probe to every way out: nowhere on the way does a number come of it (HONEST-NUMBER).
import { Redacted } from "@tidemark/kernel/redacted";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeExposure } from "../cli/exposure-view.ts";
import { describeMeasured } from "../cli/measured-view.ts";
import type { Facts } from "../cli/status-facts.ts";
import { makePaint } from "../cli/terminal.ts";
import { roleServer } from "../cluster/role-server.ts";
import { addExposureRoutes } from "../exposure/exposure-routes.ts";
import { History } from "../history/history.ts";
import { MetricsPage } from "../metrics/metrics-page.ts";
import { exposureSamples, figureSamples, storeSamples } from "../metrics/metric-samples.ts";
import { metricFigures } from "../metrics/probe-figures.ts";
import { CommandProbe } from "../probes/command-probe.ts";
import type { Probe, ProbeReading } from "../probes/probe.ts";
import { known } from "../probes/probe-result.ts";
import { JudgementService } from "./judgement-service.ts";
import { Observer } from "./observer.ts";
import { SecondRecord } from "./second-record.ts";

const START_MS = 1_800_000_000_000;
const SERVICES = {
  orders: {
    stores: ["orders"],
    objectives: { "node-loss": { rpoMs: 5_000, rtoMs: 60_000 } },
    business: { unit: "orders", perHour: 100, revenue: { currency: "EUR", perHour: 1_000 } },
  },
};

let clock: ManualClock;
let history: History;

beforeEach(() => {
  clock = new ManualClock(START_MS);
  history = new History(":memory:");
});
afterEach(() => history.close());

/** A primary that answers, beside a copy that is looked at by a real command which says a 0 and fails. */
class PrimaryProbe implements Probe {
  readonly name = "postgresql pg1";
  readonly store = "orders";

  probe(): Promise<ProbeReading> {
    const atMs = clock.wallMs();
    const seen = <T>(value: T) => known(value, { atMs, method: "position-history", errorMs: 0 });
    return Promise.resolve({
      ok: true,
      atMs,
      roundTripMs: 0,
      store: { newestCommit: seen({ commitMs: atMs }), commitRate: seen(1), clockOffset: seen(0) },
      copies: [
        {
          name: "pg1",
          kind: "primary",
          domain: { machine: "m1" },
          recoveryPoint: seen({ commitMs: atMs, complete: true }),
          missingBytes: seen(0),
          missingTransactions: seen(0),
          synchronous: seen(true),
          remarks: [],
        },
      ],
      figures: {},
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

it("is unknown in the facts, the exposure, the history, the metrics, the HTTP API, the alerts and on the screen", async () => {
  const failing = new CommandProbe({
    name: "snapshot",
    store: "orders",
    command: ["/bin/sh", "-c", "echo 0; exit 3"],
    says: "age",
    copy: { name: "snapshot", kind: "snapshot", domain: { machine: "m2" } },
    clock,
  });
  const record = new SecondRecord(history);
  const judgement = new JudgementService({
    file: ":memory:",
    settings: { services: SERVICES },
    receivers: [],
    world: { clock, random: seededRandom(1), logger: silentLogger, audit: { append: () => Promise.resolve() } },
    history,
    subjects: [],
  });
  const stop = new AbortController();
  const judging = judgement.run(stop.signal);
  const observer = new Observer({
    services: SERVICES,
    watch: () => [
      {
        store: "orders",
        probes: [{ probe: new PrimaryProbe() }, { probe: failing }],
        expected: [
          { name: "pg1", kind: "standby", domain: { machine: "m1" }, toldBy: ["postgresql pg1"] },
          { name: "snapshot", kind: "snapshot", domain: { machine: "m2" }, toldBy: ["command snapshot"] },
        ],
      },
    ],
    onSecond: (second) => {
      history.record(second.atMs, record.readings(second));
      judgement.observe(second.atMs, { ...second, vaults: [] });
    },
    clock,
    random: seededRandom(1),
    logger: silentLogger,
  });
  const running = observer.run(stop.signal);
  // The command is a real process: it ends in real time, while the clock stands still.
  let said: ProbeReading | undefined;
  const look = failing.probe.bind(failing);
  failing.probe = async (signal) => (said = await look(signal));
  await clock.advance(1_500);
  await expect.poll(() => said, { timeout: 20_000 }).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });
  await clock.advance(4_000);

  const second = observer.known();
  const snapshot = second.stores[0]?.copies.find(({ name }) => name === "snapshot");
  expect(snapshot?.recoveryPoint).toMatchObject({ known: false });
  const nodeLoss = second.exposures.find(({ scenario }) => scenario === "node-loss");
  expect(nodeLoss).toMatchObject({
    exposureMs: { known: false },
    judgement: "unknown",
    business: { amount: { known: false }, revenue: { amount: { known: false } } },
  });
  expect(JSON.stringify([snapshot?.recoveryPoint, nodeLoss])).not.toMatch(/"value"/);

  const labels = { service: "orders", scenario: "node-loss" };
  for (const metric of ["tidemark_exposure_seconds", "tidemark_exposure_transactions", "tidemark_objective_met"]) {
    const { buckets } = history.range({ metric, labels }, { fromMs: START_MS, toMs: START_MS + 10_000, points: 10 });
    expect(buckets.reduce((sum, bucket) => sum + bucket.unknown, 0)).toBeGreaterThanOrEqual(5);
    expect(buckets.every((bucket) => bucket.known === 0 && bucket.values === undefined)).toBe(true);
  }

  const figures = said?.ok === true ? said.figures : {};
  const samples = [
    ...exposureSamples(second.exposures),
    ...storeSamples(second.stores, second.atMs),
    ...figureSamples({ store: "orders", target: failing.name }, metricFigures(figures)),
  ];
  const page = await new MetricsPage(() => samples).text();
  expect(page).toContain('tidemark_exposure_known{service="orders",scenario="node-loss"} 0');
  expect(page).toContain('tidemark_copy_known{store="orders",copy="snapshot",kind="snapshot"} 0');
  expect(page).not.toMatch(
    /tidemark_(exposure_seconds|exposure_bytes|exposure_transactions|exposure_business_units|objective_met)\{[^}]*node-loss/,
  );
  expect(page).not.toMatch(/tidemark_copy_(lag_seconds|age_seconds|missing_bytes)\{[^}]*snapshot/);

  const server = roleServer({ token: new Redacted("secret"), logger: silentLogger, open: new Set() });
  addExposureRoutes(server, {
    nowMs: () => clock.wallMs(),
    exposures: () => observer.known(),
    stores: () => observer.known().stores,
    history,
    writeLives: () => Promise.resolve({ sample: [], slowest: [], unfollowed: 0 }),
  });
  const get = async (url: string): Promise<Facts> => {
    const { body } = await server.inject({ method: "GET", url, headers: { authorization: "Bearer secret" } });
    return JSON.parse(body) as Facts;
  };
  const answer = await get("/v1/exposure?service=orders&scenario=node-loss");
  expect(JSON.stringify(answer)).not.toMatch(/"value"/);
  const columns = await get(
    `/v1/history?metric=tidemark_exposure_seconds&label.service=orders&label.scenario=node-loss&from=${START_MS}&to=${START_MS + 5_000}`,
  );
  expect((columns["max"] as unknown[]).every((value) => value === null)).toBe(true);
  await server.close();

  const layout = { columns: 120, paint: makePaint(false) };
  expect(describeExposure(answer, layout)[4]).toMatch(/^node-loss +5\.00 s +unknown +unknown +unknown orders, unknown EUR$/);
  const measured = { observer: { running: true }, judgement: { running: true }, history: { writing: true } };
  expect(describeMeasured({ ...answer, ...measured }, clock.wallMs(), layout)[1]).toMatch(
    /^orders +node-loss would lose unknown \(5\.00 s allowed\)$/,
  );
  // A page that says "above" would be a number made of nothing, one that says nothing for ever would hide it.
  expect(judgement.engine.alerts().map(({ rule, state }) => [rule, state])).toContainEqual(["exposure-unknown-too-long", "pending"]);
  expect(judgement.engine.alerts().map(({ rule }) => rule)).not.toContain("exposure-above-objective");

  stop.abort();
  await clock.advance(5_000);
  await Promise.all([running, judging]);
});
