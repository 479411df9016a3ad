// The canary's own schema. A row says when it was written, by the primary's clock, and its number; a copy that has the row has every commit
// that was acknowledged before that time, because their records come before the row's in the log.

/** Rows per store; the oldest is written over, so that the table stays at a page or two however long it beats. */
export const CANARY_ROWS = 120;
/** Between two rows, milliseconds. */
export const CANARY_PERIOD_MS = 1_000;

/** Makes what is missing; needs CREATE on the database, once. May run twice, and beside itself. */
export const ENSURE_CANARY_SQL = `
CREATE SCHEMA IF NOT EXISTS tidemark_canary;
CREATE TABLE IF NOT EXISTS tidemark_canary.beat (
  store text NOT NULL,
  slot integer NOT NULL CHECK (slot >= 0 AND slot < ${CANARY_ROWS}),
  sequence bigint NOT NULL,
  written_at timestamptz NOT NULL,
  PRIMARY KEY (store, slot)
) WITH (fillfactor = 50);
COMMENT ON TABLE tidemark_canary.beat IS 'Tidemark writes a row a second here and reads it on every copy, to know what would be lost. Version 1.';`;

/**
 * Writes the next row of store $1. Two writers at once do no harm: one of them writes nothing and gets no row. The time is read before the
 * commit, never after it: the row promises no more than it holds. It also says where the primary's log was then, beside the probe's looks.
 */
export const BEAT_SQL = `
WITH next AS (SELECT coalesce(max(sequence), 0) + 1 AS sequence FROM tidemark_canary.beat WHERE store = $1)
INSERT INTO tidemark_canary.beat AS b (store, slot, sequence, written_at)
SELECT $1, (next.sequence % ${CANARY_ROWS})::integer, next.sequence, clock_timestamp() FROM next
ON CONFLICT (store, slot) DO UPDATE SET sequence = excluded.sequence, written_at = excluded.written_at WHERE b.sequence < excluded.sequence
RETURNING sequence::text AS sequence, (extract(epoch FROM written_at) * 1000)::float8 AS "writtenMs",
  pg_current_wal_flush_lsn()::text AS "flushLsn", ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer AS timeline`;
