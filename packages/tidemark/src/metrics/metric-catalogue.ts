// The metrics of exposure under one scheme: `tidemark_<what>_<unit>`, units of Prometheus (seconds, bytes, ratios from 0 to 1), a
// label for each thing that there are several of. A value that is not known has no sample; beside the figures that matter most
// stands a `_known` of 0 or 1, so that a rule can tell "not known" from "not there". docs/metrics.md is generated from here.

export type MetricUnit =
  | "seconds"
  | "bytes"
  | "ratio"
  | "transactions"
  | "messages"
  | "attempts"
  | "units"
  | "yes or no"
  | "series"
  | "samples";

export interface MetricEntry {
  readonly type: "gauge" | "counter";
  readonly unit: MetricUnit;
  /** A sentence, for `# HELP` and the page. */
  readonly help: string;
  /** Where the value comes from. */
  readonly source: string;
  readonly labels: readonly string[];
  /** The field's name for it, where it is another one. */
  readonly alsoCalled?: string;
}

const scenario = ["service", "scenario"] as const;
const copy = ["store", "copy", "kind"] as const;
const EXPOSURE = "exposureOf, every second";
const COPIES = "the probes' facts of the copy";

const entries = {
  tidemark_exposure_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "Time of acknowledged writes that would be lost now; 0 when nothing acknowledged is missing.",
    source: EXPOSURE,
    labels: scenario,
    alsoCalled: "achieved RPO, data loss window",
  },
  tidemark_exposure_known: {
    type: "gauge",
    unit: "yes or no",
    help: "1 while the exposure is known; without it there is no sample of the exposure.",
    source: EXPOSURE,
    labels: scenario,
  },
  tidemark_exposure_error_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "The exposure is right within so much.",
    source: EXPOSURE,
    labels: scenario,
  },
  tidemark_exposure_lost_everything: {
    type: "gauge",
    unit: "yes or no",
    help: "1 while it is certain that no copy would be left.",
    source: EXPOSURE,
    labels: scenario,
  },
  tidemark_exposure_bytes: { type: "gauge", unit: "bytes", help: "Data that would be lost now.", source: EXPOSURE, labels: scenario },
  tidemark_exposure_transactions: {
    type: "gauge",
    unit: "transactions",
    help: "Acknowledged transactions that would be lost now.",
    source: EXPOSURE,
    labels: scenario,
  },
  tidemark_exposure_business_units: {
    type: "gauge",
    unit: "units",
    help: "What would be lost now in the service's own unit, such as orders.",
    source: `${EXPOSURE}, from the unit in tidemark.yaml`,
    labels: [...scenario, "unit"],
  },
  tidemark_exposure_revenue: {
    type: "gauge",
    unit: "units",
    help: "What would be lost now in revenue of the service.",
    source: `${EXPOSURE}, from the revenue in tidemark.yaml`,
    labels: [...scenario, "currency"],
  },
  tidemark_exposure_recovery_point_timestamp_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "Commit time of the newest state that would survive, Unix time.",
    source: EXPOSURE,
    labels: scenario,
  },
  tidemark_exposure_recovery_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "How long a recovery would take, by the last recovery from the same copies.",
    source: `${EXPOSURE}, from proofs`,
    labels: scenario,
    alsoCalled: "expected RTO",
  },
  tidemark_objective_rpo_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "So much may be lost.",
    source: "tidemark.yaml",
    labels: scenario,
    alsoCalled: "RPO",
  },
  tidemark_objective_rto_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "So long may a recovery take.",
    source: "tidemark.yaml",
    labels: scenario,
    alsoCalled: "RTO",
  },
  tidemark_objective_met: {
    type: "gauge",
    unit: "yes or no",
    help: "1 in a second in which the exposure is within its objective, 0 where it is above; no sample while it is not known.",
    source: "the time-slice indicator",
    labels: scenario,
  },
  tidemark_objective_met_ratio: {
    type: "gauge",
    unit: "ratio",
    help: "Share of the window's seconds in which the exposure was known and within its objective.",
    source: "the time-slice indicator",
    labels: [...scenario, "window"],
    alsoCalled: "meets-RPO ratio",
  },
  tidemark_copy_lag_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "Time of acknowledged writes that the copy lacks.",
    source: COPIES,
    labels: copy,
    alsoCalled: "replication lag",
  },
  tidemark_copy_known: {
    type: "gauge",
    unit: "yes or no",
    help: "1 while it is known how far the copy is.",
    source: COPIES,
    labels: copy,
  },
  tidemark_copy_missing_bytes: { type: "gauge", unit: "bytes", help: "WAL or data that the copy lacks.", source: COPIES, labels: copy },
  tidemark_copy_missing_transactions: {
    type: "gauge",
    unit: "transactions",
    help: "Commits that the copy lacks.",
    source: COPIES,
    labels: copy,
  },
  tidemark_copy_synchronous: {
    type: "gauge",
    unit: "yes or no",
    help: "1 while acknowledgements wait for the copy; no sample while that is not known.",
    source: COPIES,
    labels: copy,
  },
  tidemark_copy_age_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "Age of the newest state in a backup, snapshot, archive or inventory.",
    source: COPIES,
    labels: copy,
    alsoCalled: "snapshot age",
  },
  tidemark_copy_proof_age_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "Time since the copy was last recovered from and checked; no sample: never.",
    source: "the history of failovers",
    labels: copy,
  },
  tidemark_copy_recovery_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "How long the last recovery from the copy took.",
    source: "the history of failovers",
    labels: copy,
    alsoCalled: "time to restore",
  },
  tidemark_clock_offset_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "The primary's clock minus this machine's.",
    source: "the canary",
    labels: ["store"],
    alsoCalled: "clock skew",
  },
  tidemark_clock_offset_error_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "The clock offset is right within so much.",
    source: "the canary",
    labels: ["store"],
  },
  tidemark_incident_lost_transactions: {
    type: "gauge",
    unit: "transactions",
    help: "Acknowledged transactions that the last recovery lost; no sample while that is not known.",
    source: "the history of failovers",
    labels: [...scenario, "exercise"],
    alsoCalled: "lost transactions per incident",
  },
  tidemark_incident_lost_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "Time of acknowledged writes that the last recovery lost.",
    source: "the history of failovers",
    labels: [...scenario, "exercise"],
  },
  tidemark_incident_recovery_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "From the accident until writes were accepted again, at the last recovery.",
    source: "the history of failovers",
    labels: [...scenario, "exercise"],
  },
  tidemark_wal_backlog_bytes: {
    type: "gauge",
    unit: "bytes",
    help: "WAL that the primary keeps because a slot, an archiver or a standby has not taken it.",
    source: "the probe of PostgreSQL",
    labels: ["store", "target", "consumer"],
  },
  tidemark_replication_failures_total: {
    type: "counter",
    unit: "attempts",
    help: "Attempts to replicate or archive that failed, as the source counts them.",
    source: "pg_stat_archiver",
    labels: ["store", "target", "consumer"],
    alsoCalled: "failed replication attempts",
  },
  tidemark_backup_success_ratio: {
    type: "gauge",
    unit: "ratio",
    help: "Share of the backups that the repository knows that are whole.",
    source: "the repository's catalogue",
    labels: ["store", "target", "repository"],
    alsoCalled: "successful backup rate",
  },
  tidemark_verification_success_ratio: {
    type: "gauge",
    unit: "ratio",
    help: "Share of an inventory's sampled objects that are, read again, what they were.",
    source: "the probe of an inventory, which reads samples again",
    labels: ["store", "target"],
    alsoCalled: "verification success",
  },
  tidemark_consumer_lag_messages: {
    type: "gauge",
    unit: "messages",
    help: "Messages that are not delivered and acknowledged.",
    source: "the broker; of the applier, the gateway",
    labels: ["store", "target", "consumer"],
    alsoCalled: "consumer lag",
  },
  tidemark_consumer_lag_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "Age of the oldest message that is not delivered and acknowledged.",
    source: "a Prometheus query whose figure the configuration calls so",
    labels: ["store", "target", "consumer"],
    alsoCalled: "consumer lag",
  },
  tidemark_probe_up: {
    type: "gauge",
    unit: "yes or no",
    help: "1 while the probe's last look at its target succeeded.",
    source: "the probes' runner",
    labels: ["store", "target"],
  },
  tidemark_probe_seconds: {
    type: "gauge",
    unit: "seconds",
    help: "How long the probe's last look took.",
    source: "the probes' runner",
    labels: ["store", "target"],
  },
  tidemark_probe_failures_total: {
    type: "counter",
    unit: "attempts",
    help: "Looks of the probe that failed since this process started.",
    source: "the probes' runner",
    labels: ["store", "target"],
  },
  tidemark_history_writing: {
    type: "gauge",
    unit: "yes or no",
    help: "1 while figures are written to the history.",
    source: "the history",
    labels: [],
  },
  tidemark_history_series: { type: "gauge", unit: "series", help: "Series in the history.", source: "the history", labels: [] },
  tidemark_history_dropped_samples_total: {
    type: "counter",
    unit: "samples",
    help: "Samples that could not be kept: gaps in the history.",
    source: "the history",
    labels: [],
  },
} satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof entries;

export const METRICS: Readonly<Record<MetricName, MetricEntry>> = entries;

export function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}
