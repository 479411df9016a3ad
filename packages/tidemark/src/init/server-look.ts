// One question to one PostgreSQL, read-only: which cluster it is, and by what it archives. The text of archive_command stays on the
// server, for keys are sometimes written into it; only what is looked for in it comes here.
import type { Clock } from "@tidemark/kernel/clock";
import { KeptConnection } from "../probes/postgresql/kept-connection.ts";
import type { PostgresqlTarget } from "../probes/postgresql/postgresql-target.ts";

/** A server that does not answer within this is taken for silent, milliseconds. */
const LOOK_MS = 3_000;

const SETTING = "(SELECT s.setting FROM pg_settings s WHERE s.name = 'archive_command')";

const LOOK_SQL = `SELECT json_build_object(
  'recovering', pg_is_in_recovery(),
  'systemIdentifier', (SELECT c.system_identifier::text FROM pg_control_system() c),
  'clusterName', current_setting('cluster_name'),
  'archiving', CASE WHEN current_setting('archive_mode') = 'off' THEN 'off'
    WHEN coalesce(current_setting('archive_library', true), '') <> '' THEN 'other'
    ELSE (SELECT CASE WHEN c IS NULL THEN 'hidden' WHEN c IN ('', '(disabled)') THEN 'off' WHEN c ~ 'pgbackrest' THEN 'pgbackrest'
      WHEN c ~ 'barman' THEN 'barman' WHEN c ~ 'tidemark' THEN 'tidemark' ELSE 'other' END FROM (SELECT ${SETTING} AS c) a) END,
  'stanza', substring(${SETTING} FROM 'pgbackrest.*--stanza[= ]([A-Za-z0-9_.-]+)'),
  'barmanServer', substring(${SETTING} FROM 'barman-wal-archive.*[[:space:]]([A-Za-z0-9_.-]+)[[:space:]]+"?%p')
) AS answer`;

export interface ServerLook {
  readonly recovering: boolean;
  readonly systemIdentifier: string;
  /** Empty: none is set. */
  readonly clusterName: string;
  /** `hidden`: this login may not see it. */
  readonly archiving: "off" | "pgbackrest" | "barman" | "tidemark" | "other" | "hidden";
  /** Of pgBackRest, where archive_command names it. */
  readonly stanza: string | null;
  /** Of Barman, where archive_command names it. */
  readonly barmanServer: string | null;
}

/** Rejects with a ProbeFault, whose message holds no secret. */
export async function lookAtServer(target: PostgresqlTarget, clock: Clock): Promise<ServerLook> {
  const connection = new KeptConnection(target, { applicationName: "tidemark-init", readOnly: true, statementTimeoutMs: LOOK_MS });
  const limit = new AbortController();
  const timer = clock.setTimer(LOOK_MS, () => limit.abort());
  try {
    const [row] = await connection.ask<{ answer: ServerLook }>(LOOK_SQL, [], limit.signal);
    return (row as { answer: ServerLook }).answer;
  } finally {
    timer.clear();
    connection.close();
  }
}
