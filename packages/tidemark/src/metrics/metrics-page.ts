// The catalogue's metrics as text for Prometheus, made from the samples of the moment at each scrape: what is not known any more
// is not there any more.
import { Counter, Gauge, Registry } from "prom-client";
import type { MetricEntry, MetricName } from "./metric-catalogue.ts";
import { METRICS } from "./metric-catalogue.ts";
import type { MetricSample } from "./metric-samples.ts";

/** Samples of one page, at most; what is beyond is left out, and the page says how many these are. */
const MOST_SAMPLES = 200_000;

export class MetricsPage {
  readonly #samples: () => Iterable<MetricSample>;

  constructor(samples: () => Iterable<MetricSample>) {
    this.#samples = samples;
  }

  get contentType(): string {
    return Registry.PROMETHEUS_CONTENT_TYPE;
  }

  async text(): Promise<string> {
    const registry = new Registry();
    const metrics = new Map<MetricName, (sample: MetricSample) => void>();
    let left = MOST_SAMPLES;
    let beyond = 0;
    for (const sample of this.#samples()) {
      if (left-- <= 0) {
        beyond++;
        continue;
      }
      let put = metrics.get(sample.name);
      if (put === undefined) {
        put = metric(registry, { name: sample.name, entry: METRICS[sample.name] });
        metrics.set(sample.name, put);
      }
      put(sample);
    }
    const text = await registry.metrics();
    return beyond === 0 ? text : `${text}# ${beyond} samples are left out: a page has at most ${MOST_SAMPLES}\n`;
  }
}

function metric(registry: Registry, { name, entry }: { name: MetricName; entry: MetricEntry }): (sample: MetricSample) => void {
  const options = { name, help: entry.help, labelNames: [...entry.labels], registers: [registry] };
  if (entry.type === "gauge") {
    const gauge = new Gauge(options);
    return ({ labels, value }) => gauge.set(labels, value);
  }
  const counter = new Counter(options);
  return ({ labels, value }) => counter.inc(labels, Math.max(0, value));
}
