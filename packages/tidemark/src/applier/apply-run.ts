import type { Timer } from "@tidemark/kernel/clock";
import { assert, TidemarkError } from "@tidemark/kernel/errors";
import type { ApplyWorld, RunControl, RunEnd, RunReign } from "./apply-world.ts";
import type { JournalRecord } from "../journal/journal.ts";
import { DatabaseError, type CommitFacts, type DatabaseSession } from "./database.ts";
import { DeadLetterBook } from "./dead-letter-book.ts";
import { JournalFeed } from "./journal-feed.ts";
import { LaneBoard } from "./lane-board.ts";
import { LaneWorker } from "./lane-worker.ts";
import type { PartitionLane } from "./partition-lane.ts";
import { loadPositions } from "./position-load.ts";
import { TrimBarrier } from "./trim-barrier.ts";
import type { Trouble } from "./trouble-table.ts";
import { Wakeup } from "./wakeup.ts";

/**
 * Everything from one connection to its loss: reads the positions, then applies what lies behind them. Nothing that it
 * knows of the database outlives it; that is how commits in doubt are decided.
 */
export class ApplyRun implements RunControl {
  readonly world: ApplyWorld;
  readonly reign: RunReign;
  readonly board = new LaneBoard();
  readonly over: AbortSignal;
  readonly #sessions: readonly DatabaseSession[];
  readonly #barrierSession: DatabaseSession;
  readonly #barrier: TrimBarrier;
  readonly #workers: readonly LaneWorker[];
  /** Lanes may have become ready. */
  readonly #wakeup = new Wakeup();
  /** The frontier has moved, or there is room again. */
  readonly #feedWakeup = new Wakeup();
  readonly #ending = new AbortController();
  #end: RunEnd | undefined;
  #paused = false;
  /** The positions are read: the barrier's session is free for questions between barriers. */
  #started = false;
  #healingFrom = 0n;
  /** When the workers look for lanes again though nothing has changed. */
  #alarm: { readonly atMs: number; readonly timer: Timer } | undefined;

  /** @param sessions at least two; the first is the barrier's, the others apply. */
  constructor(world: ApplyWorld, sessions: readonly DatabaseSession[], reign: RunReign) {
    const [first, ...others] = sessions;
    assert(first !== undefined && others.length > 0, "a run has a session for barriers and one to apply with");
    this.world = world;
    this.reign = reign;
    this.over = this.#ending.signal;
    this.#sessions = sessions;
    this.#barrierSession = first;
    this.#barrier = new TrimBarrier(this, first);
    const turn = { wakeup: this.#wakeup, isPaused: () => this.#paused };
    this.#workers = others.map((session) => new LaneWorker(this, session, turn));
    for (const session of sessions) session.onLost((trouble) => this.finish({ kind: "trouble", trouble }));
  }

  /** Applies until `stop` (finishing what is in hand), {@link abandon}, or trouble. */
  async run(stop: AbortSignal): Promise<RunEnd> {
    const onStop = (): void => this.finish({ kind: "stopped" });
    stop.addEventListener("abort", onStop, { once: true });
    if (stop.aborted) onStop();
    try {
      const feed = await this.#guarded(() => this.#start());
      if (feed !== undefined) {
        this.#started = true;
        await Promise.all([
          ...this.#workers.map((worker) => this.#guarded(() => worker.work())),
          this.#guarded(() => this.#feedLanes(feed)),
          this.#guarded(() => this.#barrier.run()),
        ]);
      }
    } finally {
      stop.removeEventListener("abort", onStop);
    }
    return this.#end ?? { kind: "stopped" };
  }

  /** Ends the run from outside; what is under way is in doubt. */
  abandon(trouble: Trouble): void {
    this.finish({ kind: "trouble", trouble });
  }

  /** The frontier has advanced. */
  advance(): void {
    this.#feedWakeup.ring();
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    this.wake();
    this.announceState();
  }

  /** Tells what the primary's receivers have flushed, once it has said. */
  lookAtCopies(): void {
    if (!this.#started) return;
    void this.#guarded(async () => this.world.announcer.copies(this.reign.timeline, await this.#barrier.lookAtCopies()));
  }

  wake(): void {
    this.#wakeup.ring();
    this.#feedWakeup.ring();
  }

  wakeAt(atMs: number): void {
    if (this.#alarm !== undefined && this.#alarm.atMs <= atMs) return;
    this.#alarm?.timer.clear();
    const { clock } = this.world;
    const ring = (): void => {
      this.#alarm = undefined;
      this.#wakeup.ring();
    };
    this.#alarm = { atMs, timer: clock.setTimer(Math.max(0, atMs - clock.monotonicMs()), ring) };
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  finish(end: RunEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#ending.abort(new Error("the run is over"));
    this.#alarm?.timer.clear();
    if (end.kind !== "stopped") for (const session of this.#sessions) session.abandon();
    this.wake();
  }

  /** Runs a part. Faults of the journal and of the database end the run; bugs end it too and are thrown. */
  async #guarded<T>(part: () => Promise<T>): Promise<T | undefined> {
    try {
      return await part();
    } catch (error) {
      if (this.isOver && (error instanceof TidemarkError || error instanceof DatabaseError)) return undefined;
      if (error instanceof TidemarkError) this.finish({ kind: "final", error });
      else if (error instanceof DatabaseError) this.finish({ kind: "trouble", trouble: error.trouble });
      else {
        this.finish({ kind: "stopped" });
        throw error;
      }
      return undefined;
    }
  }

  async #start(): Promise<JournalFeed> {
    const { desk, reader, frontier, verdicts, announcer, mostApplied } = this.world;
    const session = this.#barrierSession;
    // A verdict that is being journalled must be known before its write could be tried again (R13).
    await desk.idle();
    const commit = this.#barrier.commit.bind(this.#barrier);
    const positions = await loadPositions(session, { commit, durable: frontier.durable, mostApplied: mostApplied(), announcer, reader });
    this.world.met();
    this.board.load(positions, announcer.partitions());
    this.#healingFrom = this.board.lowest();
    this.board.letters = new DeadLetterBook(await session.pendingLetters(reader.id));
    const feed = new JournalFeed({ reader, frontier, verdicts }, this.board.lowest());
    await feed.learnVerdicts();
    await this.#barrier.confirm();
    this.announceState();
    return feed;
  }

  async #feedLanes(feed: JournalFeed): Promise<void> {
    while (!this.isOver) {
      if (!feed.behind || this.board.full) {
        await this.#feedWakeup.wait();
        continue;
      }
      for (const item of await feed.next()) {
        if (item.kind === "generation" && item.record.sequence > this.board.base) await this.#beginGeneration(item.record);
        else this.board.place(item);
        if (this.isOver) return;
      }
      this.#wakeup.ring();
    }
  }

  /** R12: waits until every partition has reached the record, then moves all there in one transaction. */
  async #beginGeneration(record: JournalRecord): Promise<void> {
    this.#wakeup.ring();
    while (!this.board.quiet) {
      await this.#feedWakeup.wait();
      if (this.isOver) return;
    }
    for (const lane of this.board.lanes.values()) lane.busy = true;
    const outcome = await this.#barrier.commit(this.board.movesTo(record.sequence, record.generation));
    if (outcome.kind === "committed") this.board.begin(record.sequence, record.generation);
    else this.finish({ kind: "trouble", trouble: outcome.trouble });
  }

  announce(lane: PartitionLane, facts: CommitFacts): void {
    const { announcer, clock } = this.world;
    const { epoch, timeline, routeEpoch } = this.reign;
    const route = this.world.route();
    if (route?.epoch !== routeEpoch || facts.proof === "cancelled") {
      lane.unannounced = true;
      // Behind a newer route this run is about to end; the next one will say where the partition stands.
      if (route?.epoch === routeEpoch) this.#barrier.ask();
      return;
    }
    const provisional = facts.proof === "asynchronous" || route.guarantee === "asynchronous";
    announcer.applied(lane, { facts, epoch, timeline, committedAtMs: Math.floor(clock.wallMs()), provisional });
  }

  announceState(): void {
    const { announcer, clock } = this.world;
    if (this.isOver) return;
    if (this.#paused) return announcer.state({ state: "paused" });
    let healingUpTo = 0n;
    for (const partition of announcer.partitions()) {
      const highest = announcer.highest(partition);
      const position = this.board.lanes.get(partition)?.position ?? this.board.base;
      if (position < highest && highest > healingUpTo) healingUpTo = highest;
    }
    if (healingUpTo > 0n) {
      return announcer.state({ state: "healing", from: String(this.#healingFrom), upTo: String(healingUpTo) });
    }
    const nowMs = clock.monotonicMs();
    for (const lane of this.board.lanes.values()) if (lane.notBeforeMs > nowMs) return undefined;
    return announcer.state({ state: "applying" });
  }
}
