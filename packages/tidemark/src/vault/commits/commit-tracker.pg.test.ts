// The tracker behind a real receiver, against what the server says of its own transactions.
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { silentLogger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { cloneStandby, startPrimary, untilStreaming } from "@tidemark/postgres/testing/cluster-fixture";
import { testMajors } from "@tidemark/postgres/testing/test-majors";
import { describe, expect, it } from "vitest";
import type { RunningVault as Running } from "../testing/running-vault.ts";
import { ask, flushLsn, removePlace, RunningVault, sqlOn, targetOf, vaultPlace } from "../testing/running-vault.ts";
import { WalFolder } from "../wal-folder.ts";
import { CommitTracker } from "./commit-tracker.ts";
import { timeMs } from "./commit-point.ts";

const SETTINGS = { track_commit_timestamp: "on", autovacuum: "off", max_prepared_transactions: "5" };

async function trackerOf(running: Running): Promise<{ tracker: CommitTracker; stop: () => Promise<void> }> {
  await running.streaming();
  const { segmentBytes, systemIdentifier } = running.file;
  const folder = new WalFolder(running.vault.options.directory, segmentBytes ?? 0);
  const frontier = running.vault.frontier;
  const tracker = new CommitTracker({
    frontier,
    folder,
    systemIdentifier: systemIdentifier ?? "",
    clock: systemClock,
    logger: silentLogger,
  });
  const end = new AbortController();
  const run = tracker.run(end.signal);
  return { tracker, stop: async () => (end.abort(), run) };
}

/** Transactions one after the other and at once; the xids of the former, in their order. */
async function runTransactions(server: TestServer, counts: { serial: number; parallel: number }): Promise<number[]> {
  const sql = sqlOn(server, 8);
  try {
    await Promise.all(Array.from({ length: counts.parallel }, () => sql`INSERT INTO line (body) VALUES (repeat('x', 500))`));
    const xids: number[] = [];
    for (let index = 0; index < counts.serial; index++) {
      const [row] = await sql<{ xid: string }[]>`INSERT INTO line (body) VALUES ('serial') RETURNING pg_current_xact_id()::text AS xid`;
      xids.push(Number(row?.xid));
    }
    const one = await sql.reserve();
    await one.unsafe("BEGIN; INSERT INTO line (body) VALUES ('prepared'); PREPARE TRANSACTION 'one'");
    await one.unsafe("COMMIT PREPARED 'one'");
    await one.unsafe("BEGIN; INSERT INTO line (body) VALUES ('never'); ROLLBACK");
    one.release();
    return xids;
  } finally {
    await sql.end();
  }
}

describe.each(testMajors())("the commits of PostgreSQL %i", (major) => {
  it("are counted one by one across a promotion, and their times lead to them", async () => {
    await using primary = await startPrimary({ settings: SETTINGS, major });
    await ask(primary, "CREATE TABLE line (id bigserial, body text)");
    await using standby = await cloneStandby(primary, { settings: SETTINGS });
    await standby.server.start({ awaitReady: "accepting" });
    await untilStreaming(primary, "standby1");
    const directory = await vaultPlace();
    await using vault = await RunningVault.start(directory, targetOf(primary));
    const { tracker, stop } = await trackerOf(vault);
    try {
      const before = await tracker.catchUp(await flushLsn(primary));
      const xids = await runTransactions(primary, { serial: 40, parallel: 200 });
      const after = await tracker.catchUp(await flushLsn(primary));
      expect(after.commits - before.commits).toBe(40 + 200 + 1);
      await expectTimes(primary, tracker, xids);

      await primary.server.stop("fast");
      await ask(standby, "SELECT pg_promote()");
      vault.follow(standby);
      const more = await runTransactions(standby, { serial: 20, parallel: 50 });
      const end = await flushLsn(standby);
      await vault.reached(end, 2);
      const promoted = await tracker.catchUp(end);
      expect(promoted.position.timeline).toBe(2);
      expect(promoted.commits - after.commits).toBe(20 + 50 + 1);
      await expectTimes(standby, tracker, more);
      expect(tracker.faults).toEqual([]);
    } finally {
      await stop();
    }
    // A new one on the same folder, from the index and what follows it, says the same.
    const again = await trackerOf(vault);
    const end = await flushLsn(standby);
    await vault.reached(end, 2);
    const facts = await again.tracker.catchUp(end);
    expect(facts.commits).toBeGreaterThanOrEqual(40 + 200 + 20 + 50 + 2);
    await again.stop();
    await removePlace(directory);
  });
});

/** The time that the server keeps of a transaction leads to its commit, or to a neighbour of the same microsecond. */
async function expectTimes(server: TestServer, tracker: CommitTracker, xids: readonly number[]): Promise<void> {
  const rows = await ask<{ xid: number; us: string }>(
    server,
    `SELECT x AS xid, (extract(epoch FROM pg_xact_commit_timestamp(x::text::xid)) * 1000000)::bigint::text AS us FROM unnest('{${xids.join(",")}}'::int[]) AS x`,
  );
  expect(rows.length).toBe(xids.length);
  let previous = 0n as Lsn;
  for (const { xid, us } of rows) {
    const { through, lastAtOrBefore, exact } = await tracker.timeToLsn(Number(us) / 1000);
    expect({ xid: through?.xid, exact }).toEqual({ xid, exact: true });
    expect(timeMs(through!)).toBe(Number(us) / 1000);
    expect(lastAtOrBefore).toEqual(through);
    expect(through!.lsn > previous).toBe(true);
    previous = through!.lsn;
  }
}
