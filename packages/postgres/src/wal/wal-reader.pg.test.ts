// The reader against the servers themselves: pg_walinspect decodes the same WAL with the server's own reader, on every major
// version; pg_waldump does where it is present.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import type { Lsn } from "@tidemark/kernel/lsn";
import postgres from "postgres";
import { describe, expect, it } from "vitest";
import type { TestServer } from "../testing/cluster-fixture.ts";
import { startPrimary } from "../testing/cluster-fixture.ts";
import { testMajors } from "../testing/test-majors.ts";
import { findLastWholeRecord } from "./last-whole-record.ts";
import { DEFAULT_SEGMENT_BYTES, parseSegmentName, segmentName, segmentStart } from "./segment-name.ts";
import { runVariedLoad, VARIED_LOAD_SETTINGS } from "./testing/varied-load.ts";
import { TransactionRecord } from "./transaction-record.ts";
import { WAL_PAGE_BYTES } from "./wal-page.ts";
import { WalReader } from "./wal-reader.ts";

const MANAGERS = ["XLOG", "Transaction", "Storage", "CLOG", "Database", "Tablespace", "MultiXact", "RelMap", "Standby", "Heap2", "Heap", "Btree", "Hash", "Gin", "Gist", "Sequence", "SPGist", "BRIN", "CommitTs", "ReplicationOrigin", "Generic", "LogicalMessage"]; // prettier-ignore
const WALDUMP = process.env["TIDEMARK_PG_WALDUMP"] ?? "/usr/lib/postgresql/15/bin/pg_waldump";

interface Row {
  readonly lsn: string;
  readonly end: string;
  readonly manager: string;
  readonly xid: number;
  readonly length: number;
}

interface Ended {
  readonly lsn: string;
  readonly outcome: string;
  readonly xid: number;
  readonly timeUs: number;
}

function walOf(primary: TestServer): string {
  return join(primary.server.options.dataDir, "pg_wal");
}

/** Everything in pg_wal, read in pieces that fit nothing. */
function readAll(folder: string) {
  const names = readdirSync(folder)
    .filter((name) => parseSegmentName(name, DEFAULT_SEGMENT_BYTES) !== undefined)
    .sort();
  const rows: Row[] = [];
  const ended: Ended[] = [];
  const transaction = new TransactionRecord();
  const { start, timeline } = parseSegmentName(names[0] ?? "", DEFAULT_SEGMENT_BYTES)!;
  const reader = new WalReader({ segmentBytes: DEFAULT_SEGMENT_BYTES, start, atRecord: false, checkCrc: true, timeline }, (record) => {
    const lsn = formatLsn(record.lsn);
    rows.push({ lsn, end: formatLsn(record.end), manager: MANAGERS[record.rmid] ?? "?", xid: record.xid, length: record.totalLength });
    if (transaction.read(record)) ended.push({ lsn, outcome: transaction.outcome, xid: transaction.xid, timeUs: transaction.timeUs });
  });
  for (const name of names) {
    const bytes = readFileSync(join(folder, name));
    for (let at = 0; at < bytes.length && reader.stop === undefined; at += 77_777)
      reader.push(bytes, at, Math.min(at + 77_777, bytes.length));
  }
  return { rows, ended, reader };
}

/** `COMMIT_PREPARED 745: 2026-11-20 16:43:08.010586 UTC; …` and the like. */
function endedOf(lsn: string, kind: string, description: string): Ended {
  const match = /^(?:(\d+): )?(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?(?: UTC|\+00)/.exec(description);
  if (match === null) throw new Error(`${lsn}: ${kind} ${description}`);
  const timeUs = Date.parse(`${match[2]}T${match[3]}Z`) * 1000 + Number((match[4] ?? "").padEnd(6, "0"));
  return { lsn, outcome: kind.toLowerCase().replace("_", "-"), xid: Number(match[1] ?? 0), timeUs };
}

const KINDS = new Set(["COMMIT", "ABORT", "COMMIT_PREPARED", "ABORT_PREPARED"]);

function expectSame(found: readonly Row[], truth: readonly Row[]): void {
  expect(found.length).toBe(truth.length);
  const other = found.findIndex((row, index) => JSON.stringify(row) !== JSON.stringify(truth[index]));
  // Comparing hundreds of thousands of rows as one value takes minutes when they differ.
  expect(found[other]).toEqual(truth[other]);
}

describe.each(testMajors())("WAL of PostgreSQL %i", (major) => {
  it("is read as the server's own reader reads it, record for record, with the time and the xid of every commit", async () => {
    await using primary = await startPrimary({ settings: VARIED_LOAD_SETTINGS, major });
    const sql = postgres({ ...primary.connection, max: 8, fetch_types: false, onnotice: () => undefined });
    const load = await runVariedLoad(sql);
    await sql`CREATE EXTENSION pg_walinspect`;
    // Autovacuum and checkpoints write behind the reader's back: a switch, and what is before it stays.
    const [mark] = await sql<{ lsn: string }[]>`SELECT pg_switch_wal()::text AS lsn`;
    await sql`CHECKPOINT`;
    const { rows, ended } = readAll(walOf(primary));
    const until = parseLsn(mark!.lsn);
    const own = rows.filter(({ end }) => parseLsn(end) <= until);
    const truth: Row[] = [];
    const truthEnded: Ended[] = [];
    const records = sql<{ lsn: string; end: string; xid: string; manager: string; kind: string; length: number; description: string }[]>`
      SELECT start_lsn::text AS lsn, end_lsn::text AS end, xid::text AS xid, resource_manager AS manager, record_type AS kind,
        record_length AS length, CASE WHEN resource_manager = 'Transaction' THEN description ELSE '' END AS description
      FROM pg_get_wal_records_info(${own[0]!.lsn}::pg_lsn, ${mark!.lsn}::pg_lsn)`;
    for (const { lsn, end, xid, manager, kind, length, description } of await records) {
      truth.push({ lsn, end, manager, xid: Number(xid), length });
      if (manager !== "Transaction" || !KINDS.has(kind)) continue;
      const transaction = endedOf(lsn, kind, description);
      truthEnded.push({ ...transaction, xid: transaction.xid === 0 ? Number(xid) : transaction.xid });
    }
    expectSame(own, truth);
    expect(ended.filter(({ lsn }) => parseLsn(lsn) < until)).toEqual(truthEnded);
    expect(truth.length).toBeGreaterThan(10_000);
    const commits = new Map(ended.filter(({ outcome }) => outcome.startsWith("commit")).map(({ xid, timeUs }) => [xid, timeUs]));
    expect(load.committed.filter((xid) => !commits.has(xid))).toEqual([]);
    expect(load.aborted.filter((xid) => commits.has(xid))).toEqual([]);
    const times = await sql<{ xid: number; us: string }[]>`
      SELECT x::int AS xid, (extract(epoch FROM pg_xact_commit_timestamp(x::xid)) * 1000000)::bigint::text AS us
      FROM string_to_table(${[...commits.keys()].filter((xid) => xid !== 0).join(",")}, ',') AS x`;
    const dated = times.filter(({ us }) => us !== null);
    expect(dated.length).toBeGreaterThan(400);
    // The time that pg_xact_commit_timestamp gives for a commit from elsewhere is the other server's; recovery goes by the record's.
    expect(dated.filter(({ xid, us }) => commits.get(xid) !== Number(us)).map(({ xid }) => xid)).toEqual([load.fromElsewhere]);
    await sql.end();
  });

  it("ends where the server says that its WAL ends, also behind a record that a crash cut off", async () => {
    await using primary = await startPrimary({ settings: { ...VARIED_LOAD_SETTINGS, autovacuum: "off" }, major });
    const folder = walOf(primary);
    const sql = postgres({ ...primary.connection, max: 1, fetch_types: false, onnotice: () => undefined });
    await sql`CREATE EXTENSION pg_walinspect`;
    await sql`CHECKPOINT`;
    const [message] = await sql<{ end: string }[]>`SELECT pg_logical_emit_message(true, 'test', repeat('m', 300000))::text AS end`;
    await sql.end({ timeout: 0 });
    await primary.server.kill();
    const end = parseLsn(message!.end);
    const lost = readAll(folder).rows.findLast(({ manager }) => manager === "LogicalMessage")!;
    expect(parseLsn(lost.end) === end).toBe(true);
    expect(tail(folder, end).end >= end).toBe(true);
    cutOff(folder, (parseLsn(lost.lsn) + 100_000n) as Lsn);
    const cut = tail(folder, parseLsn(lost.lsn));
    expect(cut).toMatchObject({ end: parseLsn(lost.lsn), tail: { follows: "torn-record" } });

    await primary.server.start({ awaitReady: "accepting" });
    const again = postgres({ ...primary.connection, max: 1, fetch_types: false });
    await again`SELECT pg_logical_emit_message(true, 'test', 'more')`;
    const [now] = await again<{ flushed: string }[]>`SELECT pg_current_wal_flush_lsn()::text AS flushed`;
    await again.end();
    await primary.server.stop("fast");
    const { rows, reader } = readAll(folder);
    // The last record is the checkpoint of the shutdown, and the control file says where that begins.
    const control = readFileSync(join(primary.server.options.dataDir, "global", "pg_control"));
    expect(reader.previous).toBe(control.readBigUInt64LE(32));
    expect(reader.boundary! > parseLsn(now!.flushed)).toBe(true);
    expect(rows.some(({ lsn }) => lsn === lost.lsn)).toBe(false);
    expect(tail(folder, reader.boundary!)).toMatchObject({ end: reader.boundary, tail: { follows: "zeros" } });
  });
});

/** Zeros from the beginning of the page that holds `lsn`, as if nothing behind it had reached the disk. */
function cutOff(folder: string, lsn: Lsn): void {
  for (const name of readdirSync(folder)) {
    const place = parseSegmentName(name, DEFAULT_SEGMENT_BYTES);
    if (place === undefined || place.start + BigInt(DEFAULT_SEGMENT_BYTES) <= lsn) continue;
    const path = join(folder, name);
    if (place.start > lsn) rmSync(path);
    else {
      const from = Number(lsn - place.start);
      writeFileSync(path, readFileSync(path).fill(0, from - (from % WAL_PAGE_BYTES)));
    }
  }
}

function tail(folder: string, lsn: Lsn) {
  return findLastWholeRecord({
    segment: segmentStart(lsn, DEFAULT_SEGMENT_BYTES),
    segmentBytes: DEFAULT_SEGMENT_BYTES,
    path: (segment) => {
      const path = join(folder, segmentName({ timeline: 1 as never, lsn: segment }, DEFAULT_SEGMENT_BYTES));
      return existsSync(path) ? path : undefined;
    },
  });
}

const noWaldump = !existsSync(WALDUMP) && process.env["TIDEMARK_REQUIRE_PEERS"] !== "1";

it.skipIf(noWaldump)("reads what pg_waldump reads, record for record, from the first segment that initdb made", async () => {
  await using primary = await startPrimary({ settings: VARIED_LOAD_SETTINGS, major: 15 });
  const sql = postgres({ ...primary.connection, max: 8, fetch_types: false, onnotice: () => undefined });
  await runVariedLoad(sql);
  await sql.end();
  await primary.server.stop("fast");
  const { rows, ended, reader } = readAll(walOf(primary));
  const lines = createInterface({
    input: spawn(WALDUMP, ["-p", walOf(primary), "-s", rows[0]!.lsn], {
      env: { ...process.env, TZ: "UTC" },
      stdio: ["ignore", "pipe", "ignore"],
    }).stdout,
  });
  const truth: Omit<Row, "end">[] = [];
  const truthEnded: Ended[] = [];
  for await (const line of lines) {
    const match = /^rmgr: (\S+)\s+len \(rec\/tot\):\s*\d+\/\s*(\d+), tx:\s*(\d+), lsn: ([0-9A-F/]+), prev \S+, desc: (\S+) ?(.*)$/.exec(
      line,
    );
    if (match === null) throw new Error(line);
    const [, manager = "", length = "", xid = "", padded = "", kind = "", description = ""] = match;
    const lsn = formatLsn(parseLsn(padded));
    truth.push({ lsn, manager, xid: Number(xid), length: Number(length) });
    if (manager !== "Transaction" || !KINDS.has(kind)) continue;
    const transaction = endedOf(lsn, kind, description);
    truthEnded.push({ ...transaction, xid: transaction.xid === 0 ? Number(xid) : transaction.xid });
  }
  expectSame(rows.map(({ lsn, manager, xid, length }) => ({ lsn, manager, xid, length })) as Row[], truth as Row[]);
  expect(ended).toEqual(truthEnded);
  expect(reader.stop?.reason).toBe("zero");
});
