import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { expect, it } from "vitest";
import { exposureOfTest } from "../alerts/testing/sample-observation.ts";
import { History } from "../history/history.ts";
import { sliceFigure, sliceSeries } from "../slo/slice-history.ts";
import type { FailoverEvent } from "./failover-history.ts";
import { ServiceAccounts } from "./service-accounts.ts";

const NOW_MS = 1_700_000_000_000;
const objective = { rpoMs: 1_000, rtoMs: 60_000 };
const subject = { service: "orders", scenario: "node-loss" as const };
const config = {
  services: {
    orders: { tier: "high" as const, stores: ["db"], objectives: { "node-loss": objective }, target: 0.999, mostProofAgeMs: 1 },
  },
};

function accounts(history: Pick<History, "range">, events: readonly FailoverEvent[] = []): ServiceAccounts {
  const subjects = [{ ...subject, objective, target: 0.999 }];
  return new ServiceAccounts({ config, history, subjects, failovers: new Map([["db", { events }]]), clock: new ManualClock(NOW_MS) });
}

it("says how often each objective was met in each window, from what history has", () => {
  const history = new History(":memory:");
  const series = history.series(sliceSeries(subject)) ?? 0;
  for (let second = 0; second < 100; second++) {
    const atMs = NOW_MS - 100_000 + second * 1_000;
    const figure = sliceFigure(exposureOfTest({ exposureMs: second < 75 ? 0 : 2_000, rpoMs: 1_000 }), atMs);
    if (figure !== undefined) history.record(atMs, [{ series, figure }]);
  }
  const met = [...accounts(history).samples()].filter(({ name }) => name === "tidemark_objective_met_ratio");
  expect(met.map(({ labels, value }) => [labels["window"], value])).toEqual([
    ["7d", 0.75],
    ["28d", 0.75],
    ["30d", 0.75],
    ["90d", 0.75],
  ]);
  history.close();
});

it("counts failovers as recoveries within the objective or not, and shows the last one", () => {
  const history = new History(":memory:");
  const failover: FailoverEvent = {
    kind: "failover",
    atMs: NOW_MS - 5_000,
    epoch: 2,
    from: "pg1",
    to: "pg2",
    reason: "it ended",
    totalMs: 900,
  };
  const all = accounts(history, [failover]);
  expect(all.budgets().budgets[0]?.windows[0]?.recoveries).toMatchObject({ events: 1, good: 1, indicator: 1 });
  expect([...all.samples()].map(({ name, value }) => [name, value])).toEqual([
    ["tidemark_incident_lost_transactions", 0],
    ["tidemark_incident_lost_seconds", 0],
    ["tidemark_incident_recovery_seconds", 0.9],
  ]);
  history.close();
});

it("has no sample of a budget while there is no history, and says why when it is asked", () => {
  const history = new History(":memory:");
  history.close();
  const all = accounts(history);
  expect([...all.samples()]).toEqual([]);
  expect(() => all.budgets()).toThrow(expect.objectContaining({ code: "TM-HISTORY-AWAY" }) as Error);
});
