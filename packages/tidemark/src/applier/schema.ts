/** The version of the `tidemark` schema that this code needs. Grows with every change of {@link TIDEMARK_SCHEMA_SQL}. */
export const SCHEMA_VERSION = 1;

/** Raised by `tidemark.move_position`: the row is not where the transaction thought. */
export const POSITION_CONFLICT = "TM001";
/** Raised by `tidemark.remember_keys`: at least one idempotency key was there already. */
export const KEY_TAKEN = "TM002";
/** Raised by `tidemark.move_position`: the newest reign in the database is another one. */
export const OTHER_EPOCH = "TM003";

/** The partition number of a generation's base row: where partitions without a row of their own stand. */
export const BASE_PARTITION = -1;

/**
 * Makes or migrates the schema `tidemark` in the database that the commands change. To be sent as one simple query, which
 * is one transaction. Idempotent, safe to run by several at once. Run as the owner of the database or as a superuser; see {@link bootstrapSql}.
 * docs/write-protocol.md, section 2, says what the tables mean.
 *
 * `move_position` and `remember_keys` raise instead of answering "no row", because the statements behind them are sent
 * before their answer is read: after an error the server refuses everything up to the end of the transaction.
 */
export const TIDEMARK_SCHEMA_SQL = `
SELECT pg_advisory_xact_lock(7523094218311);
CREATE SCHEMA IF NOT EXISTS tidemark;

CREATE TABLE IF NOT EXISTS tidemark.schema_version (
  version int NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS tidemark.position (
  journal uuid NOT NULL,
  generation int NOT NULL,
  partition int NOT NULL,
  sequence bigint NOT NULL CHECK (sequence >= 0),
  moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (journal, generation, partition)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS tidemark.idempotency (
  scope text NOT NULL,
  key text NOT NULL,
  journal uuid NOT NULL,
  sequence bigint NOT NULL,
  content_hash text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (scope, key)
);
CREATE INDEX IF NOT EXISTS idempotency_by_age ON tidemark.idempotency USING brin (applied_at) WITH (autosummarize = on, pages_per_range = 16);

CREATE TABLE IF NOT EXISTS tidemark.dead_letter (
  journal uuid NOT NULL,
  sequence bigint NOT NULL,
  generation int NOT NULL,
  partition int NOT NULL,
  key text NOT NULL,
  origin bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('rejected', 'parked', 'discarded', 'replayed')),
  stops_key boolean NOT NULL,
  command text NOT NULL,
  scope text NOT NULL,
  idempotency_key text NOT NULL,
  sqlstate text,
  constraint_name text,
  reason text NOT NULL,
  decided_by text NOT NULL,
  accepted_at timestamptz NOT NULL,
  payload json NOT NULL, -- json, not jsonb: it keeps what jsonb refuses, such as the escape of U+0000
  settled_as bigint,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (journal, sequence)
);
CREATE INDEX IF NOT EXISTS dead_letter_pending ON tidemark.dead_letter (journal, sequence) WHERE state IN ('rejected', 'parked');

CREATE TABLE IF NOT EXISTS tidemark.barrier (
  journal uuid PRIMARY KEY,
  epoch bigint NOT NULL,
  number bigint NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS tidemark.reign (
  epoch bigint PRIMARY KEY,
  node text NOT NULL,
  timeline bigint NOT NULL,
  fork_lsn pg_lsn NOT NULL,
  began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE OR REPLACE FUNCTION tidemark.expect_epoch(the_epoch bigint) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE newest bigint;
BEGIN
  SELECT max(r.epoch) INTO newest FROM tidemark.reign r;
  IF newest IS DISTINCT FROM the_epoch THEN
    RAISE EXCEPTION 'epoch % was expected, the newest reign here is %', the_epoch, newest USING ERRCODE = '${OTHER_EPOCH}';
  END IF;
END $body$;

CREATE OR REPLACE FUNCTION tidemark.move_position(
  the_journal uuid, the_generation int, the_partition int, old_sequence bigint, new_sequence bigint, is_new boolean, the_epoch bigint
) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM tidemark.expect_epoch(the_epoch);
  IF is_new THEN
    INSERT INTO tidemark.position (journal, generation, partition, sequence)
    VALUES (the_journal, the_generation, the_partition, new_sequence) ON CONFLICT DO NOTHING;
  ELSE
    UPDATE tidemark.position SET sequence = new_sequence, moved_at = clock_timestamp()
    WHERE journal = the_journal AND generation = the_generation AND partition = the_partition AND sequence = old_sequence;
  END IF;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'partition % of journal % is not at %', the_partition, the_journal, old_sequence USING ERRCODE = '${POSITION_CONFLICT}';
  END IF;
END $body$;

CREATE OR REPLACE FUNCTION tidemark.remember_keys(
  the_journal uuid, scopes text[], keys text[], sequences bigint[], hashes text[]
) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE inserted bigint;
BEGIN
  INSERT INTO tidemark.idempotency (scope, key, journal, sequence, content_hash)
  SELECT w.scope, w.key, the_journal, w.sequence, w.hash FROM unnest(scopes, keys, sequences, hashes) AS w (scope, key, sequence, hash)
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS inserted = ROW_COUNT;
  IF inserted <> cardinality(keys) THEN
    RAISE EXCEPTION '% of % idempotency keys were there', cardinality(keys) - inserted, cardinality(keys) USING ERRCODE = '${KEY_TAKEN}';
  END IF;
END $body$;

CREATE OR REPLACE FUNCTION tidemark.write_barrier(the_journal uuid, the_epoch bigint) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM tidemark.expect_epoch(the_epoch);
  INSERT INTO tidemark.barrier AS b (journal, epoch, number) VALUES (the_journal, the_epoch, 1)
  ON CONFLICT (journal) DO UPDATE SET epoch = excluded.epoch, number = b.number + 1, committed_at = clock_timestamp();
END $body$;

INSERT INTO tidemark.schema_version (version)
SELECT ${SCHEMA_VERSION} WHERE NOT EXISTS (SELECT 1 FROM tidemark.schema_version WHERE version >= ${SCHEMA_VERSION});
`;

/**
 * What an agent runs as superuser, connected to the store's database, when it makes it: the schema, owned by the store's
 * user (who must own the database), and the privilege to see how far the copies have flushed (R11).
 */
export function bootstrapSql(user: string): string {
  const role = `"${user.replaceAll('"', '""')}"`;
  return `GRANT pg_read_all_stats TO ${role};\nSET ROLE ${role};\n${TIDEMARK_SCHEMA_SQL}\nRESET ROLE;\n`;
}

/** Records a reign: `$1` epoch, `$2` node, `$3` timeline, `$4` fork LSN. Run by the agent on the new primary before its route opens; idempotent. */
export const RECORD_REIGN_SQL = `INSERT INTO tidemark.reign (epoch, node, timeline, fork_lsn) VALUES ($1, $2, $3, $4) ON CONFLICT (epoch) DO NOTHING`;
