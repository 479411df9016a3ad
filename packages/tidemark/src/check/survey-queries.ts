// What a server is asked. Each text is constant, and yields one row with one JSON column `j`. Columns that differ between
// versions are read with to_jsonb: what a version does not have is absent, and no query has to be written twice.

/** What durability depends on. */
const SETTING_NAMES = [
  "archive_command",
  "archive_library",
  "archive_mode",
  "archive_timeout",
  "data_checksums",
  "data_sync_retry",
  "fsync",
  "full_page_writes",
  "hot_standby_feedback",
  "idle_replication_slot_timeout",
  "max_slot_wal_keep_size",
  "max_wal_size",
  "primary_conninfo",
  "primary_slot_name",
  "recovery_min_apply_delay",
  "sync_replication_slots",
  "synchronous_commit",
  "synchronous_standby_names",
  "track_commit_timestamp",
  "wal_keep_size",
  "wal_level",
  "wal_log_hints",
  "wal_segment_size",
  "wal_writer_delay",
];

/** The position up to which the server would give WAL away. */
const POSITION = `(case when pg_is_in_recovery() then coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) else pg_current_wal_flush_lsn() end)`;

const ms = (interval: string): string => `round(extract(epoch from ${interval}) * 1000)::float8`;

export const IDENTITY = `select json_build_object(
  'versionNumber', current_setting('server_version_num')::int,
  'inRecovery', pg_is_in_recovery(),
  'address', host(inet_server_addr()),
  'pid', pg_backend_pid(),
  'user', current_user,
  'superuser', (select rolsuper from pg_roles where rolname = current_user),
  'monitor', pg_has_role('pg_monitor', 'usage')) as j`;

export const CLUSTER = `select json_build_object(
  'system_identifier', (select system_identifier::text from pg_control_system()),
  'timeline', case when pg_is_in_recovery() then (select timeline_id from pg_control_checkpoint())
    else ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int end,
  'read_only', current_setting('default_transaction_read_only') = 'on',
  'started', pg_postmaster_start_time()::text) as j`;

// Connection strings and commands may hold secrets: they stay on the server.
export const SETTINGS = `select coalesce(json_object_agg(name, json_build_object('unit', unit, 'value', case name
    when 'primary_conninfo' then case when setting ~ 'dbname' then 'names a database' else 'names no database' end
    when 'archive_command' then case when setting ~ '%p' then '(a command with %p)' when length(setting) <= 10 then setting else '(a command without %p)' end
    else setting end)), '{}') as j
  from pg_settings where name in (${SETTING_NAMES.map((name) => `'${name}'`).join(", ")})`;

export const OVERRIDES = `select coalesce(json_agg(o), '[]') as j from (
  select d.datname as database, r.rolname as role, split_part(c.entry, '=', 1) as name, substr(c.entry, strpos(c.entry, '=') + 1) as value
  from pg_db_role_setting s cross join lateral unnest(s.setconfig) as c(entry)
  left join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole
  where split_part(c.entry, '=', 1) = 'synchronous_commit'
  order by 1, 2 limit 50) o`;

export const REPLICAS = `select coalesce(json_agg(o), '[]') as j from (
  select r.pid, r.application_name as name, host(r.client_addr) as address, r.state, r.sync_state,
    r.replay_lsn is null as receiver_only,
    exists (select from pg_replication_slots s where s.active_pid = r.pid and s.slot_type = 'logical') as logical,
    pg_wal_lsn_diff(${POSITION}, r.flush_lsn)::float8 as missing_bytes,
    ${ms("r.flush_lag")} as flush_lag_ms, ${ms("r.replay_lag")} as replay_lag_ms
  from pg_stat_replication r where r.state is distinct from 'backup' order by r.application_name, r.pid limit 200) o`;

export const SLOTS = `select coalesce(json_agg(o), '[]') as j from (
  select to_jsonb(s) as slot, pg_wal_lsn_diff(${POSITION}, s.restart_lsn)::float8 as retained_bytes,
    ${ms("clock_timestamp() - (to_jsonb(s) ->> 'inactive_since')::timestamptz")} as inactive_ms
  from pg_replication_slots s order by s.slot_name limit 200) o`;

export const ARCHIVER = `select json_build_object(
  'archived', archived_count, 'failed', failed_count,
  'last_archived_wal', last_archived_wal, 'last_archived_ago_ms', ${ms("clock_timestamp() - last_archived_time")},
  'last_failed_wal', last_failed_wal, 'last_failed_ago_ms', ${ms("clock_timestamp() - last_failed_time")},
  'position', pg_wal_lsn_diff(${POSITION}, '0/0')::text) as j from pg_stat_archiver`;

export const TRANSACTIONS = `select coalesce(json_agg(o), '[]') as j from (
  select pid, usename as "user", datname as database, coalesce(application_name, '') as application, state,
    ${ms("clock_timestamp() - xact_start")} as age_ms
  from pg_stat_activity where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid()
  order by xact_start limit 20) o`;

export const PREPARED = `select coalesce(json_agg(o), '[]') as j from (
  select gid, owner, database, ${ms("clock_timestamp() - prepared")} as age_ms
  from pg_prepared_xacts order by prepared limit 20) o`;

export const DATABASE = `select json_build_object(
  'name', current_database(),
  'unlogged', (select count(*) from pg_class where relpersistence = 'u' and relkind in ('r', 'p', 'm')),
  'examples', (select coalesce(json_agg(n), '[]') from (select relnamespace::regnamespace::text || '.' || relname as n from pg_class
     where relpersistence = 'u' and relkind in ('r', 'p', 'm') order by relpages desc, relname limit 3) e),
  'sequences', (select count(*) from pg_class where relkind = 'S'),
  'publications', (select count(*) from pg_publication),
  'others', (select count(*) from pg_database where datallowconn and not datistemplate and datname <> current_database())) as j`;

export const WAL_DIRECTORY = `select json_build_object('files', count(*), 'bytes', coalesce(sum(size), 0)::float8) as j from pg_ls_waldir()`;

export const RECOVERY = `select json_build_object(
  'replay_paused', pg_is_wal_replay_paused(),
  'receiver', (select status from pg_stat_wal_receiver limit 1),
  'receivers', (select count(pid) from pg_stat_wal_receiver),
  'unreplayed_bytes', pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8) as j`;

export const SAMPLE = `select json_build_object(
  'clock_ms', (extract(epoch from clock_timestamp()) * 1000)::float8,
  'position', pg_wal_lsn_diff(${POSITION}, '0/0')::text,
  'commits', (select sum(xact_commit)::float8 from pg_stat_database),
  'replicas', (select coalesce(json_agg(json_build_object('pid', pid, 'flushed', pg_wal_lsn_diff(flush_lsn, '0/0')::text)), '[]')
     from pg_stat_replication where state is distinct from 'backup')) as j`;
