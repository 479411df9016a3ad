// R2: what the candidate does. It records itself before it promotes, so that the record, and nothing else, says who reigns;
// whatever comes late finds another epoch there. Interrupted after the record, it is finished by `finish`.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import { parseTimelineHistory } from "@tidemark/postgres/timeline-history";
import { RECORD_REIGN_SQL } from "../../applier/schema.ts";
import type { ClusterRecord, Reign } from "../cluster-record.ts";
import { REIGNS_KEPT, recordKey } from "../cluster-record.ts";
import type { LeaseEntry, LeaseStore } from "../lease-store.ts";
import { CLOSED_SET } from "../quorum.ts";
import { drop } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";
import { standbyNames } from "./postgresql-settings.ts";

export interface PromoteOrder {
  readonly epoch: Epoch;
  /** Must have been replayed, LSN text. */
  readonly target: string;
  readonly incumbent: boolean;
}

const ASK_MS = 2_000;
/** The placeholder's text: a history without ancestors. */
export const RESERVED_HISTORY = "# reserved by Tidemark; this node was never on it\n";
/** How long the reign's row may take, milliseconds. */
const REIGN_TIMEOUT_MS = 5_000;

/**
 * Writes the candidate into the record. Resolves with the entry as it stands. Idempotent for one epoch. Rejects with
 * TM-CLUSTER-STALE-EPOCH when the claim is another one, TM-CLUSTER-BEHIND, TM-CLUSTER-NOT-READY, or the lease store's errors.
 */
export async function recordReign(node: PostgresNode, store: LeaseStore, order: PromoteOrder): Promise<LeaseEntry> {
  const { name } = node.world.node;
  const key = recordKey(node.world.storeName);
  const promised = node.promised;
  if (promised !== undefined && promised > order.epoch) {
    throw new TidemarkError("TM-CLUSTER-STALE-EPOCH", `asked to reign in epoch ${order.epoch}, ${promised} is promised`);
  }
  const entry = await store.read(key);
  const record = entry?.value as ClusterRecord | undefined;
  if (entry === undefined || record === undefined) throw new TidemarkError("TM-CLUSTER-NOT-READY", "there is no record to reign by");
  if (record.epoch === order.epoch && record.primary === name && record.claim === undefined) return entry;
  if (record.claim?.epoch !== order.epoch) {
    throw new TidemarkError(
      "TM-CLUSTER-STALE-EPOCH",
      `asked to reign in epoch ${order.epoch}; the record is at ${record.epoch}, its claim at ${record.claim?.epoch ?? "none"}`,
    );
  }
  const next = order.incumbent ? reelected(node, record, order.epoch) : await successor(node, record, order);
  return store.compareAndSet(key, entry.revision, next);
}

/** R8: the incumbent goes on with its timeline and its sets. */
function reelected(node: PostgresNode, record: ClusterRecord, epoch: Epoch): ClusterRecord {
  if (record.primary !== node.world.node.name)
    throw new TidemarkError("TM-CLUSTER-STALE-EPOCH", `${record.primary} is the incumbent, not this node`);
  const { claim: _ended, loss: _former, ...kept } = record;
  return { ...kept, epoch, beganAtMs: node.world.clock.wallMs(), reigns: withFormer(record) };
}

async function successor(node: PostgresNode, record: ClusterRecord, order: PromoteOrder): Promise<ClusterRecord> {
  if (node.promised !== order.epoch) throw new TidemarkError("TM-CLUSTER-NOT-READY", `epoch ${order.epoch} was not promised here`);
  if (node.follows !== "nobody") throw new TidemarkError("TM-CLUSTER-NOT-READY", "this node follows somebody");
  const facts = await node.database.facts(ASK_MS);
  if (!facts.inRecovery) throw new TidemarkError("TM-CLUSTER-NOT-READY", "this node is no standby");
  if (parseLsn(facts.lsn) < parseLsn(order.target)) {
    throw new TidemarkError("TM-CLUSTER-BEHIND", `has replayed ${facts.lsn}, ${order.target} was voted`);
  }
  // In force since this server started; nothing is acknowledged from the first moment of the reign on.
  const sql = "SELECT current_setting('synchronous_standby_names') AS names, current_setting('restore_command') AS restore";
  const [setting] = await node.database.ask<{ names: string; restore: string }>(sql, [], ASK_MS);
  // More WAL would move the end away from the fork that is recorded.
  if (setting?.restore !== "") throw new TidemarkError("TM-CLUSTER-NOT-READY", "restore_command is set");
  if (setting.names !== standbyNames(CLOSED_SET))
    throw new TidemarkError("TM-CLUSTER-NOT-READY", "synchronous_standby_names is not closed");
  const from = facts.timeline > 0 ? facts.timeline : (await node.identify()).timeline;
  const { claim, loss: _former, ...kept } = record;
  return {
    ...kept,
    epoch: order.epoch,
    primary: node.world.node.name,
    timeline: record.nextTimeline as Timeline,
    forkLsn: facts.lsn,
    forkedFrom: from,
    sets: [CLOSED_SET],
    nextTimeline: record.nextTimeline + 1,
    reigns: withFormer(record),
    beganAtMs: node.world.clock.wallMs(),
    ...(claim?.loss === undefined ? {} : { loss: claim.loss }),
  };
}

function withFormer(record: ClusterRecord): Reign[] {
  const former: Reign = {
    epoch: record.epoch,
    primary: record.primary,
    timeline: record.timeline,
    forkLsn: record.forkLsn,
    beganAtMs: record.beganAtMs,
    ...(record.forkedFrom === undefined ? {} : { forkedFrom: record.forkedFrom }),
    ...(record.loss === undefined ? {} : { loss: record.loss }),
  };
  return [former, ...record.reigns].slice(0, REIGNS_KEPT);
}

/**
 * Promotes the recorded node, on the recorded timeline. Idempotent. Rejects with TM-CLUSTER-TIMELINE, the server stopped,
 * when PostgreSQL came up on another one.
 */
export async function finish(node: PostgresNode, record: ClusterRecord): Promise<void> {
  const facts = await node.database.facts(ASK_MS);
  if (facts.inRecovery) {
    await reserveTimelines(node, record);
    await node.server.promote();
  }
  const after = await node.database.facts(ASK_MS);
  const forked = await forkOnDisk(node, record.timeline);
  if (after.timeline === record.timeline && (forked === undefined || forked === record.forkLsn)) return;
  await node.server.kill();
  throw new TidemarkError(
    "TM-CLUSTER-TIMELINE",
    `promoted to timeline ${after.timeline} forked at ${forked ?? "?"}, recorded are ${record.timeline} and ${record.forkLsn}`,
  );
}

/**
 * PostgreSQL takes the first timeline of which it has no history file. Numbers that the record handed out to reigns that this
 * node knows nothing of get a placeholder: a history without ancestors, which no standby mistakes for a descendant of its own.
 */
async function reserveTimelines(node: PostgresNode, record: ClusterRecord): Promise<void> {
  for (let timeline = (record.forkedFrom ?? 0) + 1; timeline < record.timeline; timeline++) {
    if ((await readHistory(node, timeline as Timeline)) !== undefined) continue;
    await node.writeData(historyPath(timeline), RESERVED_HISTORY);
  }
}

function historyPath(timeline: number): string {
  return join("pg_wal", `${timeline.toString(16).toUpperCase().padStart(8, "0")}.history`);
}

async function readHistory(node: PostgresNode, timeline: Timeline): Promise<string | undefined> {
  return readFile(join(node.server.dataDir, historyPath(timeline)), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}

/** Where the timeline really forked off, LSN text; undefined for the first timeline. */
async function forkOnDisk(node: PostgresNode, timeline: Timeline): Promise<string | undefined> {
  const text = await readHistory(node, timeline);
  const last = text === undefined ? undefined : parseTimelineHistory(text).at(-1);
  return last === undefined ? undefined : formatLsn(last.switchLsn);
}

/** Writes the reign's row, before any route opens. Idempotent. It does not wait for members: a reign begins closed. */
export async function writeReignRow(node: PostgresNode, record: ClusterRecord): Promise<void> {
  const client = node.database.open({ database: node.world.store.database, synchronous: "local" });
  const timer = node.world.clock.setTimer(REIGN_TIMEOUT_MS, () => drop(client), { keepAlive: false });
  try {
    await client.unsafe(RECORD_REIGN_SQL, [record.epoch, record.primary, record.timeline, record.forkLsn]);
  } finally {
    timer.clear();
    drop(client);
  }
}
