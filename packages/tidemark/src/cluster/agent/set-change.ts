// The shell of a change of the synchronous set on a running primary (R1): tell PostgreSQL, verify that it was told, wait
// until every commit before the switch satisfies the set. "Told" is the hard part: docs/failover-protocol.md, R1.
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { MemberStatus } from "../agent-status.ts";
import type { SynchronousSet } from "../cluster-record.ts";
import { CLOSED_SET, kindOf } from "../quorum.ts";
import { drop } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";
import { standbyNames } from "./postgresql-settings.ts";

/** How long one change may take before it is given up and decided anew, milliseconds. The record stays joint meanwhile. */
const CHANGE_TIMEOUT_MS = 5_000;
const LOOK_MS = 4;
const ASK_MS = 2_000;
/** Of WAL: a page, its header, and the header of a segment's first page. */
const PAGE_BYTES = 8_192n;
const SHORT_HEADER_BYTES = 24n;
const LONG_HEADER_BYTES = 40n;

/**
 * Makes PostgreSQL acknowledge by `to` and resolves when that is proven and everything acknowledged before satisfies it.
 * Rejects with TM-CLUSTER-NOT-READY when that does not come about in time, or `signal` aborts: the joint record stands.
 * @param from what was recorded before besides `to`; it says how much has to be proven.
 */
export async function settleSet(
  node: PostgresNode,
  change: { from: readonly SynchronousSet[]; to: SynchronousSet },
  signal: AbortSignal,
): Promise<void> {
  const { to, from } = change;
  const deadline = new Deadline(node, signal);
  if (kindOf(to) === "asynchronous") {
    // Waiters are released by the setting; the record has said since `begin` that this may be.
    await tell(node, to, deadline);
    return;
  }
  // A backend learns from shared memory whether to wait at all; only a commit that waits proves that it is told.
  if (from.some((set) => kindOf(set) === "asynchronous")) await closeProvenly(node, deadline);
  await tell(node, to, deadline);
  const ended = kindOf(to) === "closed" ? new Set<number>() : await reconnectWhereCountChanged(node, from, to);
  const names = new Set(to.members.map((member) => member.identity));
  await deadline.until("every walsender goes by the set", async () => {
    const rows = await replication(node);
    return rows.every((row) => row.state !== "streaming" || (row.syncPriority > 0 === names.has(row.identity) && !ended.has(row.pid)));
  });
  // Nobody acknowledges any more, and the incumbent has what was.
  if (kindOf(to) === "closed") return;
  // Only now: until a walsender has read the set, it releases commits by the one before, and those must be covered too.
  const barrier = await insertPosition(node);
  await deadline.until(`${to.required} of the members have flushed the barrier`, async () => {
    const covered = new Set(
      (await replication(node))
        .filter(
          (row) =>
            names.has(row.identity) &&
            row.syncPriority > 0 &&
            row.flushLsn !== undefined &&
            row.flushLsn !== null &&
            parseLsn(row.flushLsn) >= barrier,
        )
        .map((row) => row.identity),
    );
    return covered.size >= to.required;
  });
}

/** Sets the closed names and sees a commit wait for them. From here on every commit waits. */
async function closeProvenly(node: PostgresNode, deadline: Deadline): Promise<void> {
  await tell(node, CLOSED_SET, deadline);
  const probe = node.database.open({ database: node.world.store.database });
  let pid = 0;
  try {
    const [row] = await probe.unsafe<{ pid: number }[]>("SELECT pg_backend_pid() AS pid");
    pid = row?.pid ?? 0;
    let returned = false;
    // A commit record that is waited for: this message is written to WAL and changes nothing.
    probe
      .unsafe("SELECT pg_logical_emit_message(true, 'tidemark', 'is a commit waited for?')")
      .then(() => (returned = true))
      .catch(() => undefined);
    await deadline.until("a commit waits", async () => {
      const [seen] = await node.database.ask<{ event: string | null }>(
        "SELECT wait_event AS event FROM pg_stat_activity WHERE pid = $1",
        [pid],
        ASK_MS,
      );
      if (seen?.event === "SyncRep") return true;
      if (returned) throw new TidemarkError("TM-CLUSTER-NOT-READY", "a commit returned although the set is closed");
      return false;
    });
  } finally {
    // It would wait until the set opens, which may be never.
    await node.database.ask("SELECT pg_terminate_backend($1)", [pid], ASK_MS).catch(() => undefined);
    drop(probe);
  }
}

/** Writes the setting and waits until a session shows it; that is necessary, and for some changes not enough. */
async function tell(node: PostgresNode, set: SynchronousSet, deadline: Deadline): Promise<void> {
  await node.configureSynchronous(set);
  const wanted = standbyNames(set);
  await deadline.until("the setting is read", async () => {
    const [row] = await node.database.ask<{ names: string }>("SELECT current_setting('synchronous_standby_names') AS names", [], ASK_MS);
    return row?.names === wanted;
  });
}

/**
 * A walsender that has not read its settings yet releases commits by the old count; priorities do not show it. Ended, it
 * comes back with the new ones. Answers which were told to end: one that still streams has not obeyed yet.
 */
async function reconnectWhereCountChanged(
  node: PostgresNode,
  from: readonly SynchronousSet[],
  to: SynchronousSet,
): Promise<ReadonlySet<number>> {
  const changed = from.some((set) => kindOf(set) === "counted" && set.required !== to.required);
  if (!changed) return new Set();
  const rows = await node.database.ask<{ pid: number }>(
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_replication WHERE state = 'streaming'",
    [],
    ASK_MS,
  );
  return new Set(rows.map((row) => row.pid));
}

/** Where the last record that was inserted ends. */
async function insertPosition(node: PostgresNode): Promise<bigint> {
  const [row] = await node.database.ask<{ lsn: string; segment: string }>(
    "SELECT pg_current_wal_insert_lsn()::text AS lsn, (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size') AS segment",
    [],
    ASK_MS,
  );
  return endBeforeHeader(parseLsn(row?.lsn ?? "0/0"), BigInt(row?.segment ?? 0));
}

/**
 * At the beginning of a page PostgreSQL states the insert position behind the page's header, which nobody flushes before a record follows: an
 * idle primary would be waited for in vain. No record ends within a header. Source: XLogBytePosToRecPtr in xlog.c.
 */
export function endBeforeHeader(position: bigint, segmentBytes: bigint): bigint {
  const onPage = position % PAGE_BYTES;
  const header = position % segmentBytes === onPage ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES;
  return onPage === header ? position - header : position;
}

async function replication(node: PostgresNode): Promise<readonly MemberStatus[]> {
  return (await node.database.facts(ASK_MS)).members;
}

class Deadline {
  readonly #node: PostgresNode;
  readonly #signal: AbortSignal;
  readonly #endMs: number;

  constructor(node: PostgresNode, signal: AbortSignal) {
    this.#node = node;
    this.#signal = signal;
    this.#endMs = node.world.clock.monotonicMs() + CHANGE_TIMEOUT_MS;
  }

  async until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    while (!(await isSo())) {
      if (this.#signal.aborted) throw new TidemarkError("TM-CLUSTER-NOT-READY", `the change of the set was given up before ${what}`);
      if (this.#node.world.clock.monotonicMs() > this.#endMs) {
        throw new TidemarkError("TM-CLUSTER-NOT-READY", `waited ${CHANGE_TIMEOUT_MS} ms in vain until ${what}`);
      }
      await sleep(this.#node.world.clock, LOOK_MS);
    }
  }
}
