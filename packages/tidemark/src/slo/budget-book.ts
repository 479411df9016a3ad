// The error budgets of all services and scenarios from history, reckoned anew once a minute: a budget of weeks does not move in a
// second, and ninety days of buckets are read for each.
import type { Objective } from "../config/config.ts";
import type { History } from "../history/history.ts";
import type { Scenario } from "../objectives/failure-domain.ts";
import { BUDGET_DAYS, errorBudgets, type ErrorBudget } from "./error-budget.ts";
import { recoveryIndicator, type RecoveryEvent, type RecoveryIndicator } from "./recovery-event.ts";
import { keptSlices } from "./slice-history.ts";

const DAY_MS = 86_400_000;

/** Budgets are so old at most, milliseconds. */
const FRESH_MS = 60_000;

/** Steps of an hour over the longest window, and one for its beginning. */
const POINTS = Math.max(...BUDGET_DAYS) * 24 + 1;

/** A service and scenario with an objective. */
export interface BudgetSubject {
  readonly service: string;
  readonly scenario: Scenario;
  readonly objective: Objective;
  /** Share of seconds that have to be good. */
  readonly target: number;
}

/** One window of {@link BUDGET_DAYS}, with both indicators. */
export interface BudgetWindow extends ErrorBudget {
  readonly recoveries: RecoveryIndicator;
}

export interface ScenarioBudgets extends BudgetSubject {
  /** Since when history knows of the objective, wall time, milliseconds; absent: it has no second of it. */
  readonly sinceMs?: number;
  /** The shortest window first. */
  readonly windows: readonly BudgetWindow[];
}

export interface BudgetReport {
  /** When it was reckoned, wall time, milliseconds. */
  readonly atMs: number;
  readonly budgets: readonly ScenarioBudgets[];
}

export interface BudgetWorld {
  readonly history: Pick<History, "range">;
  readonly subjects: () => readonly BudgetSubject[];
  /** Recoveries that really happened, in any order. */
  readonly recoveries: () => readonly RecoveryEvent[];
}

export class BudgetBook {
  readonly #world: BudgetWorld;
  #report: BudgetReport | undefined;

  constructor(world: BudgetWorld) {
    this.#world = world;
  }

  /** The budgets of now, a minute old at most. Throws TM-HISTORY-AWAY. */
  report(nowMs: number): BudgetReport {
    const last = this.#report;
    if (last !== undefined && Math.abs(nowMs - last.atMs) < FRESH_MS) return last;
    const events = this.#world.recoveries();
    const report = { atMs: nowMs, budgets: this.#world.subjects().map((subject) => this.#budgetsOf(subject, events, nowMs)) };
    this.#report = report;
    return report;
  }

  #budgetsOf(subject: BudgetSubject, events: readonly RecoveryEvent[], nowMs: number): ScenarioBudgets {
    const { sinceMs, buckets } = keptSlices(this.#world.history, subject, {
      fromMs: Math.max(0, nowMs - Math.max(...BUDGET_DAYS) * DAY_MS),
      toMs: nowMs,
      points: POINTS,
    });
    const own = events.filter(({ service, scenario }) => service === subject.service && scenario === subject.scenario);
    const budgets = errorBudgets(buckets, { nowMs, sinceMs: sinceMs ?? nowMs, target: subject.target });
    return {
      ...subject,
      ...(sinceMs === undefined ? {} : { sinceMs }),
      windows: budgets.map((budget) => ({
        ...budget,
        recoveries: recoveryIndicator(own, { fromMs: nowMs - budget.days * DAY_MS, toMs: nowMs }),
      })),
    };
  }
}
