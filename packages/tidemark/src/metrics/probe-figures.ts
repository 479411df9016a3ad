// From what probes call their figures to the catalogue's metrics. A probe's name says what it is of (`postgresql_…`), a metric's what it means.
import type { Figure } from "../probes/probe-result.ts";
import { known, unknown } from "../probes/probe-result.ts";
import { isMetricName, METRICS, type MetricName } from "./metric-catalogue.ts";

type Labelled = MetricName | `${MetricName}{${string}}`;

const SAME: Readonly<Record<string, Labelled>> = {
  postgresql_archive_backlog_bytes: 'tidemark_wal_backlog_bytes{consumer="archiver"}',
  postgresql_slot_most_kept_bytes: 'tidemark_wal_backlog_bytes{consumer="slots"}',
  postgresql_archive_failures_total: 'tidemark_replication_failures_total{consumer="archiver"}',
  nats_consumer_lag_messages: "tidemark_consumer_lag_messages",
  journal_backlog_records: 'tidemark_consumer_lag_messages{consumer="applier"}',
};

/** The figures that have a metric, by its name and labels, as `figureSamples` takes them. */
export function metricFigures(figures: Readonly<Record<string, Figure<number>>>): Record<string, Figure<number>> {
  const metrics: Record<string, Figure<number>> = {};
  for (const [name, figure] of Object.entries(figures)) {
    const same = SAME[name];
    if (same !== undefined) metrics[same] = figure;
    // A figure that the configuration names may be one of the catalogue's: of a broker whose exporter says how late it is.
    if (isMetricName(name) && METRICS[name].labels.includes("target")) metrics[name] = figure;
    const repository = /^pgbackrest_(repo\d+)_backups$/.exec(name)?.[1];
    if (repository !== undefined)
      metrics[`tidemark_backup_success_ratio{repository="${repository}"}`] = shareOf(figure, figures[`${name}_spoiled`]);
  }
  const sound = figures["inventory_sound_objects"];
  if (sound !== undefined) metrics["tidemark_verification_success_ratio"] = shareOf(sound, figures["inventory_damaged_objects"]);
  const barman = figures["barman_backups"];
  if (barman !== undefined) metrics["tidemark_backup_success_ratio"] = shareOf(barman, figures["barman_backups_not_done"]);
  return metrics;
}

/** Of none at all there is no share. */
function shareOf(whole: Figure<number>, others: Figure<number> | undefined): Figure<number> {
  if (!whole.known) return whole;
  if (others?.known !== true) return others ?? unknown("how many are not whole is not known", whole.atMs);
  const all = whole.value + others.value;
  return all > 0
    ? known(whole.value / all, { atMs: whole.atMs, method: whole.method, errorMs: Math.max(whole.errorMs, others.errorMs) })
    : unknown("there is none", whole.atMs);
}
