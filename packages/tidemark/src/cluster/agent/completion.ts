// Completes a candidate that lacks acknowledged WAL: fetched from a vault into a folder beside the data, checked, and replayed by PostgreSQL
// itself, by a restore command that copies from there. All of it happens after the promise and before the promotion; whatever goes wrong
// leaves a revoked standby that has replayed more than before, which is as good a voter as it was.
import { chown, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import { parseTimelineHistory } from "@tidemark/postgres/timeline-history";
import { historyName } from "@tidemark/postgres/wal/segment-name";
import { WalReader } from "@tidemark/postgres/wal/wal-reader";
import { planCompletion } from "./completion-plan.ts";
import type { NodeFacts } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";
import { RESERVED_HISTORY } from "./promotion.ts";
import { EXHAUSTED, isToldToFollowNobody } from "./revocation.ts";
import type { WalFiles } from "./vault-wal.ts";

export interface CompleteOrder {
  readonly epoch: Epoch;
  /** The vault's vote: must have been replayed, LSN text and its timeline. */
  readonly target: string;
  readonly timeline: Timeline;
}

/** Milliseconds of each step, for the account of the failover. */
export interface CompletionTimes {
  /** Until all WAL had been fetched and checked; PostgreSQL replays meanwhile. */
  readonly fetch: number;
  /** From then until the target was replayed. */
  readonly replay: number;
  /** Until PostgreSQL was seen to restore nothing more. */
  readonly settle: number;
}

/** All of it, milliseconds: at 1 GB, what a slot keeps at most, both a disk and replay are done long before. */
export const COMPLETION_TIMEOUT_MS = 120_000;
/** Replay that stands still for so long with everything there will not reach the target, milliseconds. */
const STUCK_MS = 3_000;
const LOOK_MS = 3;
const ASK_MS = 2_000;
/** Written at once: each write is a way to another thread and back. */
const WRITE_BYTES = 1_048_576;
/** The largest history file that is read, bytes; one line per failover. */
const MOST_HISTORY_BYTES = 1_048_576;

/**
 * Brings the revoked standby up to the target. Idempotent for one epoch. Rejects with TM-CLUSTER-STALE-EPOCH when another epoch is promised,
 * TM-CLUSTER-NOT-READY when this is no revoked standby, TM-CLUSTER-NOT-COMPLETED when the target was not reached.
 * @param options.timeline on which this node's replay is.
 */
export async function complete(
  node: PostgresNode,
  order: CompleteOrder,
  options: { wal: WalFiles; timeline: Timeline | undefined; signal: AbortSignal },
): Promise<CompletionTimes> {
  const { clock, logger } = node.world;
  const began = clock.monotonicMs();
  const facts = await revokedStandby(node, order.epoch);
  const target = parseLsn(order.target);
  if (parseLsn(facts.lsn) >= target) return { fetch: 0, replay: 0, settle: 0 };
  const timeline = options.timeline ?? (await node.identify()).timeline;
  const folder = node.completionFolder;
  const late = new AbortController();
  const timer = clock.setTimer(COMPLETION_TIMEOUT_MS, () => late.abort(new Error(`not done within ${COMPLETION_TIMEOUT_MS} ms`)));
  const signal = AbortSignal.any([options.signal, late.signal]);
  const from = { timeline, lsn: parseLsn(facts.lsn) };
  logger.info({ from: facts.lsn, target: order.target, timelines: [timeline, order.timeline] }, "completing from a vault");
  try {
    await makeFolder(node, folder);
    await fetchAll(node, { from, to: { timeline: order.timeline, lsn: target }, facts }, { wal: options.wal, signal });
    const fetchedMs = clock.monotonicMs();
    await replayUpTo(node, target, signal);
    const replayedMs = clock.monotonicMs();
    await restoreNothing(node, signal);
    const times = { fetch: fetchedMs - began, replay: replayedMs - fetchedMs, settle: clock.monotonicMs() - replayedMs };
    logger.info({ target: order.target, ...times }, "completed from a vault");
    return times;
  } catch (error) {
    // A PostgreSQL that has ended restores nothing either: its next start begins with settings of its own.
    if (node.server.pid !== undefined) await node.followNobody();
    throw error;
  } finally {
    timer.clear();
  }
}

async function revokedStandby(node: PostgresNode, epoch: Epoch): Promise<NodeFacts> {
  if (node.promised !== epoch) {
    throw new TidemarkError("TM-CLUSTER-STALE-EPOCH", `asked to be completed for epoch ${epoch}, ${node.promised ?? "none"} is promised`);
  }
  if (node.follows !== "nobody") throw new TidemarkError("TM-CLUSTER-NOT-READY", "this node follows somebody");
  const facts = await node.database.facts(ASK_MS);
  if (!facts.inRecovery) throw new TidemarkError("TM-CLUSTER-NOT-READY", "this node is no standby");
  return facts;
}

// ── Fetching ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Way {
  readonly from: { timeline: Timeline; lsn: Lsn };
  readonly to: { timeline: Timeline; lsn: Lsn };
  readonly facts: NodeFacts;
}

interface Source {
  readonly wal: WalFiles;
  readonly signal: AbortSignal;
}

/** Each file takes its place once it was checked, and PostgreSQL is woken: it replays while the next one comes. */
async function fetchAll(node: PostgresNode, way: Way, source: Source): Promise<void> {
  const sql = "SELECT setting AS bytes FROM pg_settings WHERE name = 'wal_segment_size'";
  const [row] = await node.database.ask<{ bytes: string }>(sql, [], ASK_MS);
  const segmentBytes = Number(row?.bytes);
  const text = way.to.timeline === 1 ? "" : await fetchHistory(way.to.timeline, source);
  const plan = planCompletion({ from: way.from, to: way.to, history: parseTimelineHistory(text), segmentBytes });
  for (const timeline of plan.histories) {
    const content = timeline === way.to.timeline ? text : await fetchHistory(timeline, source);
    await place(node, historyName(timeline), [Buffer.from(content)]);
  }
  for (const timeline of plan.reserved) await place(node, historyName(timeline), [Buffer.from(RESERVED_HISTORY)]);
  const check = new FetchedWal(way, segmentBytes);
  for (const [index, segment] of plan.segments.entries()) {
    const { signal } = source;
    await place(node, segment.name, check.segment(segment, source.wal.fetch(segment.name, { upTo: way.to.lsn, signal })));
    if (index === 0) await node.restoreFrom(node.completionFolder);
    else node.server.reload();
  }
  check.end();
}

async function fetchHistory(timeline: Timeline, { wal, signal }: Source): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of wal.fetch(historyName(timeline), { signal })) {
    length += chunk.length;
    if (length > MOST_HISTORY_BYTES) throw notCompleted(`the history of timeline ${timeline} has more than ${MOST_HISTORY_BYTES} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  parseTimelineHistory(text);
  return text;
}

/** A folder of this completion alone: what an earlier one left may be another vault's. */
async function makeFolder(node: PostgresNode, folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o700 });
  await own(node, folder);
}

/**
 * Writes a file under another name, and gives it its own when it is whole. Not synced: PostgreSQL syncs its copy before it replays it, and
 * after a crash the folder counts for nothing.
 */
async function place(node: PostgresNode, name: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  const path = join(node.completionFolder, name);
  const file = await open(`${path}.part`, "w", 0o600);
  try {
    let gathered: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of content) {
      gathered.push(chunk);
      bytes += chunk.length;
      if (bytes < WRITE_BYTES) continue;
      await file.writeFile(Buffer.concat(gathered));
      [gathered, bytes] = [[], 0];
    }
    await file.writeFile(Buffer.concat(gathered));
  } finally {
    await file.close();
  }
  await own(node, `${path}.part`);
  await rename(`${path}.part`, path);
}

async function own(node: PostgresNode, path: string): Promise<void> {
  const { user } = node.server.options;
  if (user.switches) await chown(path, user.uid, user.gid);
}

/** Checks what is fetched as it comes: size, cluster, timelines, and the CRC of every record that the candidate lacks. */
class FetchedWal {
  readonly #way: Way;
  readonly #segmentBytes: number;
  readonly #reader: WalReader;

  constructor(way: Way, segmentBytes: number) {
    this.#way = way;
    this.#segmentBytes = segmentBytes;
    this.#reader = new WalReader(
      {
        segmentBytes,
        start: way.from.lsn,
        atRecord: true,
        checkCrc: true,
        timeline: way.to.timeline,
        systemIdentifier: BigInt(way.facts.systemIdentifier),
      },
      () => undefined,
    );
  }

  /** Gives the segment on. Throws TM-CLUSTER-NOT-COMPLETED before its last byte when it is not what it should be. */
  async *segment(segment: { name: string; start: Lsn }, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let at = segment.start;
    const end = (segment.start + BigInt(this.#segmentBytes)) as Lsn;
    for await (const chunk of chunks) {
      const next = (at + BigInt(chunk.length)) as Lsn;
      if (next > end) throw notCompleted(`${segment.name} has more than ${this.#segmentBytes} bytes`);
      const from = clamp(this.#way.from.lsn - at, chunk.length);
      const to = clamp(this.#way.to.lsn - at, chunk.length);
      // Nothing beyond the target may be replayed: the fork is recorded before the promotion, and must be where replay ends.
      const wanted = to < chunk.length ? chunk.slice().fill(0, to) : chunk;
      const stop = from < to ? this.#reader.push(wanted, from, to) : undefined;
      if (stop !== undefined) throw notCompleted(`${segment.name} is damaged at ${formatLsn(stop.at)}: ${stop.reason}`);
      yield wanted;
      at = next;
    }
    if (at !== end) throw notCompleted(`${segment.name} ended after ${at - segment.start} of ${this.#segmentBytes} bytes`);
  }

  /** To be called after the last segment: whole records reach up to the target. */
  end(): void {
    const { boundary } = this.#reader;
    if (boundary === undefined || boundary < this.#way.to.lsn) {
      throw notCompleted(
        `the last whole record ends at ${boundary === undefined ? "no place" : formatLsn(boundary)}, voted was ${formatLsn(this.#way.to.lsn)}`,
      );
    }
  }
}

/** An offset into a chunk. */
function clamp(offset: bigint, length: number): number {
  return offset <= 0n ? 0 : offset >= BigInt(length) ? length : Number(offset);
}

// ── Replaying ───────────────────────────────────────────────────────────────────────────────────────────────────────

async function replayUpTo(node: PostgresNode, target: Lsn, signal: AbortSignal): Promise<void> {
  const { clock } = node.world;
  let last = "";
  let movedMs = clock.monotonicMs();
  for (;;) {
    const facts = await node.database.facts(ASK_MS);
    if (parseLsn(facts.lsn) >= target) return;
    if (facts.lsn !== last) movedMs = clock.monotonicMs();
    last = facts.lsn;
    if (clock.monotonicMs() - movedMs > STUCK_MS) {
      throw notCompleted(`replay stands at ${facts.lsn} (${facts.startupWait ?? "not waiting"}), voted was ${formatLsn(target)}`);
    }
    await sleep(clock, LOOK_MS, signal);
  }
}

/** R3: PostgreSQL has read that there is no restore command any more, and waits at the end of what is there. */
async function restoreNothing(node: PostgresNode, signal: AbortSignal): Promise<void> {
  await node.followNobody();
  let told = false;
  for (;;) {
    // Before the look: what is seen afterwards, a startup process that has read its settings again does.
    told ||= await isToldToFollowNobody(node);
    const facts = await node.database.facts(ASK_MS);
    if (told && facts.startupWait === EXHAUSTED) return;
    await sleep(node.world.clock, LOOK_MS, signal);
  }
}

function notCompleted(what: string): TidemarkError {
  return new TidemarkError("TM-CLUSTER-NOT-COMPLETED", what);
}
