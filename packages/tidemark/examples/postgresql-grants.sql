-- The least that Tidemark needs on a PostgreSQL that it looks at (15 and newer). Run it once, as a superuser or as the owner of the
-- database that the probe connects to, on the primary; it may run again:
--
--   psql --set=user=tidemark_probe --file=postgresql-grants.sql postgres
--
-- and then give the user a password with \password tidemark_probe.
--
-- Without pg_monitor these are unknown, and shown as such: who streams from the primary and how far it is, synchronous copies, the
-- oldest transaction, WAL in pg_wal and the backlog of the archiver, and on a standby who it streams from.
-- Without the schema below, positions of the log are used instead of the canary: no row is written, and a standby whose primary is away
-- says only when its newest commit was made.

SELECT format('CREATE ROLE %I LOGIN', :'user') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'user') \gexec

GRANT pg_monitor TO :"user";

CREATE SCHEMA IF NOT EXISTS tidemark_canary;
CREATE TABLE IF NOT EXISTS tidemark_canary.beat (
  store text NOT NULL,
  slot integer NOT NULL CHECK (slot >= 0 AND slot < 120),
  sequence bigint NOT NULL,
  written_at timestamptz NOT NULL,
  PRIMARY KEY (store, slot)
) WITH (fillfactor = 50);
COMMENT ON TABLE tidemark_canary.beat IS 'Tidemark writes a row a second here and reads it on every copy, to know what would be lost. Version 1.';

GRANT USAGE ON SCHEMA tidemark_canary TO :"user";
-- Leave out INSERT and UPDATE, and nothing is ever written.
GRANT SELECT, INSERT, UPDATE ON tidemark_canary.beat TO :"user";
