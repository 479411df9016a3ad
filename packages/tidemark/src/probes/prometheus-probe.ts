import type { Clock } from "@tidemark/kernel/clock";
import { Answer, garbage } from "./answer.ts";
import { getJson, type HttpTarget } from "./http-json.ts";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";
import type { Figure } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Turn } from "./probe-turns.ts";

export interface PrometheusProbeOptions {
  readonly store: string;
  /** The figure's name. */
  readonly figure: string;
  /** PromQL that gives one number: a scalar, or a vector of one series. */
  readonly query: string;
  /**
   * PromQL that gives the Unix time in seconds of the sample behind it, such as `timestamp(up{job="x"})`. Absent: the figure's error
   * bound is {@link LOOKBACK_MS}, since an instant query carries the time of its evaluation, and an old sample looks new.
   */
  readonly sampleTime?: string;
  /** Prometheus' base address and, where it asks for one, the header. Its path comes before `/api/v1/query`. */
  readonly target: HttpTarget;
  /** A sample that is older is unknown, milliseconds. Default {@link STALE_AFTER_MS}. Needs `sampleTime`. */
  readonly staleAfterMs?: number;
  readonly clock: Clock;
}

/** Four scrapes of 15 s. */
const STALE_AFTER_MS = 60_000;
/** How far back Prometheus goes for a sample (`--query.lookback-delta`, default 5 min). */
const LOOKBACK_MS = 300_000;

/** What one query gave; `values` of each series, undefined where it is no number (NaN, Inf). */
interface Evaluation {
  /** Unix time by Prometheus' clock, seconds; undefined when there is no series. */
  readonly atSeconds: number | undefined;
  readonly values: readonly (number | undefined)[];
}

/** Any query of Prometheus, as a figure (HTTP API v1, "Instant queries"). */
export class PrometheusProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: PrometheusProbeOptions;
  readonly #turns: ProbeTurns;

  constructor(options: PrometheusProbeOptions) {
    this.name = `prometheus ${options.figure}`;
    this.store = options.store;
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    return this.#turns.run(signal, async (turn) => ({ copies: [], figures: { [this.#options.figure]: await this.#figure(turn) } }));
  }

  close(): Promise<void> {
    return this.#turns.close();
  }

  async #figure(turn: Turn): Promise<Figure<number>> {
    const { query, sampleTime, staleAfterMs = STALE_AFTER_MS } = this.#options;
    const { atMs } = turn;
    const { values, atSeconds } = await this.#ask({ query }, turn);
    if (atSeconds === undefined) return unknown("Prometheus has no sample for the query", atMs);
    if (values.length > 1) return unknown(`the query gives ${values.length} series, and one was expected`, atMs);
    const value = values[0];
    if (value === undefined) return unknown("the query's value is no number", atMs);
    if (sampleTime === undefined) return known(value, { atMs, method: "reported", errorMs: turn.elapsedMs() + LOOKBACK_MS });
    // Evaluated at the same moment, so that both are of the same sample, and its age is by Prometheus' clock alone.
    const times = await this.#ask({ query: sampleTime, time: String(atSeconds) }, turn);
    const sampledSeconds = times.values[0];
    if (sampledSeconds === undefined || times.values.length > 1) return unknown("the time of the query's sample is not known", atMs);
    const ageMs = (atSeconds - sampledSeconds) * 1_000;
    if (ageMs < 0) return unknown("the query's sample is of a time that has not come", atMs);
    if (ageMs > staleAfterMs) return unknown("its newest sample is too old", atMs - ageMs);
    return known(value, { atMs: atMs - ageMs, method: "reported", errorMs: turn.elapsedMs() });
  }

  async #ask(parameters: Readonly<Record<string, string>>, turn: Turn): Promise<Evaluation> {
    const { target } = this.#options;
    const base = target.url.endsWith("/") ? target.url.slice(0, -1) : target.url;
    const url = `${base}/api/v1/query?${new URLSearchParams(parameters).toString()}`;
    const answer = Answer.of(await getJson({ ...target, url }, turn.signal), "answer");
    if (answer.text("status") !== "success") throw new ProbeFault("TM-PROBE-FAILED", "Prometheus answered that the query failed");
    const data = answer.object("data");
    switch (data.text("resultType")) {
      case "scalar": {
        const { atSeconds, value } = sampleOf(data.value("result"));
        return { atSeconds, values: [value] };
      }
      case "vector": {
        const samples = data.list("result").map((series) => sampleOf(series.value("value")));
        return { atSeconds: samples[0]?.atSeconds, values: samples.map(({ value }) => value) };
      }
      default:
        throw new ProbeFault("TM-PROBE-FAILED", "the query gives neither a scalar nor an instant vector");
    }
  }
}

/** `[<Unix time>, "<value>"]`; the value is text because of NaN, +Inf and -Inf, which JSON cannot say. */
function sampleOf(pair: unknown): { readonly atSeconds: number; readonly value: number | undefined } {
  const [atSeconds, text] = Array.isArray(pair) ? (pair as unknown[]) : [];
  if (typeof atSeconds !== "number" || typeof text !== "string") throw garbage("a sample is no pair of time and text");
  if (/^(NaN|[+-]Inf)$/.test(text)) return { atSeconds, value: undefined };
  const value = /^[+-]?\d/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) throw garbage("a sample's value is no number");
  return { atSeconds, value };
}
