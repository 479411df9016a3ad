// A survey of a healthy primary with one synchronous standby on another machine, for tests that change one thing in it.
import type { ReplicaSeen, ServerSurvey, SlotSeen } from "../server-survey.ts";

export const STANDBY: ReplicaSeen = {
  pid: 100,
  name: "standby1",
  address: "10.0.0.2",
  state: "streaming",
  syncState: "sync",
  receiverOnly: false,
  logical: false,
  missingBytes: 0,
  flushLagMs: null,
  replayLagMs: null,
};

export const SLOT: SlotSeen = {
  name: "standby1",
  type: "physical",
  plugin: null,
  database: null,
  active: true,
  temporary: false,
  walStatus: "reserved",
  retainedBytes: 0,
  safeBytes: 1e9,
  inactiveForMs: null,
  invalidationReason: null,
  failover: null,
  synced: false,
};

const SETTINGS: Readonly<Record<string, string>> = {
  archive_command: "(a command with %p)",
  archive_library: "",
  archive_mode: "on",
  archive_timeout: "60",
  data_checksums: "on",
  data_sync_retry: "off",
  fsync: "on",
  full_page_writes: "on",
  hot_standby_feedback: "on",
  idle_replication_slot_timeout: "0",
  max_slot_wal_keep_size: "4096",
  max_wal_size: "1024",
  primary_conninfo: "names a database",
  primary_slot_name: "standby1",
  recovery_min_apply_delay: "0",
  sync_replication_slots: "off",
  synchronous_commit: "on",
  synchronous_standby_names: "FIRST 1 (standby1)",
  track_commit_timestamp: "on",
  wal_keep_size: "0",
  wal_level: "replica",
  wal_segment_size: "16777216",
  wal_writer_delay: "200",
};

/** Settings as of the healthy server, but for these. */
export function settings(changed: Readonly<Record<string, string>> = {}): { readonly settings: ServerSurvey["settings"] } {
  const entries = Object.entries({ ...SETTINGS, ...changed }).map(([name, value]) => [name, { value, unit: null }] as const);
  return { settings: { known: true, value: Object.fromEntries(entries) } };
}

export function known<T>(value: T): { readonly known: true; readonly value: T } {
  return { known: true, value };
}

export const HEALTHY: ServerSurvey = {
  target: "db1:5432/shop as monitor",
  atMs: Date.parse("2026-11-20T12:00:00Z"),
  tookMs: 3_000,
  server: { versionNumber: 180_004, major: 18, inRecovery: false, address: "10.0.0.1", pooled: false },
  self: { user: "monitor", superuser: false, monitor: true },
  cluster: known({ systemIdentifier: "7000000000000000001", timeline: 1, readOnly: false, started: "2026-11-01 00:00:00+00" }),
  ...settings(),
  overrides: known([]),
  replicas: known([STANDBY]),
  slots: known([SLOT]),
  archiver: known({
    archived: 10,
    failed: 0,
    lastArchivedWal: "000000010000000000000009",
    lastArchivedAgoMs: 20_000,
    lastFailedWal: null,
    lastFailedAgoMs: null,
    missingBytes: 1_000,
  }),
  transactions: known([]),
  prepared: known([]),
  database: known({ name: "shop", unloggedTables: 0, unloggedExamples: [], sequences: 3, publications: 0, others: 1 }),
  walDirectory: known({ files: 8, bytes: 8 * 16 * 1024 * 1024 }),
  clock: known({ offsetMs: 3, errorMs: 1 }),
  watch: known({
    forMs: 3_000,
    walBytesPerSecond: 1_000,
    commitsPerSecond: 5,
    replicas: [{ pid: 100, lag: { kind: "known", ms: 0, errorMs: 1 } }],
  }),
};

/** The same cluster's standby. */
export const HEALTHY_STANDBY: ServerSurvey = {
  ...HEALTHY,
  server: { ...HEALTHY.server, inRecovery: true, address: "10.0.0.2" },
  ...settings({ synchronous_standby_names: "", archive_mode: "off" }),
  replicas: known([]),
  slots: known([]),
  recovery: known({ replayPaused: false, receiver: "streaming", unreplayedBytes: 0 }),
};
