import { expect, test } from "vitest";
import { measured, never } from "../exposure/testing/sample-facts.ts";
import { metricFigures } from "./probe-figures.ts";
import { figureSamples } from "./metric-samples.ts";

test("figures of probes become the metrics that they mean, with the consumer or repository that they are of", () => {
  const samples = figureSamples(
    { store: "db", target: "t" },
    metricFigures({
      postgresql_archive_backlog_bytes: measured(16),
      postgresql_archive_failures_total: measured(2),
      journal_backlog_records: measured(5),
      pgbackrest_repo2_backups: measured(3),
      pgbackrest_repo2_backups_spoiled: measured(1),
      postgresql_slots: measured(9),
      inventory_sound_objects: measured(9),
      inventory_damaged_objects: measured(1),
      tidemark_consumer_lag_seconds: measured(12),
      tidemark_exposure_seconds: measured(0),
    }),
  );
  expect(samples.map(({ name, labels, value }) => [name, labels["consumer"] ?? labels["repository"], value])).toEqual([
    ["tidemark_wal_backlog_bytes", "archiver", 16],
    ["tidemark_replication_failures_total", "archiver", 2],
    ["tidemark_consumer_lag_messages", "applier", 5],
    ["tidemark_backup_success_ratio", "repo2", 0.75],
    ["tidemark_consumer_lag_seconds", "", 12],
    ["tidemark_verification_success_ratio", undefined, 0.9],
  ]);
});

test("a figure that is not known makes no sample, and of no backups there is no share", () => {
  const figures = metricFigures({
    postgresql_archive_backlog_bytes: never,
    pgbackrest_repo1_backups: measured(0),
    pgbackrest_repo1_backups_spoiled: measured(0),
    barman_backups: measured(2),
    barman_backups_not_done: never,
  });
  expect(Object.values(figures).map((figure) => figure.known)).toEqual([false, false, false]);
  expect(figureSamples({ store: "db", target: "t" }, figures)).toEqual([]);
});
