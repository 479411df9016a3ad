import postgres from "postgres";
import type { Positions } from "../faults/fault.ts";
import type { CustomerTotal, DeadLetter, TableRow } from "../verdict/table-row.ts";
import { reasonOf } from "./stack-api.ts";

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** A statement that takes longer is given up: the primary may hang. */
const STATEMENT_MS = 20_000;

/** Runs `work` on a connection of its own to a server, closed afterwards whatever happens. */
export async function onServer<T>(address: ServerAddress, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres({
    ...address,
    max: 1,
    connect_timeout: 3,
    fetch_types: false,
    onnotice: () => undefined,
    connection: { application_name: "tidemark_prove", statement_timeout: STATEMENT_MS },
  });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** Every row, with the commit time that this server keeps for its transaction (track_commit_timestamp). */
export async function readRows(sql: postgres.ISql): Promise<TableRow[]> {
  const rows = await sql<
    { number: string; customer: string; amount_cents: string; id: string; row_id: string; xid: string; committed: number | null }[]
  >`
    SELECT number, customer, amount_cents::text, id::text, row_id::text, xmin::text AS xid,
           extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 * 1000 AS committed
    FROM orders ORDER BY row_id`;
  return rows.map((row) => ({
    order: row.number,
    customer: row.customer,
    amountCents: Number(row.amount_cents),
    frozenId: row.id,
    rowId: Number(row.row_id),
    transaction: row.xid,
    committedAtMs: row.committed ?? 0,
  }));
}

export async function readTotals(sql: postgres.ISql): Promise<CustomerTotal[]> {
  const rows = await sql<
    { name: string; orders: string; total_cents: string }[]
  >`SELECT name, orders::text, total_cents::text FROM customers`;
  return rows.map((row) => ({ customer: row.name, orders: Number(row.orders), totalCents: Number(row.total_cents) }));
}

/** The orders that a server shows now, each with the transaction that inserted it. */
export async function readOrders(sql: postgres.Sql): Promise<Map<string, string>> {
  const rows = await sql<{ number: string; xid: string }[]>`SELECT number, xmin::text AS xid FROM orders`;
  return new Map(rows.map((row) => [row.number, row.xid]));
}

/** The positions of each journal that the database knows, in its newest generation. */
export async function readPositions(sql: postgres.Sql): Promise<Positions[]> {
  const rows = await sql<{ journal: string; partition: number; sequence: string }[]>`
    SELECT journal::text, partition, sequence::text FROM tidemark.position AS p
    WHERE generation = (SELECT max(generation) FROM tidemark.position AS q WHERE q.journal = p.journal)`;
  return [...Map.groupBy(rows, (row) => row.journal)].map(([journal, list]) => ({
    journal,
    base: BigInt(list.find((row) => row.partition < 0)?.sequence ?? 0),
    byPartition: new Map(list.filter((row) => row.partition >= 0).map((row) => [row.partition, BigInt(row.sequence)])),
  }));
}

/** How far `partition` is applied. */
export function positionOf(positions: Positions, partition: number): bigint {
  return positions.byPartition.get(partition) ?? positions.base;
}

/** The pid of the process that serves this connection; its parent is the postmaster. */
export async function backendPid(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
  return row?.pid ?? 0;
}

/** Up to where this primary has flushed its WAL, LSN text. */
export async function flushedLsn(sql: postgres.Sql): Promise<string> {
  const [row] = await sql<{ lsn: string }[]>`SELECT pg_current_wal_flush_lsn()::text AS lsn`;
  return row?.lsn ?? "0/0";
}

export async function serverVersion(sql: postgres.Sql): Promise<string> {
  const [row] = await sql<{ server_version: string }[]>`SHOW server_version`;
  return row?.server_version ?? "unknown";
}

export interface ReignRow {
  readonly epoch: number;
  readonly node: string;
  readonly timeline: number;
  readonly forkLsn: string;
}

/** The reigns that the database knows of, oldest first. */
export async function readReigns(sql: postgres.Sql): Promise<ReignRow[]> {
  const rows = await sql<
    { epoch: string; node: string; timeline: string; fork_lsn: string }[]
  >`SELECT epoch::text, node, timeline::text, fork_lsn::text FROM tidemark.reign ORDER BY epoch`;
  return rows.map((row) => ({ epoch: Number(row.epoch), node: row.node, timeline: Number(row.timeline), forkLsn: row.fork_lsn }));
}

/** The dead letters that the database keeps of a journal. */
export async function readDeadLetters(sql: postgres.Sql, journal: string): Promise<DeadLetter[]> {
  const rows = await sql<{ frozen_id: string; reason: string; constraint_name: string | null; sqlstate: string | null }[]>`
    SELECT payload->>'id' AS frozen_id, reason, constraint_name, sqlstate FROM tidemark.dead_letter WHERE journal = ${journal} AND state = 'rejected'`;
  return rows.map((row) => ({
    frozenId: row.frozen_id,
    reason: reasonOf({
      reason: row.reason,
      ...(row.constraint_name === null ? {} : { constraint: row.constraint_name }),
      ...(row.sqlstate === null ? {} : { sqlstate: row.sqlstate }),
    }),
  }));
}
