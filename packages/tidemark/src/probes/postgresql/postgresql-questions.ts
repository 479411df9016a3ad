// What the probe asks. Every question is one statement, so that what it answers is of one moment; times are ages or the server's own clock,
// never compared here with another machine's. Columns that came with a version are asked from that version on.

/** Asked alone: the shorter the round trip, the better the comparison of clocks. It also says which of the questions below can be asked. */
export const CLOCK_SQL = `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "clockMs", pg_is_in_recovery() AS recovering`;

const ms = (time: string): string => `(extract(epoch FROM ${time}) * 1000)::float8`;
const ageMs = (time: string): string => `(extract(epoch FROM clock_timestamp() - ${time}) * 1000)::float8`;

const CANARY = (readable: boolean): string =>
  readable
    ? `(SELECT json_build_object('sequence', b.sequence::text, 'writtenMs', ${ms("b.written_at")})
        FROM tidemark_canary.beat b WHERE b.store = $1 ORDER BY b.sequence DESC LIMIT 1)`
    : // The parameter has to be there in both forms.
      `(SELECT NULL::json WHERE $1::text IS NULL)`;

function slots(major: number): string {
  const since17 =
    major >= 17
      ? `, 'inactiveForMs', ${ageMs("s.inactive_since")}, 'invalidation', s.invalidation_reason, 'failover', s.failover, 'synced', s.synced`
      : "";
  return `(SELECT coalesce(json_agg(json_build_object('name', s.slot_name, 'type', s.slot_type, 'active', s.active, 'temporary', s.temporary,
    'pid', s.active_pid, 'restartLsn', s.restart_lsn::text, 'walStatus', s.wal_status, 'safeBytes', s.safe_wal_size::text${since17})), '[]'::json)
    FROM pg_replication_slots s)`;
}

/** The server's clock when it had the question, before it looked at anything else. */
const CLOCK = `'clockMs', ${ms("statement_timestamp()")}`;

/** Age of the oldest transaction, 0 without one. Sessions of other users are NULL to who may not see them: the probe says so then. */
const OLDEST = `(SELECT coalesce(${ageMs("min(a.xact_start)")}, 0)
    FROM pg_stat_activity a WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid())`;

/** A primary, every turn. A standby refuses it. */
export function primarySql(major: number, canary: boolean): string {
  return `SELECT json_build_object(
  ${CLOCK},
  'flushLsn', pg_current_wal_flush_lsn()::text,
  'insertLsn', pg_current_wal_insert_lsn()::text,
  'timeline', ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer,
  'transactions', pg_snapshot_xmax(pg_current_snapshot())::text,
  'canary', ${CANARY(canary)},
  'standbyNames', current_setting('synchronous_standby_names'),
  'replicas', (SELECT coalesce(json_agg(json_build_object('pid', r.pid, 'name', r.application_name, 'state', r.state, 'syncState', r.sync_state,
      'sentLsn', r.sent_lsn::text, 'writeLsn', r.write_lsn::text, 'flushLsn', r.flush_lsn::text, 'replayLsn', r.replay_lsn::text,
      'repliedMs', ${ageMs("r.reply_time")})), '[]'::json) FROM pg_stat_replication r),
  'slots', ${slots(major)},
  'archiver', (SELECT json_build_object('archived', a.archived_count::text, 'failed', a.failed_count::text, 'lastWal', a.last_archived_wal,
      'lastMs', ${ms("a.last_archived_time")}, 'lastAgeMs', ${ageMs("a.last_archived_time")},
      'lastFailedWal', a.last_failed_wal, 'lastFailedMs', ${ms("a.last_failed_time")}) FROM pg_stat_archiver a),
  'prepared', (SELECT json_build_object('count', count(*), 'oldestMs', ${ageMs("min(p.prepared)")}) FROM pg_prepared_xacts p),
  'oldestTransactionMs', ${OLDEST}
) AS answer`;
}

/** A standby, every turn. A primary refuses it. */
export function standbySql(major: number, canary: boolean): string {
  return `SELECT json_build_object(
  ${CLOCK},
  'receivedLsn', pg_last_wal_receive_lsn()::text,
  'replayedLsn', pg_last_wal_replay_lsn()::text,
  'replayedCommitMs', ${ms("pg_last_xact_replay_timestamp()")},
  'paused', pg_is_wal_replay_paused(),
  'canary', ${CANARY(canary)},
  'receiver', (SELECT json_build_object('status', w.status, 'timeline', w.received_tli, 'heardMs', ${ageMs("w.last_msg_receipt_time")})
      FROM pg_stat_wal_receiver w),
  'checkpointTimeline', (SELECT c.timeline_id FROM pg_control_checkpoint() c),
  'slots', ${slots(major)},
  'oldestTransactionMs', ${OLDEST}
) AS answer`;
}

/** What hardly ever changes: asked seldom. `password`s and the like are not among the names. */
export const SETTINGS_ASKED = [
  "archive_command",
  "archive_library",
  "archive_mode",
  "archive_timeout",
  "autovacuum",
  "checkpoint_timeout",
  "data_checksums",
  "data_sync_retry",
  "full_page_writes",
  "fsync",
  "hot_standby_feedback",
  "idle_replication_slot_timeout",
  "idle_in_transaction_session_timeout",
  "max_prepared_transactions",
  "max_slot_wal_keep_size",
  "max_standby_streaming_delay",
  "max_wal_senders",
  "recovery_min_apply_delay",
  "server_version_num",
  "summarize_wal",
  "sync_replication_slots",
  "synchronized_standby_slots",
  "synchronous_commit",
  "synchronous_standby_names",
  "track_commit_timestamp",
  "transaction_timeout",
  "wal_keep_size",
  "wal_level",
  "wal_log_hints",
  "wal_receiver_status_interval",
  "wal_segment_size",
  "wal_sender_timeout",
  "wal_sync_method",
] as const;

/**
 * Whether `archive_command` is set is asked, its text is not: keys are sometimes written into it. Settings of roles and databases are
 * asked for the one that takes durability away.
 */
export const SETTINGS_SQL = `SELECT json_build_object(
  'settings', (SELECT json_object_agg(s.name, CASE WHEN s.name = 'archive_command' THEN (CASE WHEN s.setting IN ('', '(disabled)') THEN '' ELSE 'set' END)
      ELSE s.setting END) FROM pg_settings s WHERE s.name = ANY (string_to_array($1, ','))),
  'ownSynchronousCommit', (SELECT s.source IN ('database', 'user', 'database user', 'session', 'client') FROM pg_settings s WHERE s.name = 'synchronous_commit'),
  'weakened', (SELECT coalesce(json_agg(json_build_object('role', CASE WHEN d.setrole = 0 THEN NULL ELSE pg_get_userbyid(d.setrole) END,
      'database', (SELECT b.datname FROM pg_database b WHERE b.oid = d.setdatabase), 'value', split_part(c.pair, '=', 2))), '[]'::json)
      FROM pg_db_role_setting d CROSS JOIN LATERAL unnest(d.setconfig) AS c(pair) WHERE c.pair LIKE 'synchronous\\_commit=%'),
  'systemIdentifier', (SELECT c.system_identifier::text FROM pg_control_system() c),
  'user', current_user,
  'seesStatistics', pg_has_role('pg_read_all_stats', 'USAGE'),
  'seesSettings', pg_has_role('pg_read_all_settings', 'USAGE'),
  'listsWal', has_function_privilege('pg_ls_waldir()', 'EXECUTE') AND has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE'),
  'canary', coalesce((SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
      FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'beat' WHERE n.nspname = 'tidemark_canary'), false)
) AS answer`;

/** Asked by who may list these folders only: the right is checked before the first row. */
export const WAL_FOLDER_SQL = `SELECT json_build_object(
  'bytes', (SELECT coalesce(sum(w.size), 0)::text FROM pg_ls_waldir() w),
  'ready', (SELECT count(*) FROM pg_ls_archive_statusdir() a WHERE a.name LIKE '%.ready'
      AND a.name NOT LIKE '%.history.ready' AND a.name NOT LIKE '%.backup.ready')
) AS answer`;

/** Walks the data directory: asked most seldom. */
export const SIZE_SQL = `SELECT sum(CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
  THEN pg_database_size(d.oid) END)::text AS bytes FROM pg_database d`;
