// The life of the receiver: after a start it finds where its WAL ends; then it connects, judges the server anew (stream-plan.ts),
// keeps the histories, and streams, over timeline switches, until it is told to halt. Everything that must survive is durable
// before the next step: which run is continued, gaps, cuts. It runs in a thread of its own and is the only one that writes WAL.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError, assert } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { VaultFile, VaultFileChange } from "../vault-file.ts";
import { stored, unstored } from "../vault-file.ts";
import { WalFolder } from "../wal-folder.ts";
import { cutWal } from "./diverged-wal.ts";
import { storeHistoryChain, storedHistory } from "./history-chain.ts";
import { nodeWalFiles } from "./node-wal-files.ts";
import type { ReceiverHost, ReceiverStart, ReceiverTarget } from "./receiver-port.ts";
import { expectedOf, rangeOf } from "./receiver-port.ts";
import { ArchivedRun } from "./recalled-wal.ts";
import type { RestartScan } from "./restart-scan.ts";
import { scanAfterRestart } from "./restart-scan.ts";
import { SegmentWriter } from "./segment-writer.ts";
import type { ServerSession } from "./server-session.ts";
import { awaitPromotion } from "./await-promotion.ts";
import { passesByItself } from "./passing-troubles.ts";
import { openSession } from "./server-session.ts";
import { SQLSTATE, createSlot, dropSlot, slotInUse, sqlstateOf } from "./vault-slot.ts";
import type { SharedFrontier } from "./shared-frontier.ts";
import type { LocalWal, PlanInput, WalPoint } from "./stream-plan.ts";
import { clusterRefusal, planStream, refusal } from "./stream-plan.ts";
import { streamWal } from "./stream-wal.ts";

/** Pause after a failed attempt, milliseconds: doubling, reset once WAL was received. */
const FIRST_PAUSE_MS = 50;
const MOST_PAUSE_MS = 2_000;
/** The longest where it only waits: a promotion that is under way is done within a moment, and commits may wait for us then. */
const MOST_WAIT_MS = 250;
/** Steps of planning in one connection; each changes what the next one sees. More means that server and vault contradict each other. */
const MOST_STEPS = 16;

export interface ReceiverOptions {
  readonly directory: string;
  readonly frontier: SharedFrontier;
  readonly host: ReceiverHost;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * What a connection has taught about the slot and the WAL, for the plan of the next one: a stream that was refused ends its
 * connection. Void as soon as WAL was received.
 */
type Lesson = Pick<PlanInput, "slotIsNew" | "slotInvalid" | "walRemoved">;
const NOTHING_LEARNT: Lesson = { slotIsNew: false, slotInvalid: false, walRemoved: false };

export class Receiver {
  readonly #options: ReceiverOptions;
  #file: VaultFile;
  /** Where a timeline that is being received began: below that the position is still the old timeline's end. */
  #began: { readonly timeline: Timeline; readonly at: WalPoint } | undefined;
  #lesson: Lesson = NOTHING_LEARNT;
  readonly #archive: ArchivedRun;

  constructor(options: ReceiverOptions, file: VaultFile) {
    this.#options = options;
    this.#file = file;
    const { host, clock, logger } = options;
    this.#archive = new ArchivedRun({ ask: (place) => host.archived(place), clock, logger });
  }

  // ── After a start ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Finds where the WAL here ends and puts aside what is damaged. Nothing is received before. */
  async open(): Promise<ReceiverStart> {
    const { run, systemIdentifier, segmentBytes, mark } = this.#file;
    if (run === undefined || systemIdentifier === undefined || segmentBytes === undefined) return {};
    const scan = await scanAfterRestart({
      folder: this.#folder(segmentBytes),
      run: { from: unstored(run.from), timeline: run.timeline },
      mark: mark === undefined ? undefined : unstored(mark),
      systemIdentifier,
    });
    for (const hole of scan.holes) await this.#recordHole(hole);
    if (scan.damage !== undefined) await this.#putDamageAside(scan.damage, run.timeline);
    const at = scan.damage?.from ?? scan.frontier;
    this.#moveFrontier(at);
    return { frontier: at, whole: scan.whole.timeline === at.timeline && scan.whole.lsn > at.lsn ? at : scan.whole };
  }

  async #recordHole(hole: { from: WalPoint; to: WalPoint }): Promise<void> {
    const range = { from: stored(hole.from), to: stored(hole.to) };
    const what = `segments from ${range.from.lsn} to ${range.to.lsn} of timeline ${range.from.timeline} are missing`;
    this.#options.logger.error({ code: "TM-VAULT-SEGMENT-MISSING", ...range }, what);
    await this.#save({ kind: "fault", fault: { code: "TM-VAULT-SEGMENT-MISSING", what, range } });
  }

  async #putDamageAside(damage: NonNullable<RestartScan["damage"]>, timeline: Timeline): Promise<void> {
    const { clock, logger } = this.#options;
    const folder = this.#folder(this.#file.segmentBytes ?? 0);
    const end = { timeline, lsn: damage.to.lsn };
    const evidence = await cutWal(
      folder,
      { at: damage.from, keepsPrefix: true, end, reason: "damaged", facts: { what: damage.what } },
      clock,
    );
    const range = { from: stored(damage.from), to: stored(damage.to) };
    logger.error({ code: "TM-VAULT-CORRUPT", ...range, evidence }, `local WAL is damaged: ${damage.what}`);
    await this.#save({ kind: "damage", ...range, evidence, what: damage.what });
    this.#options.host.sealed(undefined);
  }

  // ── Following ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Receives from `target` until `signal` aborts; when it resolves nothing is received, flushed or acknowledged any more (R3).
   * Faults of the server and of the connection are reported and tried again. Rejects with TM-VAULT-FAIL-STOP, and on faults of
   * the disk that have no name.
   */
  async follow(target: ReceiverTarget, signal: AbortSignal): Promise<void> {
    const { host, clock, logger } = this.#options;
    let pauseMs = FIRST_PAUSE_MS;
    let said = "";
    this.#lesson = NOTHING_LEARNT;
    while (!signal.aborted) {
      const before = this.#options.frontier.read().flushed;
      try {
        host.report({ state: "connecting" });
        await this.#attempt(target, signal);
        pauseMs = FIRST_PAUSE_MS;
      } catch (error) {
        if (!(error instanceof TidemarkError) || error.code === "TM-VAULT-FAIL-STOP") throw error;
        if (signal.aborted) break;
        const waits = passesByItself(error.code);
        host.report({ state: waits ? "waiting" : "refused", code: error.code, why: error.message, ...rangeOf(error) });
        if (said !== error.code) logger.warn({ err: error, node: target.node }, "does not receive");
        said = error.code;
        if (this.#options.frontier.read().flushed !== before) pauseMs = FIRST_PAUSE_MS;
        await sleep(clock, pauseMs, signal).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, waits ? MOST_WAIT_MS : MOST_PAUSE_MS);
      }
    }
    host.report({ state: "idle" });
  }

  async #attempt(target: ReceiverTarget, signal: AbortSignal): Promise<void> {
    this.#checkEpoch(target);
    let session = await openSession(target, { applicationName: this.#file.identity, clock: this.#options.clock, signal });
    try {
      session = await awaitPromotion(session, {
        judge: async ({ server }) => refusal({ local: await this.#local(), expected: expectedOf(target), server }),
        report: (refused) => this.#options.host.report({ state: "waiting", code: refused.code, why: refused.why }),
        clock: this.#options.clock,
        signal,
      });
      await this.#judgeServer(session, target);
      await this.#planAndStream(session, target, signal);
    } finally {
      session.connection.destroy();
    }
  }

  #checkEpoch(target: ReceiverTarget): void {
    const least = Math.max(this.#file.epoch ?? 0, this.#file.promise?.epoch ?? 0);
    if (target.epoch !== 0 && target.epoch < least)
      throw new TidemarkError("TM-VAULT-OLD-EPOCH", `${target.node} reigns in epoch ${target.epoch}; this vault is at ${least}`);
  }

  /** Refuses before anything is taken from the server; then keeps the histories of its whole line (trap 8). */
  async #judgeServer(session: ServerSession, target: ReceiverTarget): Promise<void> {
    const { server } = session;
    const expected = expectedOf(target);
    const refused =
      clusterRefusal({ local: this.#cluster(), expected, server }) ?? refusal({ local: await this.#local(), expected, server });
    if (refused !== undefined) throw new TidemarkError(refused.code, refused.why);
    if (this.#file.systemIdentifier === undefined)
      await this.#save({ kind: "cluster", systemIdentifier: server.systemIdentifier, segmentBytes: server.segmentBytes });
    const folder = this.#folder(server.segmentBytes);
    nodeWalFiles.makeDirectory(folder.wal);
    const { clock, host } = this.#options;
    const chain = await storeHistoryChain({
      folder,
      timeline: server.timeline,
      content: session.historyContent,
      fetch: (timeline) => session.client.timelineHistoryFile(timeline),
      clock,
    });
    if (chain.fetched.length > 0) host.sealed(undefined);
    host.warn([
      ...chain.missing.map((timeline) => ({
        code: "TM-VAULT-HISTORY-MISSING",
        what: `the history file of timeline ${timeline} is neither on ${target.node} nor here`,
      })),
      ...(session.idleTimeout === undefined
        ? []
        : [{ code: "TM-VAULT-SLOT-IDLE-TIMEOUT", what: `${target.node} has idle_replication_slot_timeout = ${session.idleTimeout}` }]),
    ]);
  }

  async #planAndStream(session: ServerSession, target: ReceiverTarget, signal: AbortSignal): Promise<void> {
    const { client } = session;
    for (let step = 0; step < MOST_STEPS && !signal.aborted; step++) {
      const slot = await client.readSlot(this.#file.identity);
      const input: PlanInput = { local: await this.#local(), expected: expectedOf(target), server: session.server, slot, ...this.#lesson };
      const plan = planStream(input);
      this.#options.logger.debug({ plan: JSON.stringify(plan, showBigint), slot: JSON.stringify(slot, showBigint) }, "planned");
      switch (plan.kind) {
        case "create-slot":
          await createSlot(session, this.#file.identity);
          this.#lesson = { ...this.#lesson, slotIsNew: true, slotInvalid: false };
          break;
        case "replace-slot":
          await this.#replaceSlot(session, target);
          this.#lesson = { ...this.#lesson, slotInvalid: false };
          break;
        case "begin":
          await this.#save({ kind: "begin", at: stored(plan.at) });
          this.#moveFrontier(plan.at);
          break;
        case "cut":
          await this.#cut(plan.at, { server: session.server.timeline });
          // Without a run there is a new identity, which needs a connection and a slot of its own.
          if (plan.at === undefined) return void (this.#lesson = NOTHING_LEARNT);
          break;
        case "gap":
          if (await this.#recall(plan.from, signal)) {
            this.#lesson = NOTHING_LEARNT;
            break;
          }
          await this.#recordGap(plan.from, plan.to);
          if (slot !== undefined) await dropSlot(session, session.applicationName);
          return void (this.#lesson = NOTHING_LEARNT);
        case "refuse":
          throw new TidemarkError(plan.code, plan.why);
        case "stream":
          return this.#stream(session, { at: plan.at, target, signal });
      }
    }
    if (!signal.aborted) throw new TidemarkError("TM-VAULT-SLOT", `planned ${MOST_STEPS} times with ${target.node} and came to no end`);
  }

  async #replaceSlot(session: ServerSession, target: ReceiverTarget): Promise<void> {
    const what = `the slot ${this.#file.identity} on ${target.node} keeps no WAL any more`;
    this.#options.logger.error({ code: "TM-VAULT-SLOT-LOST" }, what);
    await this.#save({ kind: "fault", fault: { code: "TM-VAULT-SLOT-LOST", what } });
    await dropSlot(session, this.#file.identity);
  }

  /** Before WAL counts as gone: the archive may have it. Whether anything came of it. */
  async #recall(from: WalPoint, signal: AbortSignal): Promise<boolean> {
    const { systemIdentifier, segmentBytes } = this.#file;
    assert(systemIdentifier !== undefined && segmentBytes !== undefined, "the cluster is known");
    const to = await this.#archive.recall({ folder: this.#folder(segmentBytes), systemIdentifier, from, signal });
    if (to.lsn === from.lsn) return false;
    this.#moveFrontier(to);
    this.#options.host.sealed(undefined);
    return true;
  }

  async #recordGap(from: WalPoint, to: WalPoint): Promise<void> {
    const gap = { from: stored(from), to: stored(to) };
    this.#options.logger.error(
      { code: "TM-VAULT-GAP", ...gap },
      "the primary no longer has the WAL that is missing here; a base backup is needed",
    );
    await this.#save({ kind: "gap", ...gap });
    this.#options.host.sealed(undefined);
  }

  /** Moves what lies past `at` out of what is served; without `at` the whole run. Durable before it resolves. */
  async #cut(at: WalPoint | undefined, facts: Readonly<Record<string, string | number>>): Promise<void> {
    const local = await this.#local();
    const { run } = local;
    assert(run !== undefined, "a run is cut");
    const folder = this.#folder(local.segmentBytes ?? 0);
    const whole = await scanAfterRestart({
      folder,
      run: { from: run.from, timeline: run.frontier.timeline },
      mark: undefined,
      systemIdentifier: local.systemIdentifier as SystemIdentifier,
    });
    // A piece of a record past the fork was never a commit; whole records may have been.
    const alarm = at === undefined || whole.whole.timeline !== at.timeline || whole.whole.lsn > at.lsn;
    const from = at ?? run.from;
    const evidence = await cutWal(
      folder,
      { at: from, keepsPrefix: at !== undefined, end: run.frontier, reason: "diverged", facts },
      this.#options.clock,
    );
    this.#options.logger[alarm ? "error" : "info"](
      { from: stored(from), to: stored(run.frontier), evidence, ...(alarm ? { code: "TM-VAULT-DIVERGED" } : {}) },
      "WAL past the fork was put aside",
    );
    await this.#save({ kind: "cut", ...(at === undefined ? {} : { at: stored(at) }), end: stored(run.frontier), evidence, alarm });
    if (at !== undefined) this.#moveFrontier(at);
    this.#options.host.sealed(undefined);
  }

  // ── Streaming ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Streams until told to stop, or until the server said something that changes the next plan. */
  async #stream(session: ServerSession, order: { at: WalPoint; target: ReceiverTarget; signal: AbortSignal }): Promise<void> {
    const { target } = order;
    if (target.epoch !== 0 && target.epoch !== this.#file.epoch) await this.#save({ kind: "epoch", epoch: target.epoch });
    const before = this.#position();
    try {
      await this.#streamTimelines(session, order);
    } catch (error) {
      const now = this.#position();
      if (now?.timeline !== before?.timeline || now?.lsn !== before?.lsn) this.#lesson = NOTHING_LEARNT;
      const sqlstate = sqlstateOf(error);
      if (sqlstate === SQLSTATE.walRemoved && !this.#lesson.walRemoved) this.#lesson = { ...this.#lesson, walRemoved: true };
      else if (sqlstate === SQLSTATE.notUsable && !this.#lesson.slotInvalid) this.#lesson = { ...this.#lesson, slotInvalid: true };
      else if (sqlstate === SQLSTATE.inUse) throw slotInUse(this.#file.identity, error);
      else throw error;
      this.#options.logger.warn({ err: error }, "the server cannot send from where this vault ends");
    }
  }

  async #streamTimelines(
    session: ServerSession,
    { at, target, signal }: { at: WalPoint; target: ReceiverTarget; signal: AbortSignal },
  ): Promise<void> {
    const { frontier, host } = this.#options;
    const folder = this.#folder(session.server.segmentBytes);
    let point = at;
    let held: { timeline: Timeline; to: Lsn } | undefined;
    for (;;) {
      const writer = SegmentWriter.open({
        folder,
        files: nodeWalFiles,
        timeline: point.timeline,
        start: point.lsn,
        contiguousFrom: this.#file.run === undefined ? point.lsn : unstored(this.#file.run.from).lsn,
        ...(held === undefined ? {} : { held }),
      });
      let end: Awaited<ReturnType<typeof streamWal>>;
      try {
        frontier.write({ ...frontier.read(), timeline: point.timeline, flushed: point.lsn });
        const from = { timeline: point.timeline, from: formatLsn(point.lsn) };
        end = await streamWal({
          connection: session.connection,
          slot: this.#file.identity,
          timeline: point.timeline,
          start: point.lsn,
          writer,
          frontier,
          clock: this.#options.clock,
          signal,
          onBegun: () => {
            host.report({ state: "streaming" });
            this.#options.logger.info({ node: target.node, ...from }, "receives");
          },
          onSealed: (segment) => host.sealed(segment),
          onFull: (full) => host.full(full),
        });
      } finally {
        await writer.close();
      }
      if (end.kind === "stopped") return;
      const fork: WalPoint = { timeline: point.timeline, lsn: end.nextStart };
      await this.#leaveTimeline(session, fork, end.nextTimeline);
      const start = segmentStart(fork.lsn, folder.segmentBytes);
      // As pg_receivewal does: the new timeline's file from its first byte. What is before the fork must come the same again.
      held = fork.lsn > start ? { timeline: fork.timeline, to: fork.lsn } : undefined;
      point = { timeline: end.nextTimeline, lsn: start };
    }
  }

  /** The server ended the timeline: what was received of it must end where the next one begins. */
  async #leaveTimeline(session: ServerSession, fork: WalPoint, next: Timeline): Promise<void> {
    const line = [...session.server.history.map((step) => step.timeline), session.server.timeline];
    const recorded = session.server.history.find((step) => step.timeline === fork.timeline)?.switchLsn;
    if (recorded !== fork.lsn || line[line.indexOf(fork.timeline) + 1] !== next)
      throw new TidemarkError(
        "TM-VAULT-TIMELINE-CONFLICT",
        `the server ends timeline ${fork.timeline} at ${formatLsn(fork.lsn)}, against its own history`,
      );
    const frontier = this.#position();
    assert(frontier !== undefined, "something was received");
    if (frontier.timeline === fork.timeline && frontier.lsn < fork.lsn)
      throw new TidemarkError(
        "TM-PG-PROTOCOL",
        `the server ended timeline ${fork.timeline} at ${formatLsn(fork.lsn)} and sent it up to ${formatLsn(frontier.lsn)} only`,
      );
    // It may have sent WAL that the one that was promoted never replayed.
    if (frontier.timeline === fork.timeline && frontier.lsn > fork.lsn) await this.#cut(fork, { server: session.server.timeline });
    await this.#save({ kind: "timeline", timeline: next });
    this.#began = { timeline: next, at: fork };
    this.#options.logger.info({ from: fork.timeline, to: next, fork: formatLsn(fork.lsn) }, "follows the switch of timelines");
    this.#options.host.sealed(undefined);
  }

  // ── What is here ──────────────────────────────────────────────────────────────────────────────────────────────────

  #cluster(): Pick<LocalWal, "systemIdentifier" | "segmentBytes"> {
    const { systemIdentifier, segmentBytes } = this.#file;
    return { ...(systemIdentifier === undefined ? {} : { systemIdentifier }), ...(segmentBytes === undefined ? {} : { segmentBytes }) };
  }

  async #local(): Promise<LocalWal> {
    const { run, segmentBytes } = this.#file;
    const frontier = this.#position();
    if (run === undefined || frontier === undefined || segmentBytes === undefined) return this.#cluster();
    const history = await storedHistory(this.#folder(segmentBytes), frontier.timeline);
    if (history === undefined)
      throw new TidemarkError(
        "TM-VAULT-HISTORY-MISSING",
        `the history file of timeline ${frontier.timeline}, which is continued here, is gone`,
      );
    return { ...this.#cluster(), run: { from: unstored(run.from), frontier, history } };
  }

  /** Everything up to here is durable, on this timeline. */
  #position(): WalPoint | undefined {
    const { timeline, flushed } = this.#options.frontier.read();
    if (timeline === 0) return undefined;
    const began = this.#began;
    return began?.timeline === timeline && flushed <= began.at.lsn ? began.at : { timeline, lsn: flushed };
  }

  #moveFrontier(at: WalPoint): void {
    const { frontier } = this.#options;
    this.#began = undefined;
    frontier.write({ ...frontier.read(), timeline: at.timeline, flushed: at.lsn });
  }

  #folder(segmentBytes: number): WalFolder {
    return new WalFolder(this.#options.directory, segmentBytes);
  }

  async #save(change: VaultFileChange): Promise<void> {
    this.#file = await this.#options.host.save(change);
  }

  /** The file as the main thread has changed it meanwhile: a promise. */
  take(file: VaultFile): void {
    this.#file = file;
  }
}

function showBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? formatLsn(value as Lsn) : value;
}
