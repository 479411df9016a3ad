// R3 and R4: the promise made durable, the receiver gone, the sessions gone, all local WAL replayed, and only then the
// position read, stored and answered. Every step can be done again.
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { parseLsn } from "@tidemark/kernel/lsn";
import { signalProcess } from "@tidemark/postgres/process-table";
import type { Vote } from "../failover-state.ts";
import { SUPERUSER } from "../store-secrets.ts";
import type { NodeFacts } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";

/** How long all of it may take, milliseconds; after it the node abstains, and the promise holds all the same. */
export const REVOCATION_TIMEOUT_MS = 10_000;
/** Time between two looks, milliseconds. */
const LOOK_MS = 3;
const ASK_MS = 2_000;

/**
 * What the startup process waits for once it has replayed everything that is there and found nobody to stream from. It
 * enters this wait after a whole round over archive, pg_wal and stream, and reads a changed primary_conninfo when it leaves
 * it, before it could start another receiver.
 */
export const EXHAUSTED = "RecoveryRetrieveRetryInterval";

/** Sessions could hold back replay, and must not read what becomes another reign (R3). Tidemark's own are left. */
const END_SESSIONS_SQL =
  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND usename <> $1";

/**
 * Promises `epoch` and answers the vote. Idempotent. Rejects with TM-CLUSTER-STALE-EPOCH when a higher epoch was promised,
 * TM-CLUSTER-ABSTAINED when the node cannot say how far its WAL reaches.
 * @param knownTimeline the timeline that its receiver last streamed in this run of the server; spares asking for it.
 */
export async function revoke(node: PostgresNode, epoch: Epoch, knownTimeline: Timeline | undefined): Promise<Vote> {
  const { clock, logger } = node.world;
  const promised = node.promised;
  if (promised !== undefined && promised > epoch) {
    throw new TidemarkError("TM-CLUSTER-STALE-EPOCH", `asked to promise epoch ${epoch}, ${promised} is promised already`);
  }
  if (node.file === undefined) throw new TidemarkError("TM-CLUSTER-ABSTAINED", "this node has no data");
  const startedMs = clock.monotonicMs();
  await node.promise(epoch);
  if (node.server.pid === undefined) {
    if (!(await node.isMarkedStandby()))
      throw new TidemarkError("TM-CLUSTER-ABSTAINED", "this node was a primary and has not come back as a standby");
    await node.startStandby(undefined);
  } else if (node.follows !== "nobody") {
    await node.followNobody();
  }
  const facts = await settle(node, startedMs + REVOCATION_TIMEOUT_MS);
  const timeline = knownTimeline ?? (await node.identify()).timeline;
  const vote: Vote = { node: node.world.node.name, identity: node.file.identity, epoch, timeline, end: facts.lsn };
  await node.write({ ...node.file, vote });
  node.world.step?.("voted");
  logger.info({ epoch, end: vote.end, timeline, tookMs: Math.round(clock.monotonicMs() - startedMs) }, "promised and voted");
  return vote;
}

/** Resolves when no receiver is left and replay has reached the end of local WAL. */
async function settle(node: PostgresNode, deadlineMs: number): Promise<NodeFacts> {
  const { clock } = node.world;
  let exhaustedAt: string | undefined;
  let told = false;
  for (let round = 0; ; round++) {
    // Before the look: what is seen afterwards, a startup process that has read its settings again does.
    told ||= await isToldToFollowNobody(node);
    const facts = await node.database.facts(ASK_MS);
    if (!facts.inRecovery) throw new TidemarkError("TM-CLUSTER-ABSTAINED", "this node is a primary: it is fenced, not revoked");
    for (const pid of facts.receivers) signalProcess(pid, "SIGTERM");
    // Again and again: a session that waits for its client or for a lock may need to be told more than once.
    if (round % 10 === 0) await node.database.ask(END_SESSIONS_SQL, [SUPERUSER], ASK_MS);
    if (told && facts.receivers.length === 0 && facts.startupWait === EXHAUSTED) {
      if (facts.receivedLsn !== undefined && parseLsn(facts.lsn) >= parseLsn(facts.receivedLsn)) return facts;
      // Seen twice at the same position: the last whole record; what was received beyond it is a piece of one (R4).
      if (exhaustedAt === facts.lsn) return facts;
      exhaustedAt = facts.lsn;
    } else {
      exhaustedAt = undefined;
    }
    if (clock.monotonicMs() > deadlineMs) {
      throw new TidemarkError("TM-CLUSTER-ABSTAINED", `replay did not reach the end of local WAL within ${REVOCATION_TIMEOUT_MS} ms`, {
        details: { replayed: facts.lsn, received: facts.receivedLsn, waitsFor: facts.startupWait },
      });
    }
    await sleep(clock, LOOK_MS);
  }
}

/** Whether this session, and so the postmaster, has read that there is nobody to follow and nothing to restore. */
export async function isToldToFollowNobody(node: PostgresNode): Promise<boolean> {
  const [row] = await node.database.ask<{ conninfo: string; restore: string }>(
    "SELECT current_setting('primary_conninfo') AS conninfo, current_setting('restore_command') AS restore",
    [],
    ASK_MS,
  );
  return row?.conninfo === "" && row.restore === "";
}
