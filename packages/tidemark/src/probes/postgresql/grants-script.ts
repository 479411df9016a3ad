// The least that Tidemark needs on a PostgreSQL that it looks at, as SQL for whoever may grant it. A test runs the script as it is and
// tries what the role may not do.
import { ENSURE_CANARY_SQL } from "../../canary/canary-table.ts";

export interface GrantsOptions {
  /** Must satisfy {@link isRoleName}. */
  readonly role: string;
  /** Whether the role may write the canary. */
  readonly canary: boolean;
}

/** Names that need no thought in SQL: letters, digits, `_` and `-`, not first a digit, at most 63 bytes. */
export function isRoleName(text: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/.test(text);
}

/** May be run again. Plain SQL, for psql and for any other client; it holds no password. */
export function grantsScript({ role, canary }: GrantsOptions): string {
  const name = `"${role}"`;
  return `-- The least that Tidemark needs to look at this PostgreSQL (15 and newer). Run it on the primary, connected to the database
-- that Tidemark will connect to, as a superuser or as whoever may make roles${canary ? ", make schemas" : ""} and grant pg_monitor. It may be run again.
-- Then give the role a password: \\password ${role}
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '${role}') THEN
    CREATE ROLE ${name} LOGIN;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO ${name}', current_database());
END
$$;

-- Without it these are unknown, and shown as such: replicas and how far they are, open transactions, WAL in pg_wal, the backlog of
-- the archiver, and on a standby whom it streams from.
GRANT pg_monitor TO ${name};
${canary ? canaryGrants(name) : ""}`;
}

function canaryGrants(name: string): string {
  return `
-- The canary: a row a second, read on every copy. Without it positions of the log are used, and nothing is ever written.
${ENSURE_CANARY_SQL.trim()}
GRANT USAGE ON SCHEMA tidemark_canary TO ${name};
GRANT SELECT, INSERT, UPDATE ON tidemark_canary.beat TO ${name};
`;
}
