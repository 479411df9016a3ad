// What of each second goes into the history: exposures, how far copies are, and whether objectives were met. Units are those of the
// metrics of the same names. What is not known is recorded as that.
import { newestState } from "../exposure/copy-state.ts";
import { mapFigure } from "../exposure/figure-age.ts";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { HistoryReading } from "../history/history.ts";
import type { SeriesName } from "../history/series-book.ts";
import type { MetricName } from "../metrics/metric-catalogue.ts";
import type { Figure } from "../probes/probe-result.ts";
import { sliceFigure, sliceSeries } from "../slo/slice-history.ts";
import type { ObservedSecond } from "./observer.ts";

interface SeriesOf {
  series(name: SeriesName): number | undefined;
}

/** Numbers of series by what they are of, so that their names are not made each second. */
export class SecondRecord {
  readonly #history: SeriesOf;
  readonly #numbers = new Map<string, number>();

  constructor(history: SeriesOf) {
    this.#history = history;
  }

  /** One reading a series; a series beyond the history's limit has none. */
  *readings({ atMs, exposures, stores }: ObservedSecond): Generator<HistoryReading> {
    for (const exposure of exposures) yield* this.#ofScenario(exposure, atMs);
    for (const facts of stores) {
      for (const copy of facts.copies) {
        const state = newestState(copy, facts, atMs);
        const labels = { store: facts.store, copy: copy.name, kind: copy.kind };
        yield* this.#reading("tidemark_copy_lag_seconds", labels, inSeconds(state.exposureMs));
      }
    }
  }

  *#ofScenario(exposure: ScenarioExposure, atMs: number): Generator<HistoryReading> {
    const { service, scenario } = exposure;
    const labels = { service, scenario };
    yield* this.#reading("tidemark_exposure_seconds", labels, inSeconds(exposure.exposureMs));
    const met = sliceFigure(exposure, atMs);
    if (met === undefined) return;
    yield* this.#reading("tidemark_exposure_transactions", labels, exposure.transactions);
    const series = this.#number(`met\0${service}\0${scenario}`, () => sliceSeries(exposure));
    if (series !== undefined) yield { series, figure: met };
  }

  *#reading(metric: MetricName, labels: Readonly<Record<string, string>>, figure: Figure<number>): Generator<HistoryReading> {
    const series = this.#number(`${metric}\0${Object.values(labels).join("\0")}`, () => ({ metric, labels }));
    if (series !== undefined) yield { series, figure };
  }

  #number(key: string, name: () => SeriesName): number | undefined {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#history.series(name());
    if (number !== undefined) this.#numbers.set(key, number);
    return number;
  }
}

function inSeconds(figure: Figure<number>): Figure<number> {
  return mapFigure(figure, (ms) => ms / 1_000);
}
