// What services can be told of the time behind them: error budgets from the history, recoveries from the failovers that happened.
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Config } from "../config/config.ts";
import type { History } from "../history/history.ts";
import { ratioSamples, recoverySamples, type MetricSample } from "../metrics/metric-samples.ts";
import { BudgetBook, type BudgetReport, type BudgetSubject } from "../slo/budget-book.ts";
import type { FailoverHistory } from "./failover-history.ts";
import { lastRecoveries, recoveriesOf } from "./failover-recoveries.ts";

interface AccountsWorld {
  readonly config: Pick<Config, "services">;
  readonly history: Pick<History, "range">;
  readonly subjects: readonly BudgetSubject[];
  /** By store. */
  readonly failovers: ReadonlyMap<string, Pick<FailoverHistory, "events">>;
  readonly clock: Clock;
}

export class ServiceAccounts {
  readonly #world: AccountsWorld;
  readonly #book: BudgetBook;

  constructor(world: AccountsWorld) {
    this.#world = world;
    this.#book = new BudgetBook({ history: world.history, subjects: () => world.subjects, recoveries: () => this.#recoveries() });
  }

  /** A minute old at most. Throws TM-HISTORY-AWAY and TM-HISTORY-VERSION while there is no history. */
  budgets(): BudgetReport {
    return this.#book.report(this.#world.clock.wallMs());
  }

  *samples(): Generator<MetricSample> {
    yield* recoverySamples(lastRecoveries(this.#recoveries()));
    for (const { service, scenario, windows } of this.#knownBudgets())
      yield* ratioSamples(
        windows.map(({ days, counts }) => ({
          service,
          scenario,
          window: `${days}d`,
          goodSeconds: counts.goodSeconds,
          totalSeconds: counts.totalSeconds,
        })),
      );
  }

  /** None while there is no history: what is not known has no sample. */
  #knownBudgets(): BudgetReport["budgets"] {
    try {
      return this.budgets().budgets;
    } catch (error) {
      if (error instanceof TidemarkError) return [];
      throw error;
    }
  }

  #recoveries(): ReturnType<typeof recoveriesOf> {
    const { config, failovers } = this.#world;
    return recoveriesOf(config, new Map([...failovers].map(([store, { events }]) => [store, events])));
  }
}
