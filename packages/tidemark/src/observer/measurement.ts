// Everything that measures, put together for control: observer, history, judgement with its deliveries, and what of it is shown. Its faults are its
// own: each part is started again by itself, says so in the status, and whatever else runs in the process goes on.
import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Redacted } from "@tidemark/kernel/redacted";
import { keepRunning } from "@tidemark/kernel/service";
import type { VaultFacts } from "../alerts/observation.ts";
import type { JudgementWorld } from "../alerts/judgement-engine.ts";
import type { Config, Objective } from "../config/config.ts";
import { History } from "../history/history.ts";
import type { MetricSample } from "../metrics/metric-samples.ts";
import { exposureSamples, figureSamples, historySamples, probeSamples, storeSamples } from "../metrics/metric-samples.ts";
import { metricFigures } from "../metrics/probe-figures.ts";
import type { Scenario } from "../objectives/failure-domain.ts";
import { alertReceivers } from "./alert-receivers.ts";
import type { ServiceCondition } from "./guarded-service.ts";
import { GuardedService } from "./guarded-service.ts";
import { JudgementService } from "./judgement-service.ts";
import { KeptHistory } from "./kept-history.ts";
import type { ObservedSecond } from "./observer.ts";
import { Observer } from "./observer.ts";
import type { ProbeWorld } from "./probe-world.ts";
import { SecondRecord } from "./second-record.ts";
import { watchesOf, type WatchPlanOptions } from "./watch-plan.ts";

export interface MeasurementOptions {
  readonly config: Config;
  /** The internal token. */
  readonly token: Redacted<string>;
  readonly files: { readonly history: string; readonly alerts: string };
  /** What the vaults say of themselves; one that is not heard is there without its status. */
  readonly vaults: () => readonly VaultFacts[];
  /** The last recoveries from a store's copies, by the copy's name. */
  readonly proofs?: WatchPlanOptions["proofs"];
  readonly audit: JudgementWorld["audit"];
  readonly readSecret: ProbeWorld["readSecret"];
  readonly environment: ProbeWorld["environment"];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A service and scenario with an objective. */
export interface MeasuredSubject {
  readonly service: string;
  readonly scenario: Scenario;
  readonly objective: Objective;
  /** Share of seconds that have to be good. */
  readonly target: number;
}

export interface MeasurementStatus {
  readonly observer: ServiceCondition;
  readonly judgement: ServiceCondition;
  readonly history: { readonly writing: boolean; readonly fault?: { readonly code: string; readonly what: string } };
}

export class Measurement {
  readonly history: KeptHistory;
  readonly judgement: JudgementService;
  readonly subjects: readonly MeasuredSubject[];
  readonly #options: MeasurementOptions;
  readonly #observer: Observer;
  readonly #record: SecondRecord;
  readonly #guarded: { readonly observer: GuardedService; readonly judgement: GuardedService };

  /** Opens the history where that is possible; nothing is looked at before `run`. */
  constructor(options: MeasurementOptions) {
    const { config, clock, random, logger } = options;
    this.#options = options;
    this.subjects = subjectsOf(config);
    this.history = new KeptHistory({
      open: () =>
        new History(options.files.history, {
          ...config.history,
          onFault: (error) => logger.error({ err: error, code: error.code }, "the history has a fault: figures are not kept"),
        }),
      clock,
      logger,
    });
    this.#record = new SecondRecord(this.history);
    this.judgement = new JudgementService({
      file: options.files.alerts,
      settings: { services: config.services, rules: config.alerts.rules },
      receivers: alertReceivers(config, clock),
      world: { clock, random, logger, audit: options.audit },
      history: this.history,
      subjects: this.subjects,
    });
    const { token, readSecret, environment, proofs } = options;
    this.#observer = new Observer({
      services: config.services,
      watch: () =>
        watchesOf({
          config,
          token,
          world: { clock, random, logger, environment, readSecret },
          ...(proofs === undefined ? {} : { proofs }),
        }),
      onSecond: (second) => this.#keep(second),
      clock,
      random,
      logger,
    });
    this.#guarded = { observer: new GuardedService(this.#observer, clock), judgement: new GuardedService(this.judgement, clock) };
  }

  /** Measures until `signal` aborts. Never rejects: what fails is logged, shown in the status and started again. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    const { observer, judgement } = this.#guarded;
    await Promise.all([keepRunning(judgement, signal, { clock, logger }), keepRunning(observer, signal, { clock, logger })]);
    this.history.close();
  }

  /** What is known now. */
  known(): ObservedSecond {
    return this.#observer.known();
  }

  status(): MeasurementStatus {
    const { writing, fault } = this.history.state();
    return {
      observer: this.#guarded.observer.condition,
      judgement: this.#guarded.judgement.condition,
      history: { writing, ...(fault === undefined ? {} : { fault: { code: fault.code, what: fault.message } }) },
    };
  }

  /** Of the metrics' catalogue. */
  *samples(): Generator<MetricSample> {
    const { atMs, exposures, stores } = this.known();
    yield* exposureSamples(exposures);
    yield* storeSamples(stores, atMs);
    for (const look of this.#observer.looks()) {
      yield* probeSamples(look);
      const { reading } = look.turn;
      if (reading.ok) yield* figureSamples({ store: look.store, target: look.target }, metricFigures(reading.figures));
    }
    yield* historySamples(this.history.state());
  }

  #keep(second: ObservedSecond): void {
    this.history.record(second.atMs, () => this.#record.readings(second));
    this.judgement.observe(second.atMs, { exposures: second.exposures, stores: second.stores, vaults: this.#options.vaults() });
  }
}

function subjectsOf({ services }: Pick<Config, "services">): MeasuredSubject[] {
  return Object.entries(services).flatMap(([service, { objectives, target }]) =>
    Object.entries(objectives).map(([scenario, objective]) => ({ service, scenario: scenario as Scenario, objective, target })),
  );
}
