// What the tests of a check do to a real server, and how they look at it.
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { sleep, type Clock } from "@tidemark/kernel/clock";
import { INVALID_LSN, parseLsn } from "@tidemark/kernel/lsn";
import { ReplicationConnection } from "@tidemark/postgres/connection";
import { query } from "@tidemark/postgres/protocol/frontend-messages";
import { encodeStandbyStatus } from "@tidemark/postgres/protocol/wal-stream";
import { replicationLogin, type ConnectionDetails } from "@tidemark/postgres/testing/cluster-fixture";
import postgres from "postgres";
import { reportOf, type CheckReport } from "../check-report.ts";
import { readTarget } from "../connection-target.ts";
import { THRESHOLDS, type Thresholds } from "../finding.ts";
import { surveyServer } from "../survey.ts";

/** Enough for two readings of positions: tests that do not look at lag need no more. */
const SHORT_WATCH_MS = 250;
const LONGEST_WAIT_MS = 30_000;

/** The URL that a person would give. */
export function urlOf(connection: ConnectionDetails): string {
  const { user, password, host, port, database } = connection;
  return `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}?sslmode=disable`;
}

export interface LookOptions {
  readonly thresholds?: Partial<Thresholds>;
  readonly clock?: Clock;
  readonly watchMs?: number;
}

/** What a check says of a server. */
export async function look(connection: ConnectionDetails, options: LookOptions = {}): Promise<CheckReport> {
  const survey = await surveyServer(readTarget(urlOf(connection), {}), options.clock ?? systemClock, options.watchMs ?? SHORT_WATCH_MS);
  return reportOf(survey, { ...THRESHOLDS, ...options.thresholds });
}

/** The names of what a check finds. */
export async function findings(connection: ConnectionDetails, options?: LookOptions): Promise<string[]> {
  return (await look(connection, options)).findings.map(({ name }) => name);
}

/** A session of the test's own, whose commits wait for no replica. */
export function session(connection: ConnectionDetails): postgres.Sql {
  return postgres({ ...connection, max: 1, fetch_types: false, onnotice: () => undefined, connection: { synchronous_commit: "local" } });
}

/** Resolves when the condition holds. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + LONGEST_WAIT_MS;
  while (!(await holds())) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`still not: ${what}`);
    await sleep(systemClock, 20);
  }
}

/** Changes settings that need no restart, and resolves when they are in force; null: back to what they were. */
export async function change(sql: postgres.Sql, settings: Readonly<Record<string, string | null>>): Promise<void> {
  for (const [name, value] of Object.entries(settings))
    await sql.unsafe(value === null ? `alter system reset ${name}` : `alter system set ${name} = '${value.replaceAll("'", "''")}'`);
  // A session takes new settings up between two statements, once the postmaster's signal has come to it.
  const generation = async (): Promise<string> => (await sql.unsafe("select pg_conf_load_time()::text as t"))[0]?.["t"] as string;
  const before = await generation();
  await sql.unsafe("select pg_reload_conf()");
  await until("the settings were loaded", async () => (await generation()) !== before);
}

/** A client that streams WAL, keeps none, and says that it has flushed everything up to where the server stood; it never replays. */
export async function startReceiver(connection: ConnectionDetails, name: string): Promise<Disposable> {
  const receiver = await ReplicationConnection.open({ ...replicationLogin(connection), applicationName: name });
  const [system] = await receiver.command("IDENTIFY_SYSTEM");
  const position = system?.rows[0]?.[2]?.toString("utf8") ?? "";
  receiver.send(Buffer.concat([query(`START_REPLICATION PHYSICAL ${position}`), status(position)]));
  return { [Symbol.dispose]: () => receiver.destroy() };
}

function status(position: string): Buffer {
  const lsn = parseLsn(position);
  return encodeStandbyStatus({ write: lsn, flush: lsn, apply: INVALID_LSN, wallMs: systemClock.wallMs(), replyRequested: false });
}
