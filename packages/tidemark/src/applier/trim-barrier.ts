import type { Sequence } from "@tidemark/kernel/brands";
import { sleep } from "@tidemark/kernel/clock";
import type { RunControl } from "./apply-world.ts";
import { watched } from "./commit-watch.ts";
import {
  DatabaseError,
  type ApplyOutcome,
  type CommitFacts,
  type DatabaseSession,
  type PositionMove,
  type StreamingCopy,
} from "./database.ts";
import type { PartitionLane } from "./partition-lane.ts";
import { BASE_PARTITION } from "./schema.ts";

/** Time between barriers while positions advance, ms. */
export const BARRIER_EVERY_MS = 1_000;
/** How long a barrier waits for the demanded copies, and how often it looks, ms; then the next barrier tries again. */
export const COPIES_WITHIN_MS = 10_000;
const COPIES_EVERY_MS = 25;

/**
 * Barriers: commits that prove earlier ones. They let "applied" be said after a connect or a cancelled wait (R14), and
 * tell the journal what it may forget (R11, TRIM-SAFE).
 */
export class TrimBarrier {
  readonly #run: RunControl;
  readonly #session: DatabaseSession;
  #asked = false;
  #lastTrim = -1n;
  /** The session is used by one at a time: barriers, and the begin of a generation. */
  #queue: Promise<unknown> = Promise.resolve();
  #ring: (() => void) | undefined;

  constructor(run: RunControl, session: DatabaseSession) {
    this.#run = run;
    this.#session = session;
  }

  /** Commits at once are without proof: make the next barrier soon. */
  ask(): void {
    this.#asked = true;
    this.#ring?.();
  }

  /** A barrier that says for each partition where it stands, after a connect. Repeats while a wait is cancelled. */
  async confirm(): Promise<void> {
    for (;;) {
      const outcome = await this.commit([]);
      if (outcome.kind !== "committed") throw new DatabaseError(outcome.trouble);
      if (outcome.facts.proof === "cancelled") continue;
      for (const lane of this.#run.board.lanes.values()) this.#run.announce(lane, outcome.facts);
      return;
    }
  }

  /** What the receivers have flushed, as the primary says. Rejects with a DatabaseError. */
  lookAtCopies(): Promise<StreamingCopy[]> {
    return this.#inTurn(() => this.#session.streamingCopies());
  }

  async run(): Promise<void> {
    const { clock } = this.#run.world;
    while (!this.#run.isOver) {
      const rung = new Promise<void>((resolve) => (this.#ring = resolve));
      if (!this.#asked) await Promise.race([sleep(clock, BARRIER_EVERY_MS, this.#run.over).catch(() => undefined), rung]);
      if (this.#run.isOver) return;
      await this.#make();
    }
  }

  /** Commits a barrier with `moves`, in the run's epoch. */
  commit(moves: readonly PositionMove[]): Promise<ApplyOutcome> {
    const { world, reign } = this.#run;
    return this.#inTurn(() => watched(world, "a barrier", this.#session.barrier({ journal: world.reader.id, epoch: reign.epoch, moves })));
  }

  #inTurn<T>(use: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(use, use);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #make(): Promise<void> {
    const run = this.#run;
    const idle = this.#takeIdle();
    const upTo = run.board.placedUpTo as Sequence;
    const rowless = [...run.board.lanes.values()].filter((lane) => !lane.hasRow);
    const liftBase = run.board.base < upTo && rowless.every((lane) => lane.length === 0 && !lane.busy);
    const lifted = liftBase ? [...idle, ...rowless] : idle;
    for (const lane of lifted) lane.busy = true;
    const safe = this.#lowest(lifted, liftBase ? upTo : run.board.base, upTo);
    if (!this.#asked && idle.length === 0 && safe <= this.#lastTrim) return this.#giveBack(lifted);
    this.#asked = false;
    const moves = idle.map((lane): PositionMove => ({
      generation: lane.generation,
      partition: lane.partition,
      from: lane.position,
      to: upTo,
    }));
    if (liftBase) moves.push({ generation: run.board.generation, partition: BASE_PARTITION, from: run.board.base, to: upTo });
    const before = new Map([...run.board.lanes.values()].map((lane) => [lane, lane.position]));
    const outcome = await this.commit(moves);
    if (outcome.kind !== "committed") {
      this.#giveBack(lifted);
      if (outcome.kind === "failed" && (outcome.trouble.reaction === "retry" || outcome.trouble.reaction === "wait")) {
        run.world.logger.warn(
          { code: outcome.trouble.code, sqlstate: outcome.trouble.sqlstate },
          `a barrier failed: ${outcome.trouble.message}`,
        );
        return;
      }
      throw new DatabaseError(outcome.trouble);
    }
    for (const lane of lifted) lane.position = upTo;
    if (liftBase) run.board.base = upTo;
    this.#giveBack(lifted);
    run.announceState();
    if (outcome.facts.proof === "cancelled") return this.ask();
    for (const [lane, position] of before) if (lane.unannounced && lane.position === position) run.announce(lane, outcome.facts);
    for (const lane of run.board.lanes.values()) if (lane.unannounced) this.#asked = true;
    await this.#sayTrimSafe(safe, outcome.facts);
  }

  async #sayTrimSafe(safe: bigint, facts: CommitFacts): Promise<void> {
    const run = this.#run;
    const pending = run.board.letters.oldest();
    const pinned = pending === undefined || pending > safe ? safe : pending - 1n;
    if (pinned <= this.#lastTrim) return;
    if (!(await this.#copiesFlushed(facts))) return;
    const now = await this.#inTurn(() => this.#session.identify());
    const route = run.world.route();
    if (route === undefined || now.newestEpoch === undefined || now.inRecovery) return;
    if (
      !run.world.rules.barrierHolds(
        { epoch: run.reign.epoch, timeline: run.reign.timeline },
        { epoch: now.newestEpoch, timeline: now.timeline },
        { before: run.reign.routeEpoch, now: route.epoch },
      )
    )
      return;
    this.#lastTrim = pinned;
    run.world.announcer.trimSafe(pinned as Sequence, run.reign.timeline);
  }

  async #copiesFlushed(facts: CommitFacts): Promise<boolean> {
    const { clock, route, requiredCopies } = this.#run.world;
    const untilMs = clock.monotonicMs() + COPIES_WITHIN_MS;
    for (;;) {
      const demanded = route()?.demanded ?? [];
      // No name to wait for means that no copy is known. Where the store demands one, what stands on the primary alone is not
      // safe: while a policy lets commits go on alone, the journal is the only other copy, and it must not forget.
      if (demanded.length < requiredCopies) return false;
      if (demanded.length === 0) return true;
      const copies = await this.lookAtCopies();
      if (demanded.every((name) => copies.some((copy) => copy.name === name && copy.flushed >= facts.lsn))) return true;
      if (clock.monotonicMs() >= untilMs || this.#run.isOver) return false;
      await sleep(clock, COPIES_EVERY_MS, this.#run.over).catch(() => undefined);
    }
  }

  /** Lanes with nothing in hand that did not move since the last barrier; they are busy until given back. */
  #takeIdle(): PartitionLane[] {
    const idle: PartitionLane[] = [];
    for (const lane of this.#run.board.lanes.values()) {
      const still = lane.position === lane.positionAtBarrier;
      lane.positionAtBarrier = lane.position;
      if (lane.busy || lane.length > 0 || !lane.hasRow || !still || lane.position >= this.#run.board.placedUpTo) continue;
      lane.busy = true;
      idle.push(lane);
    }
    return idle;
  }

  #giveBack(lanes: readonly PartitionLane[]): void {
    for (const lane of lanes) lane.busy = false;
    if (lanes.length > 0) this.#run.wake();
  }

  /** The smallest position once the barrier has committed. */
  #lowest(lifted: readonly PartitionLane[], base: Sequence, liftedTo: Sequence): bigint {
    let lowest: bigint = base;
    for (const lane of this.#run.board.lanes.values()) {
      const position = lifted.includes(lane) ? liftedTo : lane.position;
      if (position < lowest) lowest = position;
    }
    return lowest;
  }
}
