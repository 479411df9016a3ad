// Samples of the catalogue's metrics from what is known now. Pure. A figure that is not known makes no sample.
import { newestState } from "../exposure/copy-state.ts";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { HistoryState } from "../history/history.ts";
import type { Scenario } from "../objectives/failure-domain.ts";
import type { CopyKind, Figure, StoreFacts } from "../probes/probe-result.ts";
import { sliceQuality } from "../slo/time-slice.ts";
import { isMetricName, METRICS, type MetricName } from "./metric-catalogue.ts";

export interface MetricSample {
  readonly name: MetricName;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Copies that are made from time to time, and have an age. */
const AGING: ReadonlySet<CopyKind> = new Set(["backup", "snapshot", "archive", "inventory"]);

const MS = 1_000;

export function exposureSamples(exposures: readonly ScenarioExposure[]): MetricSample[] {
  const samples: MetricSample[] = [];
  for (const one of exposures) {
    const labels = { service: one.service, scenario: one.scenario };
    const put = putter(samples, labels);
    put("tidemark_exposure_seconds", inSeconds(one.exposureMs));
    put("tidemark_exposure_known", one.exposureMs.known ? 1 : 0);
    put("tidemark_exposure_error_seconds", one.exposureMs.known ? one.exposureMs.errorMs / MS : undefined);
    put("tidemark_exposure_lost_everything", one.lost === undefined ? 0 : 1);
    put("tidemark_exposure_bytes", valueOf(one.bytes));
    put("tidemark_exposure_transactions", valueOf(one.transactions));
    if (one.business !== undefined) {
      const { unit, amount, revenue } = one.business;
      putter(samples, { ...labels, unit })("tidemark_exposure_business_units", valueOf(amount));
      if (revenue !== undefined)
        putter(samples, { ...labels, currency: revenue.currency })("tidemark_exposure_revenue", valueOf(revenue.amount));
    }
    put("tidemark_exposure_recovery_point_timestamp_seconds", one.recoveryPoint.known ? one.recoveryPoint.value.commitMs / MS : undefined);
    put("tidemark_exposure_recovery_seconds", inSeconds(one.recoveryTimeMs));
    const quality = sliceQuality(one);
    put("tidemark_objective_met", quality === undefined || quality === "unknown" ? undefined : Number(quality === "good"));
    put("tidemark_objective_rpo_seconds", one.objective === undefined ? undefined : one.objective.rpoMs / MS);
    put("tidemark_objective_rto_seconds", one.objective === undefined ? undefined : one.objective.rtoMs / MS);
  }
  return samples;
}

export function storeSamples(stores: Iterable<StoreFacts>, nowMs: number): MetricSample[] {
  const samples: MetricSample[] = [];
  for (const facts of stores) {
    const { store, clockOffset } = facts;
    if (clockOffset?.known === true) {
      const put = putter(samples, { store });
      put("tidemark_clock_offset_seconds", clockOffset.value / MS);
      put("tidemark_clock_offset_error_seconds", clockOffset.errorMs / MS);
    }
    for (const copy of facts.copies) {
      const state = newestState(copy, facts, nowMs);
      const put = putter(samples, { store, copy: copy.name, kind: copy.kind });
      put("tidemark_copy_lag_seconds", inSeconds(state.exposureMs));
      put("tidemark_copy_known", state.exposureMs.known ? 1 : 0);
      put("tidemark_copy_missing_bytes", valueOf(state.bytes));
      put("tidemark_copy_missing_transactions", valueOf(state.transactions));
      put("tidemark_copy_synchronous", copy.synchronous.known ? Number(copy.synchronous.value) : undefined);
      // By the clock of who made it: an age of hours is not wrong by a difference of clocks that matters.
      if (AGING.has(copy.kind) && state.point.known) put("tidemark_copy_age_seconds", Math.max(0, nowMs - state.point.value.commitMs) / MS);
      if (copy.proof !== undefined) {
        put("tidemark_copy_proof_age_seconds", Math.max(0, nowMs - copy.proof.atMs) / MS);
        put("tidemark_copy_recovery_seconds", copy.proof.tookMs / MS);
      }
    }
  }
  return samples;
}

/** The last recovery of a service and scenario. */
export interface RecoveryFigures {
  readonly service: string;
  readonly scenario: Scenario;
  readonly exercise: boolean;
  readonly lostTransactions: Figure<number>;
  readonly lostMs: Figure<number>;
  readonly tookMs: Figure<number>;
}

export function recoverySamples(recoveries: readonly RecoveryFigures[]): MetricSample[] {
  const samples: MetricSample[] = [];
  for (const one of recoveries) {
    const put = putter(samples, { service: one.service, scenario: one.scenario, exercise: String(one.exercise) });
    put("tidemark_incident_lost_transactions", valueOf(one.lostTransactions));
    put("tidemark_incident_lost_seconds", inSeconds(one.lostMs));
    put("tidemark_incident_recovery_seconds", inSeconds(one.tookMs));
  }
  return samples;
}

/** How often an objective was met. */
export interface MetRatio {
  readonly service: string;
  readonly scenario: Scenario;
  /** Such as `28d`. */
  readonly window: string;
  readonly goodSeconds: number;
  readonly totalSeconds: number;
}

export function ratioSamples(ratios: readonly MetRatio[]): MetricSample[] {
  const samples: MetricSample[] = [];
  for (const { service, scenario, window, goodSeconds, totalSeconds } of ratios)
    putter(samples, { service, scenario, window })(
      "tidemark_objective_met_ratio",
      totalSeconds > 0 ? goodSeconds / totalSeconds : undefined,
    );
  return samples;
}

/**
 * The figures of a probe that have a name in the catalogue, with or without labels of their own behind it
 * (`tidemark_wal_backlog_bytes{consumer="archiver"}`). Others are the findings' own.
 */
export function figureSamples(of: { store: string; target: string }, figures: Readonly<Record<string, Figure<number>>>): MetricSample[] {
  const samples: MetricSample[] = [];
  for (const [key, figure] of Object.entries(figures)) {
    const [, name = "", own = ""] = /^([a-z_]+)(?:\{(.*)\})?$/.exec(key) ?? [];
    if (!isMetricName(name)) continue;
    const labels = Object.fromEntries([...own.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, label = "", value = ""]) => [label, value]));
    putter(samples, { ...labels, ...of })(name, valueOf(figure));
  }
  return samples;
}

/** How a target was looked at last. */
export interface LookFigures {
  readonly store: string;
  readonly target: string;
  readonly turn: { readonly reading: { readonly ok: boolean }; readonly tookMs: number };
  /** Looks that failed. */
  readonly failed: number;
}

export function probeSamples({ store, target, turn, failed }: LookFigures): MetricSample[] {
  const samples: MetricSample[] = [];
  const put = putter(samples, { store, target });
  put("tidemark_probe_up", turn.reading.ok ? 1 : 0);
  put("tidemark_probe_seconds", turn.tookMs / MS);
  put("tidemark_probe_failures_total", failed);
  return samples;
}

export function historySamples(state: HistoryState): MetricSample[] {
  const samples: MetricSample[] = [];
  const put = putter(samples, {});
  put("tidemark_history_writing", state.writing ? 1 : 0);
  put("tidemark_history_series", state.series);
  put("tidemark_history_dropped_samples_total", state.droppedSamples);
  return samples;
}

function valueOf(figure: Figure<number>): number | undefined {
  return figure.known ? figure.value : undefined;
}

function inSeconds(figure: Figure<number>): number | undefined {
  return figure.known ? figure.value / MS : undefined;
}

/** Only the labels that the catalogue names are kept; one that is missing is empty, which Prometheus takes for absent. */
function putter(samples: MetricSample[], labels: Readonly<Record<string, string>>): (name: MetricName, value: number | undefined) => void {
  return (name, value) => {
    if (value === undefined || !Number.isFinite(value)) return;
    samples.push({ name, labels: Object.fromEntries(METRICS[name].labels.map((label) => [label, labels[label] ?? ""])), value });
  };
}
